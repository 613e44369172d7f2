"""Metrics of yes and no: what a threshold makes of probabilities.

metrics = measure(labels == 1, probabilities > 0.5, weights)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trainer.metrics.intervals import Floats, ratio

NAMES = ("accuracy", "precision", "recall", "specificity", "f1", "balanced_accuracy", "mcc")


def measure(
    truth: NDArray[np.bool_], answer: NDArray[np.bool_], weights: Floats
) -> dict[str, Floats]:
    """Computes every metric for every row of weights.

    What weighs one class against the other (precision, F1, balanced accuracy) is defined only
    where both have images; F1 is 2 tp / (2 tp + fp + fn), so 0 if nothing is found. MCC, Matthews's
    correlation (Biochimica et Biophysica Acta 405:442-451, 1975), needs both answers too.

    Args:
        truth: [images], whether the label is 1.
        answer: [images], whether the image is called that.
        weights: [rows, images], how often each image counts; whole numbers.

    Returns:
        For each of NAMES [rows], 0..1, MCC -1..1; NaN where it is not defined.
    """
    kinds = np.stack([~truth & ~answer, ~truth & answer, truth & ~answer, truth & answer], axis=1)
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
