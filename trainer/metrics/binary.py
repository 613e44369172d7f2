"""Metrics of two classes: labels, classes called and probabilities -> metrics of each resample."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trainer.metrics import probability_metrics, ranking
from trainer.metrics.intervals import Floats, ratio
from trainer.metrics.prediction_arrays import PredictionArrays
from trainer.metrics.predictions import Labels

OF_ANY_CLASS = ("accuracy", "brier", "log_loss")
"""Metrics that are defined although a class has no image."""


def reason(name: str, evaluated: PredictionArrays, called: Labels) -> str:
    """Explains why a metric is not defined although both classes have images."""
    if name == "precision":
        return f"the model calls no {evaluated.unit} {evaluated.names[1]}"
    if name == "mcc":
        return f"the model calls every {evaluated.unit} {evaluated.names[called[0]]}"
    return probability_metrics.reason(evaluated.probabilities[:, 1])


def measure(
    evaluated: PredictionArrays, weights: Floats, *, names: Sequence[str], called: Labels
) -> dict[str, Floats]:
    """Computes metrics for every row of weights.

    Args:
        evaluated: [n] images, breasts or patients.
        weights: [rows, n], how often each counts; whole numbers.
        names: of `metric_table.keys("binary")`, but for calibration_error.
        called: [n], the class each is called.

    Returns:
        For each name [rows], NaN where it is not defined.
    """
    labels, probabilities = evaluated.labels, evaluated.probabilities[:, 1]
    metrics = {
        **decisions(labels == 1, called == 1, weights),
        **ranking.measure(labels, probabilities, weights, names=names),
        **probability_metrics.measure(labels, probabilities, weights, names=names),
    }
    return {name: metrics[name] for name in names}


def decisions(
    truth: NDArray[np.bool_], called: NDArray[np.bool_], weights: Floats
) -> dict[str, Floats]:
    """Computes the metrics of a confusion matrix for every row of weights.

    What weighs one class against the other (precision, F1, balanced accuracy) is defined only
    where both have images; F1 is 2 tp / (2 tp + fp + fn), so 0 if nothing is found. MCC, Matthews's
    correlation (Biochimica et Biophysica Acta 405:442-451, 1975), needs both classes called too.

    Args:
        truth: [images], whether the label is 1.
        called: [images], whether the image is called that.
        weights: [rows, images], how often each image counts; whole numbers.

    Returns:
        For each metric [rows], 0..1, MCC -1..1; NaN where it is not defined.
    """
    kinds = np.stack([~truth & ~called, ~truth & called, truth & ~called, truth & called], axis=1)
    tn, fp, fn, tp = (weights @ kinds.astype(np.float64)).T
    recall, specificity = ratio(tp, tp + fn), ratio(tn, tn + fp)
    both = (tp + fn > 0) & (tn + fp > 0)
    return {
        "accuracy": ratio(tp + tn, tp + tn + fp + fn),
        "precision": np.where(both, ratio(tp, tp + fp), np.nan),
        "recall": recall,
        "specificity": specificity,
        "f1": np.where(both, ratio(2 * tp, 2 * tp + fp + fn), np.nan),
        "balanced_accuracy": (recall + specificity) / 2,
        "mcc": ratio(tp * tn - fp * fn, np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))),
    }
