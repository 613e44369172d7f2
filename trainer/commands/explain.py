"""Draws heat maps of a run's model, on your own images or on those it was evaluated on.

  python -m trainer explain --run=RUN IMAGE_OR_FOLDER...
  python -m trainer explain --run=RUN                 the 12 it was most wrong about
  python -m trainer explain --run=RUN --data_dir=DIR  the same on the images as they are
  python -m trainer explain --run=RUN --layer=NAME    the channels of a layer
  python -m trainer explain --run=RUN --sanity        do maps depend on what was learned?
  python -m trainer explain --run=RUN --pointing --data_dir=DIR

A cross-validation or an ensemble explains images by the mean of its networks.
Heat maps show the evidence for the second of two classes (malignant), whatever an image is
called; of more, for the class it is called. Folders are searched to the bottom.
"""

from __future__ import annotations

import dataclasses
import pathlib
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from flags import own_folder
from flags.data_config import RecordsFolder
from flags.fields import flag
from flags.finished_run import AnyModality, OfOneRun
from flags.own_folder import Overwriting
from records import files
from records.errors import CallerError
from records.printable import counted, printable
from records.progress import Reporter
from records.version import NOTICE

if TYPE_CHECKING:  # TensorFlow is slow to import, so it waits until the run is there
    from beam_jobs.imaging.unusable import UnusableImage
    from records.preprocessing import Preparation
    from trainer.data.run_json import RunDescription
    from trainer.heat_maps.explained_images import ExplainedImage
    from trainer.heat_maps.explainer import Explainer
    from trainer.inference.finished_model import FinishedRun
    from trainer.inference.inputs import InputImage

METHODS = {
    "gradcam": "Grad-CAM, from the last layer of the base, coarse",
    "hirescam": "HiResCAM, from its last layers at two resolutions, finer",
}
SPLITS = {"test": "those it was evaluated on", "validation": "those that chose its best epoch"}


@dataclasses.dataclass(frozen=True)
class Config(Overwriting, RecordsFolder, AnyModality, OfOneRun):
    """What to draw of which images; `arguments` are images of one's own, or folders."""

    arguments: tuple[str, ...] = ()
    output_dir: str | None = flag(
        None, "Folder of the pictures. Default: RUN/heat_maps, or the next number.", place=True
    )
    method: str = flag("gradcam", "Heat maps", choices=METHODS)
    split: str = flag("test", "Images looked at if none are named", choices=SPLITS)
    worst: int = flag(
        12, "How many of them: those whose truth the model found least likely. 0: all.", low=0
    )
    sanity: bool = flag(
        False, "Compare heat maps with those of the network made random layer by layer."
    )
    pointing: bool = flag(
        False, "Measure how often heat maps are strongest on a lesion; needs --data_dir."
    )
    data_dir: str | None = flag(
        None,
        "Folder of the images that the records were made from: --pointing needs it, and heat maps "
        "of a split are laid over them instead of records.",
        place=True,
    )
    layer: str | None = flag(
        None, "Draw the channels of this layer of the network, or of its base, instead."
    )

    def check(self) -> None:
        """Checks that one thing is wanted, and that its images are known."""
        super().check()
        wanted = [name for name in ("sanity", "pointing", "layer") if getattr(self, name)]
        if len(wanted) > 1:
            raise CallerError(f"--{' and --'.join(wanted)} do not go together; give one at a time")
        if self.pointing and self.data_dir is None:
            raise CallerError(
                "--pointing needs --data_dir, the folder of the images the records were made from"
            )
        if self.pointing and self.arguments:
            raise CallerError(
                f"--pointing plays the images of --split, not {self.arguments[0]}; leave it out"
            )


