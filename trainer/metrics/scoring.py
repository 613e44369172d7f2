"""Metrics of images, breasts or patients; here alone two classes and more part.

metrics = score(images, Bootstrap(), names=names_of(images), threshold=0.5)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.metrics import binary, multiclass
from trainer.metrics.intervals import Bootstrap
from trainer.metrics.prediction_arrays import PredictionArrays

CALIBRATION = binary.CALIBRATION
"""Metrics that ask whether probabilities are right, not only in order."""


def names_of(evaluated: PredictionArrays) -> Sequence[str]:
    """Names all metrics there are: of grades kappa too."""
    if not evaluated.several:
        return binary.NAMES
    return multiclass.ORDINAL_NAMES if evaluated.ordinal else multiclass.NAMES


def answers_of(evaluated: PredictionArrays, threshold: float) -> NDArray[np.int64]:
    """Says which class each is called; the threshold parts two classes."""
    if evaluated.several:
        return multiclass.answers_of(evaluated.probabilities, ordinal=evaluated.ordinal)
    return (evaluated.probabilities[:, 1] > threshold).astype(np.int64)


def score(
    evaluated: PredictionArrays, bootstrap: Bootstrap, *, names: Sequence[str], threshold: float
) -> dict[str, dict[str, Any]]:
    """Computes metrics and intervals: name -> {"value", "low", "high"}.

    Args:
        evaluated: images, breasts or patients.
        bootstrap: how patients are drawn.
        names: of `names_of(evaluated)`.
        threshold: probability above which label 1 is called; of two classes.
    """
    if evaluated.several:
        return multiclass.score(evaluated, bootstrap, names=names)
    called = evaluated.probabilities[:, 1] > threshold
    return binary.score(evaluated, bootstrap, names=names, called=called)
