"""Whether two models evaluated on the same images differ by more than chance: paired tests, pure.

p = mcnemar(first_alone=9, second_alone=2)
difference, standard_error, p = delong_difference(labels, first, second)
adjusted = holm([0.01, 0.04, 0.03])
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special

from trainer.metrics import delong
from trainer.metrics.intervals import Floats


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
        if not: no image says then how much chance there is.
    """
    areas, covariance = delong.covariance(labels, np.stack([first, second]))
    difference = float(areas[1] - areas[0])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    error = math.sqrt(variance) if variance > 1e-15 else 0.0  # rounding may leave less than 0
    if error == 0:
        return difference, error, 1.0 if abs(difference) < 1e-12 else math.nan
    return difference, error, 2 * float(special.ndtr(-abs(difference) / error))


def bootstrap_p(differences: Floats) -> float:
    """Turns resampled differences [resamples], none NaN, into p, two-sided.

    The percentile interval inverted: the smallest share alpha at which the interval of 1 - alpha
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