def run(config: Config) -> int:
    """Draws or measures what is wanted; returns 0, or 1 if an image could not be used.

    Raises:
        CallerError: there is no such run, image or layer, or its images or the places of their
            lesions are not to be had.
    """
    from trainer.data import run_folder
    from trainer.inference import inputs

    directory = pathlib.Path(config.run)
    networks = _networks_of(config, directory)  # before TensorFlow is imported
    given = inputs.find(config.arguments) if config.arguments else []
    from trainer.heat_maps import explainer as explaining
    from trainer.inference import finished_model

    finished = finished_model.open_run(directory) if given else None
    models = [one.model for one in finished.networks] if finished else explaining.load(networks)
    target = finished_model.target_of(run_folder.read_description(directory))
    explainer = explaining.Explainer(models, target, directory, method=config.method)
    images = _Images(config, given, directory, networks[0], finished)
    with own_folder.take(
        config.output_dir,
        directory / "heat_maps",
        writes=("[0-9][0-9][0-9]-*.png", "sanity.json", "pointing.json"),
        overwrite=config.overwrite,
    ) as output_dir:
        print(*(finished.introduction if finished else (NOTICE,)), sep="\n")
        if columns := run_folder.read_description(directory).side_inputs:
            print(f"{', '.join(columns)} left out: they move no map, but the probabilities")
        if config.pointing:
            _point(config, explainer, images, output_dir)
        elif config.sanity:
            _check_sanity(config, explainer, images, output_dir)
        else:
            _draw(config, explainer, images, output_dir)
    return int(images.unusable > 0)


def _networks_of(config: Config, directory: pathlib.Path) -> list[pathlib.Path]:
    """Lists the run folders of the networks that are averaged.

    Raises:
        CallerError: there is no such run, or several networks can't do what is wanted.
    """
    from trainer.data import run_folder

    if not (directory / "config.json").is_file():
        run_folder.read_config(directory)  # refuses
    described = (directory / run_folder.RUN).is_file()
    description = run_folder.read_description(directory) if described else None
    networks = run_folder.members_of(directory, description) if description else [directory]
    if description and description.views:
        _check_several_views(config, description)
    for network in networks:
        run_folder.read_config(network)
    single = next((name for name in ("sanity", "pointing", "layer") if getattr(config, name)), "")
    own = (
        ""
        if config.arguments or not (description and description.folds)
        else "the images of --split"
    )
    if len(networks) > 1 and (single or own):
        what = f"--{single}" if single else own
        raise CallerError(
            f"--run={directory} averages {len(networks)} networks, {what} are of one: "
            f"give --run={networks[0]}" + (", or name images" if own and not single else "")
        )
    return networks


def _check_several_views(config: Config, description: RunDescription) -> None:
    """Refuses what heat maps of several views together can't do yet.

    Raises:
        CallerError: what, and what to do instead.
    """
    unit = description.unit
    if description.joined_by == "cc_mlo":
        raise CallerError(
            f"--run={config.run}: a network with a column for each view has no heat maps; take "
            "--views=mean, concat or attention"
        )
    wanted = [f"--{n}" for n in ("sanity", "pointing", "layer", "data_dir") if getattr(config, n)]
    if wanted or config.arguments:
        raise CallerError(
            f"--run={config.run} looks at all views of a {unit}, {(*wanted, 'own images')[0]} are "
            f"for runs of one image; leave it out to see {unit}s of --split, or give images to "
            "predict"
        )


