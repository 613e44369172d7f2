"""Figures of images, breasts or patients; here alone two classes and more part.

figures = score(images, Draws(), names=names_of(images), threshold=0.5)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.metrics import binary, multiclass
from trainer.metrics.columns import Judged
from trainer.metrics.intervals import Draws

CALIBRATION = binary.CALIBRATION
"""Figures that ask whether probabilities are right, not only in order."""


def names_of(judged: Judged) -> Sequence[str]:
    """Names all figures there are: of grades kappa too."""
    if not judged.several:
        return binary.NAMES
    return multiclass.ORDINAL_NAMES if judged.ordinal else multiclass.NAMES


def answers_of(judged: Judged, threshold: float) -> NDArray[np.int64]:
    """Says which class each is called; the threshold parts two classes."""
    if judged.several:
        return multiclass.answers_of(judged.probabilities, ordinal=judged.ordinal)
    return (judged.probabilities[:, 1] > threshold).astype(np.int64)


def score(
    judged: Judged, draws: Draws, *, names: Sequence[str], threshold: float
) -> dict[str, dict[str, Any]]:
    """Computes figures and intervals: name -> {"value", "low", "high"}.

    Args:
        judged: images, breasts or patients.
        draws: how patients are drawn.
        names: of `names_of(judged)`.
        threshold: probability above which label 1 is called; of two classes.
    """
    if judged.several:
        return multiclass.score(judged, draws, names=names)
    called = judged.probabilities[:, 1] > threshold
    return binary.score(judged, draws, names=names, called=called)
