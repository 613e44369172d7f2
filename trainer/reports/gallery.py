"""The images a report shows: chosen, and kept as pictures in the run's folder images/.

shown = choose(predictions, ordinal=False)
write(run_dir, shown, {"P_00001_LEFT_CC": Picture(png, heat_map_png)})
images = read(run_dir)  # none where nothing was kept

images/images.json lists them in order; an image's picture and its heat map are PNGs beside it,
named by a digest of what they show: none takes the place of another.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import operator
import pathlib
from collections.abc import Mapping, Sequence

import cv2

from records import files
from records.errors import CallerError
from trainer.heat_maps import overlay
from trainer.metrics.called_class import THRESHOLD, called_class
from trainer.metrics.predictions import Prediction

FOLDER = "images"
LIST = "images.json"
ERRORS = 12
"""Worst errors shown."""
SUREST = 2
"""Images of each class shown that the model is right about and surest of."""


@dataclasses.dataclass(frozen=True)
class GalleryImage:
    """An image the report shows.

    Attributes:
        image_id: its name.
        kind: "error", or "surest" of those the model is right about.
        label: the truth.
        called: the class the model calls it.
        probability: the model's probability of label 1, 0..1; of the class called if more than
            two classes.
        file: name of its picture within images/, "" before it is kept.
        heat_map: name of the picture of what the model looked at, None if there is none.
    """

    image_id: str
    kind: str
    label: int
    called: int
    probability: float
    file: str = ""
    heat_map: str | None = None


@dataclasses.dataclass(frozen=True)
class Picture:
    """What is drawn of an image.

    Attributes:
        image: bytes of a PNG.
        heat_map: bytes of a PNG, None if there is none.
    """

    image: bytes
    heat_map: bytes | None = None


def choose(predicted: Sequence[Prediction], *, ordinal: bool) -> list[GalleryImage]:
    """Picks the worst errors, worst first, and of each class the surest right predictions.

    An error is the worse, the less probable the model took the truth to be; equals go by name.
    """
    by_name = sorted(predicted, key=lambda one: one.image_id)
    of_truth = operator.attrgetter("probability_of_truth")
    ranked = sorted(by_name, key=of_truth), sorted(by_name, key=of_truth, reverse=True)
    worst, best = ([_image(one, ordinal=ordinal) for one in order] for order in ranked)
    errors = [image for image in worst if image.kind == "error"]
    right = [image for image in best if image.kind == "surest"]
    classes = sorted({image.label for image in right}, reverse=True)
    surest = [[image for image in right if image.label == label][:SUREST] for label in classes]
    return [*errors[:ERRORS], *itertools.chain.from_iterable(surest)]


def write(
    run_dir: pathlib.Path, shown: Sequence[GalleryImage], pictures: Mapping[str, Picture]
) -> None:
    """Keeps the images that have a picture in run_dir/images; what was kept before stays."""
    folder = run_dir / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    kept = []
    for image in (one for one in shown if one.image_id in pictures):
        picture = pictures[image.image_id]
        heat_map = None if picture.heat_map is None else _keep(folder, picture.heat_map)
        file = _keep(folder, picture.image)
        kept.append(dataclasses.replace(image, file=file, heat_map=heat_map))
    with files.keeping(folder, (LIST,)):
        files.write_json(folder / LIST, [dataclasses.asdict(image) for image in kept])


def _keep(folder: pathlib.Path, picture: bytes) -> str:
    """Writes a PNG under the name that its bytes give it; returns the name."""
    path = folder / f"{hashlib.sha256(picture).hexdigest()[:16]}.png"
    with files.replacing(path) as temporary:
        temporary.write_bytes(picture)
    return path.name


def gather(
    run_dir: pathlib.Path,
    runs: Sequence[pathlib.Path],
    predicted: Sequence[Prediction],
    *,
    ordinal: bool,
) -> None:
    """Keeps in run_dir the images to show of all its folds, with the pictures the folds kept.

    The worst errors of all are among the worst of each, so nothing is drawn again. A fold evaluated
    by an earlier version kept none; its images are left out.

    Args:
        run_dir: folder of the whole.
        runs: those of its folds.
        predicted: the predictions of all.
        ordinal: whether each class is above the one before.
    """
    pictures = {
        image.image_id: Picture(
            (run / FOLDER / image.file).read_bytes(),
            (run / FOLDER / image.heat_map).read_bytes() if image.heat_map else None,
        )
        for run in runs
        for image in read(run)
    }
    write(run_dir, choose(predicted, ordinal=ordinal), pictures)


def read(run_dir: pathlib.Path) -> list[GalleryImage]:
    """Reads the list of images kept in a run; empty if none were.

    Raises:
        CallerError: the list or a picture is damaged.
    """
    path = run_dir / FOLDER / LIST
    if not path.is_file():
        return []
    try:
        images = [GalleryImage(**image) for image in json.loads(path.read_text(encoding="utf-8"))]
        names = [
            name for image in images for name in (image.file, image.heat_map) if name is not None
        ]
        missing = [n for n in names if n != pathlib.Path(n).name or not (path.parent / n).is_file()]
    except (ValueError, TypeError) as error:
        raise CallerError(f"{path} is damaged ({error}); evaluate the run again") from error
    if missing:
        raise CallerError(
            f"{path} names {missing[0]!r}, which is not there; evaluate the run again"
        )
    return images


def data_uri(path: pathlib.Path) -> str:
    """Reads a kept picture for use within a page, as a JPEG.

    Raises:
        CallerError: the picture is damaged.
    """
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise CallerError(f"{path} is no picture; evaluate the run again")
    return overlay.data_uri(pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))


def _image(prediction: Prediction, *, ordinal: bool) -> GalleryImage:
    """Pairs an image with the class it is called at THRESHOLD and its probability."""
    called = called_class(prediction, threshold=THRESHOLD, ordinal=ordinal)
    two = len(prediction.probabilities) == 2
    probability = prediction.probability if two else prediction.probabilities[called]
    kind = "surest" if called == prediction.label else "error"
    return GalleryImage(prediction.image_id, kind, prediction.label, called, probability)
