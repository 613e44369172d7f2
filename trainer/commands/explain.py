"""--mode=explain: what a run's model looks at, on images of one's own or those it was evaluated on.

python -m trainer --mode=explain --run=RUN IMAGE...        on the images as they are
python -m trainer --mode=explain --run=RUN                the 12 it was most wrong about
python -m trainer --mode=explain --run=RUN --data_dir=DIR the same on the images as they are
python -m trainer --mode=explain --run=RUN --layer=NAME   what the channels of a layer make of it
python -m trainer --mode=explain --run=RUN --sanity       do maps depend on what was learned?
python -m trainer --mode=explain --run=RUN --pointing --data_dir=DIR
"""

from __future__ import annotations

import pathlib
import re
import sys
from collections.abc import Iterator

import keras
import numpy as np
from numpy.typing import NDArray

from flags.evaluation import EvaluationConfig
from records import files
from records.errors import CallerError
from records.preprocessing import Preparation
from trainer.data import image_file, run_folder
from trainer.data.image_file import UnusableImage
from trainer.heat_maps import (
    explained_images,
    feature_maps,
    heat_map,
    overlay,
    pointing_game,
    sanity,
)
from trainer.heat_maps.explained_images import ExplainedImage
from trainer.inference import finished_model
from trainer.model import losses

FOLDER = "heat_maps"


def run(config: EvaluationConfig) -> int:
    """Answers; returns 0, or 1 if an image could not be used.

    Raises:
        CallerError: there is no such run, image or layer, or its images or the places of their
            lesions are not to be had.
    """
    assert config.run is not None
    run_folder.read_config(pathlib.Path(config.run))
    explainer = _Explainer(config, pathlib.Path(config.run))
    if config.pointing:
        return explainer.point()
    if config.sanity:
        return explainer.check_sanity()
    return explainer.draw()


class _Explainer:
    """One run, its network, and where answers go."""

    def __init__(self, config: EvaluationConfig, directory: pathlib.Path) -> None:
        self._config = config
        self._directory = directory
        self._target = finished_model.target_of(run_folder.read_json(directory / "run.json"))
        self._model = keras.models.load_model(directory / "model.keras", compile=False)
        self._output_dir = pathlib.Path(config.output_dir or directory / FOLDER)
        self._bad = 0
        try:
            self._output_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CallerError(
                f"--output_dir={self._output_dir} can't be made: {error.strerror}"
            ) from error

    def draw(self) -> int:
        """Draws a picture of each image: its heat map, or the channels of a layer."""
        layer = self._config.layer
        watched = feature_maps.watch(self._model, layer) if layer else None
        mapper = heat_map.HeatMapper(self._model, self._target.kind, method=self._config.method)
        for number, image in enumerate(self._images(), start=1):
            shown_name = pathlib.Path(image.name).name  # folders may be named after people
            stem = re.sub(r"[^\w.-]", "_", pathlib.Path(image.name).stem)
            path = self._output_dir / f"{number:03d}-{stem}{f'-{layer}' if layer else ''}.png"
            if watched is not None:
                values = keras.ops.convert_to_numpy(watched(image.record[None], training=False))[0]
                feature_maps.draw(path, values.astype(np.float32), title=f"{shown_name}, {layer}")
                print(f"{image.name}: {path}")
                continue
            answers = self._model.predict_on_batch(image.record[None])
            if not np.isfinite(answers).all():
                raise CallerError(
                    f"{self._directory / 'model.keras'} gives no number for {image.name}: its "
                    "training diverged; lower the learning rate and train again"
                )
            label = heat_map.default_labels(answers - 0.5, self._target.kind)[0]
            heat = mapper.draw(image.record[None], [label])[0]
            shown = overlay.warp_to_image(heat, image.matrix, image.pixels.shape)
            said = self._describe(answers)
            truth = f"truly {image.truth}; " if image.truth else ""
            of = self._target.names[label] + " or more" * (self._target.kind == "ordinal")
            title = f"{shown_name}: {truth}{said}"
            overlay.write(path, image.pixels, shown, title=title, of=of)
            print(f"{image.name}: {said}{'' if heat.any() else f', no evidence for {of}'}: {path}")
        return int(self._bad > 0)

    def check_sanity(self) -> int:
        """Compares maps of the network with those of randomised ones."""
        images = np.stack([image.record for image in self._images()] or self._none())
        report = keras.utils.Progbar(
            None, unit_name="network", verbose=1 if sys.stdout.isatty() else 0
        )
        content = sanity.check(
            self._model,
            self._target.kind,
            images,
            method=self._config.method,
            report=lambda done, of: report.update(done),
        )
        files.write_json(self._output_dir / "sanity.json", content)
        print(f"rank correlation of {len(images)} maps with those of the trained network:")
        for step in content["steps"]:
            found = step["rank_correlation"]
            figure = step["not_defined_because"] if found is None else f"{found:+.2f}"
            print(f"  {step['randomised']} randomised: {figure}")
        return int(self._bad > 0)

    def point(self) -> int:
        """Plays the pointing game on the images with a known lesion."""
        config = self._config
        evaluated = explained_images.open_evaluated(
            self._directory, config.split, dataset_dir=config.dataset_dir
        )
        content = pointing_game.play(
            heat_map.HeatMapper(self._model, self._target.kind, method=config.method),
            evaluated,
            self._preparation(),
            data_dir=pathlib.Path(config.data_dir or ""),
            bad=self._tell,
        )
        content = {"method": config.method, "split": config.split, **content}
        files.write_json(self._output_dir / "pointing.json", content)
        print(pointing_game.describe(content))
        return int(self._bad > 0)

    def _images(self) -> Iterator[ExplainedImage]:
        config = self._config
        if config.arguments:
            return explained_images.of_files(config.arguments, self._preparation(), self._tell)
        evaluated = explained_images.open_evaluated(
            self._directory, config.split, dataset_dir=config.dataset_dir
        )
        shown = explained_images.of_split(
            self._directory, config.split, evaluated, worst=config.worst
        )
        if config.data_dir is None:
            return shown
        folder = pathlib.Path(config.data_dir)
        return explained_images.on_originals(
            shown, evaluated, self._preparation(), folder, self._tell
        )

    def _preparation(self) -> Preparation:
        return image_file.read_preparation(self._directory)

    def _tell(self, name: str, unusable: UnusableImage) -> None:
        print(f"{name}: {unusable}", file=sys.stderr)
        self._bad += 1

    def _none(self) -> list[NDArray[np.uint16]]:
        raise CallerError("no image is left to look at; give others")

    def _describe(self, answers: NDArray[np.float32]) -> str:
        (row,) = losses.class_probabilities(answers.astype(np.float64), self._target)
        if len(row) == 2:
            return f"probability of {self._target.names[1]} {row[1]:.2f}"
        return ", ".join(
            f"{name} {fraction:.2f}" for name, fraction in zip(self._target.names, row, strict=True)
        )
