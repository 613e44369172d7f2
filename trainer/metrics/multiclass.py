"""Metrics of more than two classes: labels, classes called, probabilities -> of each resample.

What is one class against the rest is the mean over the classes; with the macro metrics and
`balanced_accuracy`, the mean recall, it is defined only where every class has images.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trainer.metrics import probability_metrics, ranking
from trainer.metrics.intervals import Floats, ratio
from trainer.metrics.prediction_arrays import PredictionArrays
from trainer.metrics.predictions import Labels

_ONE_AGAINST_THE_REST = tuple(ranking.METRICS)
OF_ANY_CLASS = ("accuracy", "kappa", "mcc", "brier", "log_loss")
"""Metrics that are defined although a class has no image."""


def reason(name: str, evaluated: PredictionArrays, called: Labels) -> str:
    """Explains why a metric is not defined although every class has images."""
    if name == "kappa":
        return f"all {evaluated.unit}s are of one class and called that"
    if name == "mcc":
        return f"all {evaluated.unit}s are of one class, or are called one"
    assert name == "macro_precision", name
    never = [one for label, one in enumerate(evaluated.names) if label not in called]
    return f"the model calls no {evaluated.unit} {' or '.join(never)}"


def confusion_matrix(labels: Labels, called: Labels, classes: int) -> Labels:
    """Counts images as [K, K]: a row a label, a column a class called."""
    cells = np.zeros((classes, classes), np.int64)
    np.add.at(cells, (labels, called), 1)
    return cells


def measure(
    evaluated: PredictionArrays, weights: Floats, *, names: Sequence[str], called: Labels
) -> dict[str, Floats]:
    """Computes metrics for every row of weights, as `binary.measure`."""
    labels, probabilities = evaluated.labels, evaluated.probabilities
    images, classes = probabilities.shape
    kind = np.zeros((images, classes * classes))
    kind[np.arange(images), labels * classes + called] = 1
    cells: Floats = (weights @ kind).reshape(-1, classes, classes)
    metrics = {
        **_of_decisions(cells),
        **_of_classes(labels, probabilities, weights, names),
        **_of_the_truth(labels, probabilities, weights),
    }
    return {name: metrics[name] for name in names}


def _of_decisions(cells: Floats) -> dict[str, Floats]:
    """Metrics of confusion matrices [rows, K, K]."""
    right: Floats = np.diagonal(cells, axis1=1, axis2=2)
    truly, called, total = cells.sum(axis=2), cells.sum(axis=1), cells.sum(axis=(1, 2))
    others = total[:, None] - truly
    macro = {
        "macro_precision": ratio(right, called),
        "macro_specificity": ratio(others - called + right, others),
        "macro_f1": ratio(2 * right, truly + called),
    }
    every = (truly > 0).all(axis=1)
    return {
        "accuracy": ratio(right.sum(axis=1), total),
        "balanced_accuracy": ratio(right, truly).mean(axis=1),
        **{name: np.where(every, of.mean(axis=1), np.nan) for name, of in macro.items()},
        "mcc": _correlation(right.sum(axis=1), truly, called, total),
        "kappa": _kappa(cells, truly, called, total),
    }


def _of_classes(
    labels: Labels, probabilities: Floats, weights: Floats, names: Sequence[str]
) -> dict[str, Floats]:
    """Means over the classes, each against the rest."""
    wanted = [name for name in _ONE_AGAINST_THE_REST if name in names]
    of_class = [
        ranking.measure((labels == label).astype(np.int64), one, weights, names=wanted)
        for label, one in enumerate(probabilities.T)
    ]
    return {name: np.mean([metrics[name] for metrics in of_class], axis=0) for name in wanted}


def _of_the_truth(labels: Labels, probabilities: Floats, weights: Floats) -> dict[str, Floats]:
    """Brier score, halved so that of two classes it is the usual one, and log loss."""
    truth = labels[:, None] == np.arange(probabilities.shape[1])
    distance = np.square(probabilities - truth).sum(axis=1) / 2
    of_truth = np.maximum(probabilities[truth], probability_metrics.EPSILON)
    total = weights.sum(axis=1)
    return {
        "brier": ratio(weights @ distance, total),
        "log_loss": ratio(weights @ -np.log(of_truth), total),
    }


def _correlation(right: Floats, truly: Floats, called: Floats, total: Floats) -> Floats:
    """Matthews's correlation of K classes: Gorodkin, Comput. Biol. Chem. 28:367-374, 2004."""
    spread = [total**2 - np.square(one).sum(axis=1) for one in (truly, called)]
    return ratio(right * total - (truly * called).sum(axis=1), np.sqrt(spread[0] * spread[1]))


def _kappa(cells: Floats, truly: Floats, called: Floats, total: Floats) -> Floats:
    """1 - squared distances seen / squared distances if truth and class called were independent."""
    grades = np.arange(cells.shape[1])
    distances = np.square(grades[:, None] - grades).astype(np.float64)
    seen = (cells * distances).sum(axis=(1, 2)) * total
    by_chance = np.einsum("ri,ij,rj->r", truly, distances, called)
    return 1 - ratio(seen, by_chance)
