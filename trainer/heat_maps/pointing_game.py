"""Pointing game: heat maps and lesions -> how often a map is strongest on a lesion.

Zhang et al., Top-down neural attention by excitation backprop, International Journal of Computer
Vision 126, 2018, section 4.1. Two guesses that know no network stand beside the rate: any place of
the breast, and its middle.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from beam_jobs.imaging.unusable import UnusableImage
from records.errors import CallerError
from records.preprocessing import Preparation
from trainer.data import image_file
from trainer.heat_maps import lesions
from trainer.heat_maps.explained_images import TestedImages
from trainer.heat_maps.heat_map import Heat, HeatMapper
from trainer.heat_maps.lesions import Places
from trainer.metrics import intervals, typed_json
from trainer.metrics.metrics_json import MetricValue, undefined

TOLERANCE = 0.03
"""How far beside a lesion still counts, fraction of the image's longer side: the 15 pixels of Zhang
et al. 2018, on pictures 500 pixels wide."""


@dataclasses.dataclass(frozen=True)
class Play:
    """One image of the game.

    Attributes:
        image_id: of the image.
        patient_id: of the image.
        label: class of the image.
        hit: whether the strongest place of the map lies on a lesion.
        empty: whether the map has no evidence at all, which is a miss.
        chance: fraction of the breast that counts as lesion: the rate of a guess within the breast.
        middle: whether the middle of the breast lies on a lesion.
    """

    image_id: str
    patient_id: str
    label: int
    hit: bool
    empty: bool
    chance: float
    middle: bool


def play_image(
    image: dict[str, str],
    label: int,
    *,
    heat: Heat,
    matrix: NDArray[np.float64],
    lesion: NDArray[np.bool_],
    breast: NDArray[np.bool_],
) -> Play:
    """Plays one image.

    Args:
        image: row of sources.csv.
        label: class of the image.
        heat: [h, w], of its record.
        matrix: [3, 3], (column, row, 1) of the record -> of the image.
        lesion: [height, width], of the image.
        breast: [height, width], of the image.
    """
    counted = widen(lesion, TOLERANCE * max(lesion.shape))
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    x, y, _ = matrix @ np.array([column, row, 1])
    rows, columns = np.nonzero(breast)
    return Play(
        image_id=image["image_id"],
        patient_id=image["patient_id"],
        label=label,
        hit=bool(heat.any()) and _holds(counted, y, x),
        empty=not heat.any(),
        chance=float(counted[rows, columns].mean()),
        middle=_holds(counted, rows.mean(), columns.mean()),
    )


def widen(region: NDArray[np.bool_], distance: float) -> NDArray[np.bool_]:
    """Adds all that lies within a distance, in pixels, of a region [height, width]."""
    away = cv2.distanceTransform((~region).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return away <= distance


def _holds(region: NDArray[np.bool_], row: float, column: float) -> bool:
    place = round(row), round(column)
    inside = all(0 <= at < length for at, length in zip(place, region.shape, strict=True))
    return inside and bool(region[place])


@dataclasses.dataclass(frozen=True)
class Rates:
    """How often maps point at a lesion: hit rate, those of two guesses, and the gain by the map."""

    images: int
    patients: int
    empty_maps: int
    hit_rate: MetricValue
    chance: MetricValue
    middle: MetricValue
    gain: MetricValue


@dataclasses.dataclass(frozen=True)
class Game:
    """A game summed up: over the images that show the class explained, and those of each class.

    Of images of the lowest class the second is explained, which they do not show: they count in
    `labels` alone.
    """

    rates: Rates
    labels: dict[str, Rates]
    plays: tuple[Play, ...]

    def to_json(self) -> dict[str, Any]:
        """Makes the content of pointing.json."""
        parts = typed_json.to_json(self)
        return {"tolerance": TOLERANCE, **parts.pop("rates"), **parts}


def score(plays: Sequence[Play], names: Sequence[str]) -> Game:
    """Sums up a game of one play an image, with classes of these names."""
    labels = {
        name: _rates([play for play in plays if play.label == label])
        for label, name in enumerate(names)
    }
    return Game(_rates([play for play in plays if play.label > 0]), labels, tuple(plays))


def _rates(plays: Sequence[Play]) -> Rates:
    patients = np.array([play.patient_id for play in plays], np.str_)
    hits, chance, middle = (
        np.array([getattr(play, name) for play in plays], float)
        for name in ("hit", "chance", "middle")
    )
    means = [_mean(values, patients) for values in (hits, chance, middle, hits - chance)]
    return Rates(len(plays), len(set(patients)), sum(play.empty for play in plays), *means)


def _mean(values: intervals.Floats, patients: NDArray[np.str_]) -> MetricValue:
    """Means over images, with the interval of whole patients resampled."""
    if not len(values):
        return undefined("no image of this kind has a lesion whose place is known")
    if len(set(values)) == 1:
        same = f"all {len(values)} images have the same value"
        return MetricValue(float(values[0]), interval_not_defined_because=same)
    samples = np.concatenate(
        [
            weights @ values / weights.sum(axis=1)
            for weights in intervals.resample(
                patients, resamples=intervals.RESAMPLES, seed=intervals.SEED
            )
        ]
    )
    return intervals.metric(float(values.mean()), samples, patients=len(set(patients)))


def play(
    mapper: HeatMapper,
    evaluated: TestedImages,
    preparation: Preparation,
    *,
    data_dir: pathlib.Path,
    bad: Callable[[str, UnusableImage], None],
    report: Callable[[int, int], None],
) -> Game:
    """Plays the game on every image of a split with a lesion whose place is known.

    `bad` is called with images that can't be used, `report` with (images played, images in all).

    Explained is the class of the image; of one of the lowest class, the second.

    Raises:
        CallerError: no place of a lesion is known, or the images are not there.
    """
    places = lesions.read(evaluated.records.directory)
    rows = _find_images(evaluated, places, data_dir)
    plays = []
    for row, label in rows:
        try:
            path = data_dir / row["path"]
            image = image_file.prepare(
                path,
                preparation,
                view=row["view"],
                side=row["side"],
                discrepancies=row["discrepancies"],
            )
            lesion = lesions.draw(places[row["image_id"]], image.pixels.shape, data_dir)
            breast = image_file.find_breast(image.pixels)
        except UnusableImage as unusable:
            bad(row["image_id"], unusable)
            continue
        (heat,) = mapper.draw(image.record[None], [max(label, 1)])
        plays.append(
            play_image(row, label, heat=heat, matrix=image.matrix, lesion=lesion, breast=breast)
        )
        report(len(plays), len(rows))
    return score(plays, evaluated.target.names)


def _find_images(
    evaluated: TestedImages, places: Mapping[str, Places], data_dir: pathlib.Path
) -> list[tuple[dict[str, str], int]]:
    """Lists the images with a lesion whose place is known: row of sources.csv, class."""
    images = zip(evaluated.split.images, evaluated.split.labels, strict=True)
    rows = [(row, label) for row, label in images if row["image_id"] in places]
    if not rows:
        raise CallerError(
            f"{evaluated.records.directory} knows no place of a lesion on its "
            f"{evaluated.split.name} images; mini_mias, phantom, cbis_ddsm, vindr_mammo and a "
            "table may, if converted by this version"
        )
    if not any((data_dir / row["path"]).is_file() for row, _ in rows):
        raise CallerError(
            f"--data_dir={data_dir} does not hold {rows[0][0]['path']}; give the folder the images "
            "were converted from"
        )
    return rows


def describe(game: Game, method: str) -> str:
    """Formats the result of a game on maps of a method as text."""
    names = list(game.labels)
    lines = [_line(name, rates) for name, rates in game.labels.items()]
    if len(names) > 2:
        lines.append(_line(f"all but {names[0]}", game.rates))
    return (
        f"pointing game, {method}, {100 * TOLERANCE:g} % tolerance: how "
        f"often a map is strongest on a lesion (of {names[0]} images the map for {names[1]})\n"
        + "\n".join(lines)
    )


def _line(name: str, rates: Rates) -> str:
    if not rates.images:
        return f"  {name}: {rates.hit_rate.not_defined_because}"
    empty = f", {rates.empty_maps} without any evidence" if rates.empty_maps else ""
    return (
        f"  {name} ({rates.images} of {rates.patients} patients{empty}): "
        f"{rates.hit_rate.describe(2)}; any place of the breast {rates.chance.value:.2f}, "
        f"its middle {rates.middle.value:.2f}"
    )
