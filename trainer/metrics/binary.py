"""Figures of two classes, each with its interval over patients.

figures = score(images, Draws(), names=NAMES, called=images.probabilities[:, 1] > 0.5)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.metrics import calibration_error, decisions, probability_metrics, ranking
from trainer.metrics.columns import Judged
from trainer.metrics.intervals import Draws, Floats

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
    judged: Judged, draws: Draws, *, names: Sequence[str], called: NDArray[np.bool_]
) -> dict[str, dict[str, Any]]:
    """Computes figures and intervals.

    Args:
        judged: images, breasts or patients.
        draws: how patients are drawn.
        names: of NAMES.
        called: [n], whether each is called label 1.
    """
    labels, probabilities = judged.labels, judged.probabilities[:, 1]
    resampled = [name for name in names if name != "calibration_error"]

    def measure(weights: Floats) -> Mapping[str, Floats]:
        figures = {
            **decisions.measure(labels == 1, called, weights),
            **ranking.measure(labels, probabilities, weights, names=names),
            **probability_metrics.measure(labels, probabilities, weights, names=names),
        }
        return {name: figures[name] for name in resampled}

    def why(name: str) -> str:
        lack = judged.lack()
        if lack and (len(labels) == 0 or name not in _OF_ANY_CLASS):
            return lack
        if name == "precision":
            return f"the model calls no {judged.unit} {judged.names[1]}"
        if name == "mcc":
            return f"the model calls every {judged.unit} {judged.names[int(called[0])]}"
        return probability_metrics.reason(probabilities)

    figures = draws.score(measure, judged.patients, why=why)
    if "calibration_error" in names:
        figures["calibration_error"] = calibration_error.score(judged, draws)
    return {name: figures[name] for name in names}
