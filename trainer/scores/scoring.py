"""Figures of films, breasts or patients; here alone two classes and more part.

figures = score(films, Draws(), names=names_of(films), threshold=0.5)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.scores import class_metrics, two_classes
from trainer.scores.intervals import Draws
from trainer.scores.judged import Judged

CALIBRATION = two_classes.CALIBRATION
"""Figures that ask whether probabilities are right, not only in order."""


def names_of(judged: Judged) -> Sequence[str]:
    """Names all figures there are: of grades kappa too."""
    if not judged.several:
        return two_classes.NAMES
    return class_metrics.ORDINAL_NAMES if judged.ordinal else class_metrics.NAMES


def answers_of(judged: Judged, threshold: float) -> NDArray[np.int64]:
    """Says which class each is called; the threshold parts two classes."""
    if judged.several:
        return class_metrics.answers_of(judged.probabilities, ordinal=judged.ordinal)
    return (judged.probabilities[:, 1] > threshold).astype(np.int64)


def score(
    judged: Judged, draws: Draws, *, names: Sequence[str], threshold: float
) -> dict[str, dict[str, Any]]:
    """Computes figures and intervals: name -> {"value", "low", "high"}.

    Args:
        judged: films, breasts or patients.
        draws: how patients are drawn.
        names: of `names_of(judged)`.
        threshold: probability above which label 1 is called; of two classes.
    """
    if judged.several:
        return class_metrics.score(judged, draws, names=names)
    called = judged.probabilities[:, 1] > threshold
    return two_classes.score(judged, draws, names=names, called=called)
