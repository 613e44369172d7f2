"""Figures of two classes, each with its interval over patients.

figures = score(films, Draws(), names=NAMES, called=films.probabilities[:, 1] > 0.5)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer import decisions, probability_scores, ranking
from trainer.intervals import Draws, Floats
from trainer.judged import Judged

NAMES = ("auc", *decisions.NAMES, *list(ranking.FIGURES)[1:], *probability_scores.FIGURES)
CALIBRATION = tuple(name for name in probability_scores.FIGURES if name != "pf1")
OF_GROUPS = tuple(name for name in NAMES if name not in CALIBRATION)
"""Breasts and patients have these: the mean or maximum of probabilities is no probability."""
OF_SUBGROUPS = ("auc", "accuracy", "recall", "specificity")
_OF_ANY_CLASS = ("accuracy", "brier", "log_loss", "calibration_error")


def score(
    judged: Judged, draws: Draws, *, names: Sequence[str], called: NDArray[np.bool_]
) -> dict[str, dict[str, Any]]:
    """Computes figures and intervals.

    Args:
        judged: films, breasts or patients.
        draws: how patients are drawn.
        names: of NAMES.
        called: [n], whether each is called label 1.
    """
    labels, probabilities = judged.labels, judged.probabilities[:, 1]

    def measure(weights: Floats) -> Mapping[str, Floats]:
        figures = {
            **decisions.measure(labels == 1, called, weights),
            **ranking.measure(labels, probabilities, weights, names=names),
            **probability_scores.measure(labels, probabilities, weights, names=names),
        }
        return {name: figures[name] for name in names}

    def why(name: str) -> str:
        lack = judged.lack()
        if lack and (len(labels) == 0 or name not in _OF_ANY_CLASS):
            return lack
        if name == "precision":
            return f"the model calls no {judged.unit} {judged.names[1]}"
        if name == "mcc":
            return f"the model calls every {judged.unit} {judged.names[int(called[0])]}"
        return probability_scores.reason(name, labels, probabilities)

    return draws.score(measure, judged.patients, why=why)
