"""Predicts images of your own with a finished run: a line, a row and a heat map for each.

  python -m trainer predict --run=RUN image.dcm
  python -m trainer predict --run=RUN exam/ more.png --output_dir=predictions
  python -m trainer predict --run=RUN --images=images.csv --noheat_maps

Folders are searched to the bottom. Writes predictions.html, .csv, .json and heat_maps/ into a new
folder: predictions, predictions-2 and so on.
Research use only, not for diagnosis.
"""

from __future__ import annotations

import collections
import dataclasses
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flags import datasets, own_folder
from flags.fields import flag
from flags.finished_run import AnyModality, OfOneRun
from flags.own_folder import Overwriting
from records import user_paths
from records.errors import CallerError
from records.printable import printable

if TYPE_CHECKING:  # TensorFlow is slow to import, so it waits until there are images
    from trainer.inference.finished_model import FinishedRun
    from trainer.inference.image_prediction import ImagePrediction

HEAT_MAPS = "heat_maps"
FILES = ("predictions.html", "predictions.csv", "predictions.json")


@dataclasses.dataclass(frozen=True)
class Config(Overwriting, AnyModality, OfOneRun):
    """Which images to predict; `arguments` are their files, and folders of them."""

    arguments: tuple[str, ...] = ()
    output_dir: str | None = flag(
        None, "Folder of the predictions. Default: predictions, or the next number.", place=True
    )
    images: str | None = flag(
        None,
        "Table of images, CSV or .xlsx: path, and what files do not tell of them: exam, side, "
        "view, columns of --side_inputs. Images of one examination and side are averaged, or "
        "predicted together by a network of several views.",
        place=True,
    )
    path_prefix: user_paths.Prefix | None = flag(
        None,
        "OLD=NEW: paths of --images that begin with OLD begin with NEW instead.",
        parse=user_paths.Prefix.parse,
        place=True,
    )
    predict_unlike: bool = flag(False, "Predict also images unlike those the network learned from.")
    special_views: str = flag(
        "exclude",
        "Magnified, spot, implant-displaced and other special views by their DICOM headers, and "
        "raw or synthetic twins of standard images, in the mean of their breast",
        choices=datasets.SPECIAL_VIEWS,
    )
    heat_maps: bool = flag(True, "Draw a heat map of each image predicted.")


def run(config: Config) -> int:
    """Predicts images and writes the folder; returns 1 if there are some it could not, else 0.

    Raises:
        CallerError: there is no such run or image, or the output folder can't be written.
    """
    from trainer.data import run_folder
    from trainer.inference import inputs

    directory = pathlib.Path(config.run)
    images = inputs.find(config.arguments, table=config.images, prefix=config.path_prefix)
    run_folder.members_finished(directory)  # says so before TensorFlow is imported
    unit = run_folder.read_description(directory).unit
    if unit == "exam":
        raise CallerError(
            f"--run={directory} predicts whole examinations, which predict can't put together; "
            "give a run that learned from records of --unit=breast or image"
        )
    from trainer.inference import breast_predictor, finished_model, image_prediction, predictor
    from trainer.reports import predictions_page

    finished = finished_model.open_run(directory)
    with own_folder.take(
        config.output_dir,
        "predictions",
        writes=(*FILES, f"{HEAT_MAPS}/[0-9][0-9][0-9][0-9]*.png"),
        overwrite=config.overwrite,
    ) as output_dir:
        print(*finished.introduction, sep="\n")
        found: list[ImagePrediction] = []
        unlike = False
        heat_maps = output_dir / HEAT_MAPS if config.heat_maps else None
        networks = predictor.Predictor(
            finished,
            heat_maps,
            predict_unlike=config.predict_unlike,
            any_modality=config.any_modality,
        )
        together = unit == "breast"
        predict = breast_predictor.predict_breasts if together else predictor.predict_all
        for predicted in predict(networks, images):
            notes = predicted.notes(briefly=unlike)
            unlike = unlike or bool(predicted.unlike)
            found.append(predicted)
            _print(predicted, f"[{len(found)}/{len(images)}]", notes, finished)
        about, formatter = finished.describe(), finished.formatter
        content = image_prediction.write(output_dir, found, formatter, about, config.special_views)
        predictions_page.write(output_dir, found, formatter, content)
    return _sum_up(found, finished, output_dir, config.special_views)


def _print(
    predicted: ImagePrediction, number: str, notes: Sequence[str], finished: FinishedRun
) -> None:
    """Prints the prediction of an image, or why there is none, and its warnings."""
    line = (
        f"a copy of {predicted.copy_of}, counted once"
        if predicted.copy_of
        else f"left out, {predicted.unused}"
        if predicted.unused
        else f"NOT PREDICTED, {notes[0]}"
        if predicted.prediction is None
        else finished.formatter.sentence(predicted.prediction)
    )
    print(f"{number} {printable(predicted.image)}: {line}", flush=True)
    for note in notes if predicted.prediction else ():
        print(f"    warning: {note}", flush=True)


def _sum_up(
    found: list[ImagePrediction],
    finished: FinishedRun,
    output_dir: pathlib.Path,
    special_views: str,
) -> int:
    """Prints the breasts seen on several images and the counts; returns the exit code."""
    from trainer.inference import image_prediction

    special = collections.Counter(filter(None, image_prediction.find_left_out(found)))
    if special and special_views == "exclude":
        counts = ", ".join(f"{count} {reason}" for reason, count in sorted(special.items()))
        print(f"left out of their breast's mean by special_views=exclude: {counts}")
    for images, mean in image_prediction.breasts(found, special_views):
        if len(images) > 1:
            views = ", ".join(image.view or "view not known" for image in images)
            breast = f"exam {images[0].exam}, {images[0].side} breast"
            line = finished.formatter.sentence(mean)
            how = "one answer" if finished.description.views else "mean"
            print(f"{breast}, {how} of {len(images)} images ({views}): {line}")
    copies = sum(bool(predicted.copy_of) for predicted in found)
    unused = sum(bool(predicted.unused) for predicted in found)
    if copies:
        print(f"{copies} of {len(found)} images are copies of others given; each counts once")
    alone = sum(one.exam is None and one.prediction is not None for one in found)
    if alone > 1:
        print(
            f"{alone} images stand alone, averaged with no other: no header tells their "
            "examination (StudyInstanceUID, or a patient and a date); --images can"
        )
    failed = sum(predicted.prediction is None for predicted in found) - copies - unused
    unlike = sum(bool(predicted.warnings) for predicted in found)
    print(
        f"{len(found) - copies - unused - failed} of {len(found)} images predicted, "
        f"{unlike} with a warning"
    )
    print(f"predictions: {(output_dir / FILES[0]).resolve()}")
    return 1 if failed else 0
