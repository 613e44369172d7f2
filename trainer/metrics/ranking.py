"""Ranking metrics, such as the AUC: labels and probabilities, without a threshold -> metrics.

metrics = measure(labels, probabilities, weights, names=("auc", "average_precision"))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from trainer.metrics.intervals import Floats, ratio, weights_by_score

PARTIAL_RATE = 0.1
"""The partial area is that of specificities from 1 down to 0.9: screening recalls few."""


def measure(
    labels: NDArray[np.int64], probabilities: Floats, weights: Floats, *, names: Sequence[str]
) -> dict[str, Floats]:
    """Computes metrics for every row of weights.

    Args:
        labels: [images], 0 or 1.
        probabilities: [images], of label 1; only their order counts, ties are ties.
        weights: [rows, images], how often each image counts; whole numbers.
        names: of METRICS.

    Returns:
        For each name [rows], 0..1, NaN where not both labels weigh.
    """
    negatives, positives = weights_by_score(labels, probabilities, weights)
    both = (negatives.sum(axis=1) > 0) & (positives.sum(axis=1) > 0)
    return {
        name: np.where(both, METRICS[name](negatives, positives), np.nan)
        for name in names
        if name in METRICS
    }


def _area(negatives: Floats, positives: Floats) -> Floats:
    """Fraction of pairs of a positive and a negative image in the right order, a tie counting half.

    Mann & Whitney, Annals of Mathematical Statistics 18:50-60, 1947; the area under the ROC curve
    by Bamber, Journal of Mathematical Psychology 12:387-415, 1975.
    """
    beaten = np.cumsum(negatives, axis=1) - negatives / 2
    pairs: Floats = positives.sum(axis=1) * negatives.sum(axis=1)
    return ratio((positives * beaten).sum(axis=1), pairs)


def _partial_area(negatives: Floats, positives: Floats) -> Floats:
    """Area where the specificity is 0.9 or more, scaled: 1 is perfect, 0.5 is chance.

    McClish, Analyzing a portion of the ROC curve, Medical Decision Making 9:190-195, 1989.
    """
    across, up = _curve(negatives, positives)
    width = np.diff(across, axis=1)
    inside = np.clip(PARTIAL_RATE - across[:, :-1], 0, width)  # of each step to the right
    rise = np.divide(np.diff(up, axis=1), width, out=np.zeros(width.shape), where=width > 0)
    area = (inside * (up[:, :-1] + inside * rise / 2)).sum(axis=1)
    chance = PARTIAL_RATE**2 / 2
    return (1 + (area - chance) / (PARTIAL_RATE - chance)) / 2


def _curve(negatives: Floats, positives: Floats) -> tuple[Floats, Floats]:
    """ROC curve of each row: false and true positive rate [rows, n + 1], from 0 to 1."""
    rates = []
    for images in (negatives, positives):
        called = np.zeros((images.shape[0], images.shape[1] + 1))
        np.cumsum(images[:, ::-1], axis=1, out=called[:, 1:])
        total = called[:, -1:]
        rates.append(np.divide(called, total, out=called, where=total > 0))
    return rates[0], rates[1]


def _average_precision(negatives: Floats, positives: Floats) -> Floats:
    """Mean of the precisions at which each positive image is found; no interpolation.

    Davis & Goadrich, The relationship between precision-recall and ROC curves, ICML 2006, say why
    straight lines between the points would be too good.
    """
    found = np.cumsum(positives[:, ::-1], axis=1)
    called = found + np.cumsum(negatives[:, ::-1], axis=1)
    precision = np.divide(found, called, out=np.zeros(found.shape), where=called > 0)
    return ratio((positives[:, ::-1] * precision).sum(axis=1), found[:, -1:].sum(axis=1))


def _best_fraction(found: Floats, missed: Floats, percent: int) -> Floats:
    """Largest fraction of `found` at thresholds that leave `percent` of `missed` below or at them.

    Both [rows, n] in the order in which thresholds pass them. Points of the curve itself, none
    between; whole numbers are compared, so that 90 % of ten is nine.
    """
    passed = np.cumsum(missed, axis=1)
    total = passed[:, -1:]
    allowed = 100 * passed <= (100 - percent) * total
    fractions = np.where(allowed, np.cumsum(found, axis=1), 0).max(axis=1, initial=0)
    return ratio(fractions, found.sum(axis=1))


def _sensitivity_at(percent: int) -> Callable[[Floats, Floats], Floats]:
    def metric(negatives: Floats, positives: Floats) -> Floats:
        return _best_fraction(positives[:, ::-1], negatives[:, ::-1], percent)

    return metric


def _specificity_at(percent: int) -> Callable[[Floats, Floats], Floats]:
    def metric(negatives: Floats, positives: Floats) -> Floats:
        return _best_fraction(negatives, positives, percent)

    return metric


METRICS: dict[str, Callable[[Floats, Floats], Floats]] = {
    "auc": _area,
    "partial_auc": _partial_area,
    "average_precision": _average_precision,
    "sensitivity_at_90_specificity": _sensitivity_at(90),
    "sensitivity_at_95_specificity": _sensitivity_at(95),
    "specificity_at_90_sensitivity": _specificity_at(90),
    "specificity_at_95_sensitivity": _specificity_at(95),
}
"""Name -> weights of negatives and of positives at each distinct probability, ascending,
[rows, n] -> metric [rows]."""
