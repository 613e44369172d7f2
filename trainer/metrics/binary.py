"""Metrics of two classes, each with its interval over patients.

metrics = score(images, Bootstrap(), names=NAMES, called=images.probabilities[:, 1] > 0.5)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.metrics import calibration_error, decisions, probability_metrics, ranking
from trainer.metrics.intervals import Bootstrap, Floats
from trainer.metrics.prediction_arrays import PredictionArrays

CALIBRATION = (
    "brier",
    "log_loss",
    "calibration_error",
    "calibration_slope",
    "calibration_intercept",
)
NAMES = ("auc", *decisions.NAMES, *list(ranking.FIGURES)[1:], "pf1", *CALIBRATION)
_OF_ANY_CLASS = ("accuracy", "brier", "log_loss")


def score(
    evaluated: PredictionArrays,
    bootstrap: Bootstrap,
    *,
    names: Sequence[str],
    called: NDArray[np.bool_],
) -> dict[str, dict[str, Any]]:
    """Computes metrics and intervals.

    Args:
        evaluated: images, breasts or patients.
        bootstrap: how patients are drawn.
        names: of NAMES.
        called: [n], whether each is called label 1.
    """
    labels, probabilities = evaluated.labels, evaluated.probabilities[:, 1]
    resampled = [name for name in names if name != "calibration_error"]

    def measure(weights: Floats) -> Mapping[str, Floats]:
        metrics = {
            **decisions.measure(labels == 1, called, weights),
            **ranking.measure(labels, probabilities, weights, names=names),
            **probability_metrics.measure(labels, probabilities, weights, names=names),
        }
        return {name: metrics[name] for name in resampled}

    def why(name: str) -> str:
        lack = evaluated.lack()
        if lack and (len(labels) == 0 or name not in _OF_ANY_CLASS):
            return lack
        if name == "precision":
            return f"the model calls no {evaluated.unit} {evaluated.names[1]}"
        if name == "mcc":
            return f"the model calls every {evaluated.unit} {evaluated.names[int(called[0])]}"
        return probability_metrics.reason(probabilities)

    metrics = bootstrap.score(measure, evaluated.patients, why=why)
    if "calibration_error" in names:
        metrics["calibration_error"] = calibration_error.score(evaluated, bootstrap)
    return {name: metrics[name] for name in names}