class _Images:
    """The images looked at; those that can't be used are named on stderr and counted."""

    def __init__(
        self,
        config: Config,
        given: Sequence[InputImage],
        directory: pathlib.Path,
        network: pathlib.Path,
        finished: FinishedRun | None,
    ) -> None:
        self._config = config
        self._given = given
        self._finished = finished
        self._network = network
        self._directory = directory
        self.unusable = 0

    @property
    def preparation(self) -> Preparation:
        """How images become records of this run."""
        from trainer.data import image_file

        return image_file.read_preparation(self._directory)

    def __iter__(self) -> Iterator[ExplainedImage]:
        from trainer.heat_maps import explained_images

        config = self._config
        if self._finished:
            return self._prepare(self._finished)
        evaluated = explained_images.open_evaluated(
            self._network, config.split, dataset_dir=config.dataset_dir
        )
        shown = explained_images.of_split(
            self._directory, config.split, evaluated, worst=config.worst
        )
        if config.data_dir is None:
            return shown
        folder = pathlib.Path(config.data_dir)
        return explained_images.on_originals(
            shown, evaluated, self.preparation, folder, self.refuse
        )

    def _prepare(self, finished: FinishedRun) -> Iterator[ExplainedImage]:
        """Prepares images of one's own as predict does, with its warnings."""
        from trainer.heat_maps.explained_images import ExplainedImage
        from trainer.inference.predictor import Predictor

        predictor = Predictor(
            finished, None, predict_unlike=True, any_modality=self._config.any_modality
        )
        unlike = False
        for number, given in enumerate(self._given, start=1):
            prepared = predictor.prepare(given)
            if prepared.image is None:
                self.refuse(str(given.path), prepared.error)
                continue
            predicted = predictor.predict(prepared, number)
            for note in predicted.notes(briefly=unlike):
                print(f"warning: {printable(str(given.path))}: {note}")
            unlike = unlike or bool(predicted.unlike)
            image = prepared.image
            yield ExplainedImage(str(given.path), image.pixels, image.record, image.matrix)

    def refuse(self, name: str, unusable: UnusableImage | str) -> None:
        """Names an image that can't be used."""
        print(f"{printable(name)}: {unusable}", file=sys.stderr)
        self.unusable += 1


def _draw(config: Config, explainer: Explainer, images: _Images, output_dir: pathlib.Path) -> None:
    """Draws a picture of each image: its heat map, or the channels of a layer."""
    drawn = (
        explainer.draw_channels(images, output_dir, layer=config.layer)
        if config.layer
        else explainer.draw(images, output_dir)
    )
    paths = []
    for one in drawn:
        paths.append(one.path)
        empty = f", no evidence for {one.no_evidence_for}" if one.no_evidence_for else ""
        prediction = f"{one.prediction}{empty}: " if one.prediction else ""
        print(f"{printable(one.name)}: {prediction}{one.path}")
    place = f"in {output_dir.resolve()}" if paths else "drawn: no image can be used"
    print(f"{counted(len(paths), 'pictures')} {place}")


def _check_sanity(
    config: Config, explainer: Explainer, images: _Images, output_dir: pathlib.Path
) -> None:
    """Compares maps of the network with those of randomised ones: sanity.json."""
    import numpy as np

    from trainer.heat_maps import sanity

    records = [image.record for image in images]
    if not records:
        raise CallerError("no image is left to look at; give others")
    with Reporter("randomising", "networks") as reporter:
        content = sanity.check(
            explainer.model,
            explainer.target.kind,
            np.stack(records),
            method=config.method,
            report=reporter.update,
        )
    files.write_json(output_dir / "sanity.json", content)
    print(f"rank correlation of {counted(len(records), 'maps')} with those of the trained network:")
    for step in content["steps"]:
        found = step["rank_correlation"]
        value = step["not_defined_because"] if found is None else f"{found:+.2f}"
        print(f"  {step['randomised']} randomised: {value}")


def _point(config: Config, explainer: Explainer, images: _Images, output_dir: pathlib.Path) -> None:
    """Plays the pointing game on the images with a known lesion: pointing.json."""
    from trainer.heat_maps import explained_images, pointing_game

    evaluated = explained_images.open_evaluated(
        pathlib.Path(config.run), config.split, dataset_dir=config.dataset_dir
    )
    with Reporter("pointing game", "images") as reporter:
        game = pointing_game.play(
            explainer.mapper,
            evaluated,
            images.preparation,
            data_dir=pathlib.Path(config.data_dir or ""),
            bad=images.refuse,
            report=reporter.update,
        )
    content = {"method": config.method, "split": config.split, **game.to_json()}
    files.write_json(output_dir / "pointing.json", content)
    print(pointing_game.describe(game, config.method))
