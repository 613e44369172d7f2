"""How sure an area under the ROC curve is, and how areas of the same films hang together: DeLong.

areas, covariance = delong.covariance(labels, np.stack([one, other]))
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trainer.intervals import Floats

MIN_FILMS = 2
"""Films of each class below which their spread can't be told."""


def covariance(labels: NDArray[np.int64], scores: Floats) -> tuple[Floats, Floats]:
    """Computes areas under ROC curves and their covariance, from the films alone.

    DeLong, DeLong & Clarke-Pearson, Comparing the areas under two or more correlated receiver
    operating characteristic curves, Biometrics 44:837-845, 1988, equations 3 to 7: each positive
    film's share of negatives below it, each negative's of positives above it (a tie counts half),
    and the covariance of these shares. Sorting takes the place of all pairs, as the ranks of Sun &
    Xu, IEEE Signal Processing Letters 21:1389-1393, 2014 do.

    Films count as independent, also those of one patient.

    Args:
        labels: [films], 0 or 1.
        scores: [k, films], a row for each model; any scale, higher speaks for label 1.

    Returns:
        Areas [k], 0..1, and their covariance [k, k].

    Raises:
        ValueError: there are fewer than MIN_FILMS films of a class, or the shapes differ.
    """
    if scores.ndim != 2 or labels.shape != scores.shape[1:]:
        raise ValueError(f"labels {labels.shape} and scores {scores.shape}, wanted [n] and [k, n]")
    positives, negatives = scores[:, labels == 1], scores[:, labels == 0]
    if min(positives.shape[1], negatives.shape[1]) < MIN_FILMS:
        raise ValueError(
            f"{positives.shape[1]} films of label 1 and {negatives.shape[1]} of label 0, wanted at "
            f"least {MIN_FILMS} of each"
        )
    below = np.stack([_share_below(*row) for row in zip(positives, negatives, strict=True)])
    above = 1 - np.stack([_share_below(*row) for row in zip(negatives, positives, strict=True)])
    spread = [np.atleast_2d(np.cov(shares)) / shares.shape[1] for shares in (below, above)]
    return below.mean(axis=1), spread[0] + spread[1]


def _share_below(values: Floats, others: Floats) -> Floats:
    """Share of `others` below each value, [values]; a tie counts half."""
    ordered = np.sort(others)
    reached = ordered.searchsorted(values, "left") + ordered.searchsorted(values, "right")
    return reached / (2 * len(others))
