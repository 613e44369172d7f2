"""DeLong's variance of areas under ROC curves, and paired tests of two models on the same images.

areas, covariance = delong_covariance(labels, np.stack([one, other]))
delong_interval(labels, one)  # .low 0.83, .high 0.95, .se 0.03
difference, standard_error, p = delong_difference(labels, one, other)
p = mcnemar(first_alone=9, second_alone=2)
adjusted = holm([0.01, 0.04, 0.03])
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special

from trainer.metrics.intervals import Floats
from trainer.metrics.metrics_json import DelongInterval

MIN_IMAGES = 2
"""Images of each class below which their variance is unknown."""
_ROUNDING = 1e-15
"""Variances below it are 0 but for rounding."""


def delong_covariance(labels: NDArray[np.int64], scores: Floats) -> tuple[Floats, Floats]:
    """Computes areas under ROC curves and their covariance, from the images alone.

    DeLong, DeLong & Clarke-Pearson, Comparing the areas under two or more correlated receiver
    operating characteristic curves, Biometrics 44:837-845, 1988, equations 3 to 7: each positive
    image's fraction of negatives below it, each negative's of positives above it (a tie counts
    half), and the covariance of these fractions. Sorting takes the place of all pairs, as the ranks
    of Sun & Xu, IEEE Signal Processing Letters 21:1389-1393, 2014 do.

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


def delong_interval(labels: NDArray[np.int64], scores: Floats) -> DelongInterval:
    """Computes the 95 % interval of an area: normal, cut off at 0 and 1.

    Args:
        labels: [images], 0 or 1.
        scores: [images], higher speaks for label 1.

    Returns:
        what it is, or why there is none: a class has fewer than MIN_IMAGES images, or the variance
        is 0.
    """
    if min(np.bincount(labels, minlength=2)) < MIN_IMAGES:
        return _undefined(f"there are fewer than {MIN_IMAGES} images of a class")
    areas, variances = delong_covariance(labels, scores[None])
    if variances[0, 0] < _ROUNDING:
        return _undefined(
            "every image beats the same fraction of the other class: no variance is seen"
        )
    error = math.sqrt(variances[0, 0])
    low, high = areas[0] + error * special.ndtri([0.025, 0.975])
    return DelongInterval(max(0.0, float(low)), min(1.0, float(high)), error)


def _undefined(reason: str) -> DelongInterval:
    return DelongInterval(None, None, None, reason)


def mcnemar(*, first_alone: int, second_alone: int) -> float:
    """Tests whether two models are right equally often, on images only one of them is right on.

    McNemar, Psychometrika 12:153-157, 1947, by the exact binomial distribution: if neither is
    better, each such image falls to either with probability 1/2. Images count as independent.

    Args:
        first_alone: images the first alone calls right.
        second_alone: images the second alone calls right.

    Returns:
        p, two-sided, 0..1; 1 where they are never divided.
    """
    divided = first_alone + second_alone
    return min(1.0, 2 * float(special.bdtr(min(first_alone, second_alone), divided, 0.5)))


def delong_difference(
    labels: NDArray[np.int64], first: Floats, second: Floats
) -> tuple[float, float, float]:
    """Tests whether two areas under ROC curves of the same images are equal: DeLong et al. 1988.

    Args:
        labels: [images], 0 or 1, two or more of each.
        first: [images], scores of one model, higher speaks for label 1.
        second: [images], those of the other.

    Returns:
        area of the second less that of the first; its standard error; p, two-sided, from the
        normal distribution. Where the standard error is 0, p is 1 if the areas are equal and NaN
        if not: the images then do not show how much varies by chance.
    """
    areas, covariance = delong_covariance(labels, np.stack([first, second]))
    difference = float(areas[1] - areas[0])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    error = math.sqrt(variance) if variance > 1e-15 else 0.0  # rounding may leave less than 0
    if error == 0:
        return difference, error, 1.0 if abs(difference) < 1e-12 else math.nan
    return difference, error, 2 * float(special.ndtr(-abs(difference) / error))


def bootstrap_p(differences: Floats) -> float:
    """Turns resampled differences [resamples], none NaN, into p, two-sided.

    The percentile interval inverted: the smallest alpha at which the interval of 1 - alpha
    leaves 0 out. Counts begin at one (Davison & Hinkley, Bootstrap Methods and their Application,
    1997, section 4.2), so p is never below 2 / (resamples + 1).
    """
    tail = 1 + min(np.count_nonzero(differences <= 0), np.count_nonzero(differences >= 0))
    return float(min(1.0, 2 * tail / (len(differences) + 1)))


def holm(values: Sequence[float]) -> list[float]:
    """Adjusts p values for their number: Holm, Scandinavian Journal of Statistics 6:65-70, 1979.

    Returns:
        in the order given, 0..1; all that are below alpha hold together with that much risk.
    """
    order = np.argsort(values, kind="stable")
    factors = np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.maximum.accumulate(np.minimum(1, np.asarray(values)[order] * factors))
    return adjusted.tolist()
