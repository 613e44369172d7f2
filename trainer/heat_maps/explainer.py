"""Draws heat maps, or the channels of a layer, of one run's network: images -> pictures.

explainer = Explainer(load([run_dir]), target, run_dir, method="gradcam")
for drawn in explainer.draw(images, output_dir):   # images as explained_images yields them
    print(drawn.name, drawn.path)
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Iterable, Iterator, Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from flags.targets import Target
from records.errors import CallerError
from trainer.heat_maps import feature_maps, heat_map, overlay
from trainer.heat_maps.explained_images import ExplainedImage
from trainer.model import losses, network_input, own_backbone, side_inputs

_LONGEST_STEM = 200


@dataclasses.dataclass(frozen=True)
class Drawn:
    """The picture of one image.

    Attributes:
        name: of the image.
        path: of the picture.
        prediction: the network's probabilities in words, "" where channels are drawn.
        no_evidence_for: the class whose map is empty, "" if it is not.
    """

    name: str
    path: pathlib.Path
    prediction: str = ""
    no_evidence_for: str = ""


def load(networks: Sequence[pathlib.Path]) -> list[keras.Model]:
    """Loads networks from the run folders of one network each."""
    return [own_backbone.load_network(one / "model.keras") for one in networks]


class Explainer:
    """The networks of a finished run, and the method of its heat maps."""

    def __init__(
        self,
        models: Sequence[keras.Model],
        target: Target,
        directory: pathlib.Path,
        *,
        method: str,
    ) -> None:
        """Takes the networks, which are averaged; channels are those of the first.

        Args:
            models: one or several.
            target: what they predict.
            directory: of the run, for messages.
            method: one of `heat_map.METHODS`.
        """
        self._directory = directory
        self._method = method
        self.target = target
        self.models = models
        self.model = models[0]

    @property
    def mapper(self) -> heat_map.HeatMapper:
        """What draws its heat maps."""
        return heat_map.HeatMapper(self.model, self.target.kind, method=self._method)

    def draw(self, images: Iterable[ExplainedImage], output_dir: pathlib.Path) -> Iterator[Drawn]:
        """Draws the heat map of each image, for the class it is given.

        Args:
            images: to look at.
            output_dir: an existing folder.

        Raises:
            CallerError: the network gives no number.
        """
        kind = self.target.kind
        mappers = [heat_map.HeatMapper(one, kind, method=self._method) for one in self.models]
        for number, image in enumerate(images, start=1):
            batch = network_input.batch_of([image.record])
            given = [side_inputs.complete(one, batch, [{}]) for one in self.models]
            each = [one.predict_on_batch(of) for one, of in zip(self.models, given, strict=True)]
            outputs = np.mean(each, axis=0)
            if not np.isfinite(outputs).all():
                raise CallerError(
                    f"the network of {self._directory} gives no number for {image.name}: its "
                    "training diverged; lower the learning rate and train again"
                )
            label = heat_map.default_labels(outputs - 0.5, self.target.kind)[0]
            heats = [mapper.draw(batch, [label])[0] for mapper in mappers]
            heat = network_input.side_by_side(
                image.record, np.mean(heats, axis=0, dtype=np.float32)
            )
            shown = overlay.warp_to_image(heat, image.matrix, image.pixels.shape)
            prediction = self._describe(outputs)
            truth = f"truly {image.truth}; " if image.truth else ""
            of = self.target.names[label] + " or more" * (self.target.kind == "ordinal")
            said = f"{truth}{prediction}"
            path = _picture(output_dir, number, image)
            overlay.write(path, image.pixels, shown, name=_file_name(image), said=said, of=of)
            yield Drawn(image.name, path, prediction, "" if heat.any() else of)

    def draw_channels(
        self, images: Iterable[ExplainedImage], output_dir: pathlib.Path, *, layer: str
    ) -> Iterator[Drawn]:
        """Draws the channels of a layer for each image.

        Args:
            images: to look at.
            output_dir: an existing folder.
            layer: name of a layer of the network or of its base.

        Raises:
            CallerError: there is no such layer.
        """
        watched = feature_maps.watch(self.model, layer)
        for number, image in enumerate(images, start=1):
            values = keras.ops.convert_to_numpy(watched(image.record[None], training=False))[0]
            path = _picture(output_dir, number, image, f"-{layer}")
            title = f"{_file_name(image)}, {layer}"
            feature_maps.draw(path, values.astype(np.float32), title=title)
            yield Drawn(image.name, path)

    def _describe(self, outputs: NDArray[np.float32]) -> str:
        (row,) = losses.class_probabilities(outputs.astype(np.float64), self.target)
        if len(row) == 2:
            return f"probability of {self.target.names[1]} {row[1]:.2f}"
        return ", ".join(
            f"{name} {fraction:.2f}" for name, fraction in zip(self.target.names, row, strict=True)
        )


def _file_name(image: ExplainedImage) -> str:
    """Returns the file's name alone: folders may be named after people."""
    return pathlib.Path(image.name).name


def _picture(
    output_dir: pathlib.Path, number: int, image: ExplainedImage, ending: str = ""
) -> pathlib.Path:
    stem = re.sub(r"[^\w.-]", "_", pathlib.Path(image.name).stem)
    short = stem.encode()[:_LONGEST_STEM].decode(errors="ignore")  # names end at 255 bytes
    return output_dir / f"{number:03d}-{short}{ending}.png"
