"""Choice of the decision threshold: probabilities and labels of validation images -> threshold.

found = choose(probabilities, labels)
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from trainer.metrics.intervals import Floats

RULE = (
    "highest sensitivity + specificity - 1 (Youden 1950) on the validation images; of equals the "
    "widest gap between neighbouring probabilities; the middle of the gap"
)
"""Youden, Index for rating diagnostic tests, Cancer 3:32-35, 1950."""
LEAST_GAP = 1e-6
"""Probabilities nearer to each other than this may change places with machine and batch size."""


@dataclasses.dataclass(frozen=True)
class Threshold:
    """The threshold chosen on validation images.

    Attributes:
        value: probability above which label 1 is called, 0..1; None if none could be chosen.
        rule: by which it was chosen.
        sensitivity: there, of the validation images.
        specificity: the same.
        not_defined_because: why there is none.
    """

    value: float | None
    rule: str = ""
    sensitivity: float | None = None
    specificity: float | None = None
    not_defined_because: str = ""


def choose(probabilities: Floats, labels: NDArray[np.int64]) -> Threshold:
    """Chooses the probability above which an image is called label 1, by RULE.

    Cuts between neighbours that rounding could swap are left out; equal is equal to LEAST_GAP.

    Args:
        probabilities: [images] of label 1, 0..1.
        labels: [images], 0 or 1, both there.

    Returns:
        the threshold, or why there is none.
    """
    levels, level_of_image = np.unique(probabilities, return_inverse=True)
    middles, gaps = (levels[:-1] + levels[1:]) / 2, np.round(np.diff(levels) / LEAST_GAP)
    below = [
        np.cumsum(np.bincount(level_of_image[labels == label], minlength=len(levels)))
        for label in (0, 1)
    ]
    negatives, positives = (int(counts[-1]) for counts in below)
    right_negatives, right_positives = below[0][:-1], positives - below[1][:-1]
    # Youden's index times positives times negatives: whole numbers, so equals are equal
    index = right_positives * negatives + right_negatives * positives - positives * negatives
    best = max(
        np.flatnonzero(gaps),
        key=lambda place: (index[place], gaps[place], -abs(middles[place] - 0.5)),
        default=None,
    )
    if best is None or index[best] <= 0:
        reason = "no threshold parts the validation images better than one class for all"
        return Threshold(None, not_defined_because=reason)
    return Threshold(
        float(middles[best]),
        RULE,
        sensitivity=float(right_positives[best] / positives),
        specificity=float(right_negatives[best] / negatives),
    )
