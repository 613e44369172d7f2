"""Metrics of images, breasts or patients; the one place where two classes and more part.

metrics = score(images, Bootstrap(), names=table.keys(images.kind), threshold=0.5)
"""

from __future__ import annotations

from collections.abc import Sequence

from trainer.metrics import binary, multiclass
from trainer.metrics.called_class import called_classes
from trainer.metrics.intervals import Bootstrap, Floats
from trainer.metrics.metrics_json import MetricValue
from trainer.metrics.prediction_arrays import PredictionArrays

_MODULES = {"binary": binary, "classes": multiclass, "ordinal": multiclass}


def score(
    evaluated: PredictionArrays,
    bootstrap: Bootstrap,
    *,
    names: Sequence[str],
    threshold: float | Floats,
) -> dict[str, MetricValue]:
    """Computes metrics and intervals, by name.

    Args:
        evaluated: [n] images, breasts or patients.
        bootstrap: how patients are resampled.
        names: of `table.keys(evaluated.kind)`.
        threshold: probability above which label 1 is called, or that of each [n]; of two classes.
    """
    called = called_classes(evaluated.probabilities, threshold=threshold, ordinal=evaluated.ordinal)
    return _MODULES[evaluated.kind].score(evaluated, bootstrap, names=names, called=called)


def measure(
    evaluated: PredictionArrays,
    weights: Floats,
    *,
    names: Sequence[str],
    threshold: float | Floats,
) -> dict[str, Floats]:
    """Computes metrics for every row of weights [rows, n]: name -> [rows], NaN if not defined."""
    called = called_classes(evaluated.probabilities, threshold=threshold, ordinal=evaluated.ordinal)
    return _MODULES[evaluated.kind].measure(evaluated, weights, names=names, called=called)
