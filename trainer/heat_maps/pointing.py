"""The pointing game: does the place where a heat map is strongest lie on a lesion?

Zhang et al., Top-down neural attention by excitation backprop, International Journal of Computer
Vision 126, 2018, section 4.1. Two guesses that know no network stand beside the rate: any place of
the breast, and its middle.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from trainer.heat_maps.heat_map import Heat
from trainer.metrics import intervals

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


def play(
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


def score(plays: Sequence[Play], names: Sequence[str]) -> dict[str, Any]:
    """Sums up a game: over the images that show what they are asked about, and those of each class.

    Images of the lowest class are asked about the second, which they do not show: they count in
    `labels` alone.

    Args:
        plays: one an image.
        names: of the classes.

    Returns:
        content of pointing.json: hit rate, and those of the two guesses, with intervals.
    """
    return {
        "tolerance": TOLERANCE,
        **_rates([play for play in plays if play.label > 0]),
        "labels": {
            name: _rates([play for play in plays if play.label == label])
            for label, name in enumerate(names)
        },
        "plays": [dataclasses.asdict(play) for play in plays],
    }


def _rates(plays: Sequence[Play]) -> dict[str, Any]:
    figures = {
        "hit_rate": [play.hit for play in plays],
        "chance": [play.chance for play in plays],
        "middle": [play.middle for play in plays],
        "gain": [play.hit - play.chance for play in plays],
    }
    patients = np.array([play.patient_id for play in plays], np.str_)
    return {
        "images": len(plays),
        "patients": len(set(patients)),
        "empty_maps": sum(play.empty for play in plays),
        **{name: _mean(np.array(values, float), patients) for name, values in figures.items()},
    }


def _mean(values: intervals.Floats, patients: NDArray[np.str_]) -> dict[str, Any]:
    """Means over images, with the interval of whole patients drawn again."""
    if not len(values):
        return intervals.undefined("no image of this kind has a lesion whose place is known")
    if len(set(values)) == 1:
        return {
            "value": float(values[0]),
            "low": None,
            "high": None,
            "interval_not_defined_because": f"all {len(values)} images have the same value",
        }
    samples = np.concatenate(
        [
            weights @ values / weights.sum(axis=1)
            for weights in intervals.resample(
                patients, resamples=intervals.RESAMPLES, seed=intervals.SEED
            )
        ]
    )
    return intervals.metric(float(values.mean()), samples, patients=len(set(patients)))
