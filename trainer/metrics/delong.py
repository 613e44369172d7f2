"""How sure an area under the ROC curve is, and how areas of the same images hang together: DeLong.

areas, covariance = delong.covariance(labels, np.stack([one, other]))
delong.interval(labels, one)  # {"low": 0.83, "high": 0.95, "se": 0.03}
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from trainer.metrics.intervals import Floats

MIN_IMAGES = 2
"""Images of each class below which their spread can't be told."""
_ROUNDING = 1e-15
"""Variances below it are 0 but for rounding."""


def covariance(labels: NDArray[np.int64], scores: Floats) -> tuple[Floats, Floats]:
    """Computes areas under ROC curves and their covariance, from the images alone.

    DeLong, DeLong & Clarke-Pearson, Comparing the areas under two or more correlated receiver
    operating characteristic curves, Biometrics 44:837-845, 1988, equations 3 to 7: each positive
    image's fraction of negatives below it, each negative's of positives above it (a tie counts
    half), and the covariance of these shares. Sorting takes the place of all pairs, as the ranks of
    Sun & Xu, IEEE Signal Processing Letters 21:1389-1393, 2014 do.

    Images count as independent, also those of one patient.

    Args:
        labels: [images], 0 or 1.
        scores: [k, images], a row for each model; any scale, higher speaks for label 1.

    Returns:
        Areas [k], 0..1, and their covariance [k, k].

    Raises:
        ValueError: there are fewer than MIN_IMAGES images of a class, or the shapes differ.
    """
    if scores.ndim != 2 or labels.shape != scores.shape[1:]:
        raise ValueError(f"labels {labels.shape} and scores {scores.shape}, wanted [n] and [k, n]")
    positives, negatives = scores[:, labels == 1], scores[:, labels == 0]
    if min(positives.shape[1], negatives.shape[1]) < MIN_IMAGES:
        raise ValueError(
            f"{positives.shape[1]} images of label 1 and {negatives.shape[1]} of label 0, wanted "
            f"at least {MIN_IMAGES} of each"
        )
    below = np.stack([_fraction_below(*row) for row in zip(positives, negatives, strict=True)])
    above = 1 - np.stack([_fraction_below(*row) for row in zip(negatives, positives, strict=True)])
    spread = [np.atleast_2d(np.cov(fractions)) / fractions.shape[1] for fractions in (below, above)]
    return below.mean(axis=1), spread[0] + spread[1]


def _fraction_below(values: Floats, others: Floats) -> Floats:
    """Fraction of `others` below each value, [values]; a tie counts half."""
    ordered = np.sort(others)
    reached = ordered.searchsorted(values, "left") + ordered.searchsorted(values, "right")
    return reached / (2 * len(others))


def interval(labels: NDArray[np.int64], scores: Floats) -> dict[str, Any]:
    """Computes the 95 % interval of an area: normal, cut off at 0 and 1.

    Args:
        labels: [images], 0 or 1.
        scores: [images], higher speaks for label 1.

    Returns:
        "low", "high" and the standard error "se"; None and "not_defined_because" where a class has
        fewer than MIN_IMAGES images or the variance is 0.
    """
    if min(np.bincount(labels, minlength=2)) < MIN_IMAGES:
        return _undefined(f"there are fewer than {MIN_IMAGES} images of a class")
    areas, variances = covariance(labels, scores[None])
    if variances[0, 0] < _ROUNDING:
        return _undefined(
            "every image beats the same fraction of the other class: no variance is seen"
        )
    error = math.sqrt(variances[0, 0])
    low, high = areas[0] + error * special.ndtri([0.025, 0.975])
    return {"low": max(0.0, float(low)), "high": min(1.0, float(high)), "se": error}


def _undefined(reason: str) -> dict[str, Any]:
    return {"low": None, "high": None, "se": None, "not_defined_because": reason}
