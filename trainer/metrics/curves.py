"""The points of ROC, precision-recall and reliability curves, with their 95 % bands.

low, high = band(roc_curves, labels, probabilities, patients, at=np.linspace(0, 1, 201))
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from trainer.metrics import intervals
from trainer.metrics.calibration_error import bins_of
from trainer.metrics.intervals import Floats

Curve = tuple[Floats, Floats]
"""Points of a curve: across, ascending, and up."""
Z = 1.959963984540054
"""97.5th percentile of the normal distribution, for 95 % intervals."""


@dataclasses.dataclass(frozen=True)
class Bin:
    """Images whose probabilities are alike.

    Attributes:
        start: lowest of their probabilities.
        end: highest of them.
        images: how many they are.
        events: how many truly are what the probability is of.
        probability: mean of their probabilities, 0..1.
        low: of the 95 % interval of the fraction events / images.
        high: its other end.
    """

    start: float
    end: float
    images: int
    events: int
    probability: float
    low: float
    high: float

    @property
    def fraction(self) -> float:
        """Fraction of the images that truly are what the probability is of."""
        return self.events / self.images


def roc_curves(
    labels: NDArray[np.int64], probabilities: Floats, weights: Floats
) -> Iterator[Curve]:
    """Computes a ROC curve for each row of weights [rows, images] in which both classes weigh.

    Yields:
        (false positive rate, true positive rate), [distinct probabilities + 1] each, from 0 to 1.
    """
    for false, true in _counts(labels, probabilities, weights):
        across, up = (np.concatenate([[0.0], one]) for one in (false, true))
        yield across / across[-1], up / up[-1]


def precision_recall_curves(
    labels: NDArray[np.int64], probabilities: Floats, weights: Floats
) -> Iterator[Curve]:
    """Computes a precision-recall curve for each row of weights in which both classes weigh.

    Between two points it is a step, with the precision of the point to the right: the area under
    it is average precision (a straight line would be too good: Davis & Goadrich, The relationship
    between precision-recall and ROC curves, ICML 2006).

    Yields:
        (recall, precision), from the surest image on; at each recall reached, the best precision.
    """
    for false, true in _counts(labels, probabilities, weights):
        reached, first = np.unique(true, return_index=True)
        first = first[reached > 0]
        yield true[first] / true[-1], true[first] / (true[first] + false[first])


def interpolate(curve: Curve, at: Floats) -> Floats:
    """Reads a ROC curve at false positive rates [n]: straight between its points."""
    return np.interp(at, *curve)


def step(curve: Curve, at: Floats) -> Floats:
    """Reads a precision-recall curve at recalls [n], each 0..1."""
    recall, precision = curve
    return precision[np.searchsorted(recall, at)]


def band(
    curves: Callable[[NDArray[np.int64], Floats, Floats], Iterator[Curve]],
    read: Callable[[Curve, Floats], Floats],
    labels: NDArray[np.int64],
    probabilities: Floats,
    patients: NDArray[np.str_],
    *,
    at: Floats,
) -> tuple[Floats, Floats]:
    """Computes the 95 % band of a curve at the places `at` [n]; needs images of both classes.

    Pointwise percentiles over the resamples of patients that scores have their intervals from.

    Args:
        curves: `roc_curves` or `precision_recall_curves`.
        read: `interpolate` or `step`.
        labels: [images], 0 or 1.
        probabilities: [images], of label 1.
        patients: [images].
        at: where across.

    Returns:
        low and high, [n] each.
    """
    heights = [
        read(curve, at)
        for weights in intervals.resample(
            patients, resamples=intervals.RESAMPLES, seed=intervals.SEED
        )
        for curve in curves(labels, probabilities, weights)
    ]
    low, high = np.percentile(np.array(heights), intervals.PERCENTILES, axis=0)
    return low, high


def reliability(
    truth: NDArray[np.bool_], probabilities: Floats, patients: NDArray[np.str_]
) -> list[Bin]:
    """Sorts images into the bins of `trainer.metrics.calibration_error`.

    Equally many images each, as far as ties allow; bins without images are left out.

    Args:
        truth: [images], whether the image is what the probability is of.
        probabilities: [images], 0..1.
        patients: [images].
    """
    number = bins_of(probabilities)
    bins = []
    for inside in (number == one for one in np.unique(number)):
        images, events = int(inside.sum()), int(truth[inside].sum())
        low, high = wilson(events / images, len(np.unique(patients[inside])))
        alike = probabilities[inside]
        ends = float(alike.min()), float(alike.max())
        bins.append(Bin(*ends, images, events, float(alike.mean()), low, high))
    return bins


def wilson(fraction: float, count: int) -> tuple[float, float]:
    """Computes the 95 % interval of a fraction seen in `count` independent cases.

    Wilson, Probable inference, the law of succession, and statistical inference, Journal of the
    American Statistical Association 22:209-212, 1927. For images the count is that of patients:
    views of one breast are no independent cases, and the interval had better be too wide.
    """
    square = Z * Z / count
    middle = (fraction + square / 2) / (1 + square)
    half = Z * math.sqrt(fraction * (1 - fraction) / count + square / (4 * count)) / (1 + square)
    return max(0.0, middle - half), min(1.0, middle + half)


def _counts(labels: NDArray[np.int64], probabilities: Floats, weights: Floats) -> Iterator[Curve]:
    """Counts false and true positives from the highest probability on, where both classes weigh."""
    negatives, positives = intervals.weights_by_score(labels, probabilities, weights)
    for pair in zip(negatives[:, ::-1], positives[:, ::-1], strict=True):
        false, true = (np.cumsum(one) for one in pair)
        if false[-1] > 0 and true[-1] > 0:
            yield false, true
