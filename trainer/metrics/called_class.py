"""The class an image is called, from the probabilities of its classes: the one place that decides.

called = called_classes(probabilities, threshold=0.5)  # [images, K] -> [images]
called = called_class(prediction, ordinal=False)
"""

from __future__ import annotations

import numpy as np

from trainer.metrics.intervals import Floats
from trainer.metrics.predictions import ClassProbabilities, Labels

THRESHOLD = 0.5
"""Probability above which an image counts as label 1; like Keras's BinaryAccuracy, not at it."""


def called_classes(
    probabilities: Floats, *, threshold: float | Floats = THRESHOLD, ordinal: bool = False
) -> Labels:
    """Decides which class each image is called, [images, K] -> [images].

    Of two classes 1 above the threshold. Of more the likeliest; of grades the median: the first
    above which lies no more than a half.

    Args:
        probabilities: [images, K].
        threshold: of all images or of each, [images]; of two classes alone.
        ordinal: whether each class is above the one before.
    """
    if probabilities.shape[1] == 2:
        return (probabilities[:, 1] > threshold).astype(np.int64)
    if not ordinal:
        return probabilities.argmax(axis=1)
    above = 1 - np.cumsum(probabilities[:, :-1], axis=1)
    return np.count_nonzero(above > 0.5, axis=1)


def called_class(
    image: ClassProbabilities, *, ordinal: bool = False, threshold: float | None = None
) -> int:
    """Decides which class one image is called.

    Args:
        image: its probabilities.
        ordinal: whether each class is above the one before.
        threshold: of two classes; None: that of its own network, THRESHOLD if it has none.
    """
    if threshold is None:
        threshold = THRESHOLD if image.threshold is None else image.threshold
    row = np.array([image.probabilities])
    return int(called_classes(row, threshold=threshold, ordinal=ordinal)[0])
