"""Metrics of images, breasts or patients; the one place where two classes and more part.

metrics = score(images, Bootstrap(), names=metric_table.keys(images.kind), threshold=0.5)
"""

from __future__ import annotations

from collections.abc import Sequence

from trainer.metrics import binary, calibration_error, multiclass
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
        names: of `metric_table.keys(evaluated.kind)`.
        threshold: probability above which label 1 is called, or that of each [n]; of two classes.
    """
    called = called_classes(evaluated.probabilities, threshold=threshold, ordinal=evaluated.ordinal)
    module = _MODULES[evaluated.kind]
    resampled = [name for name in names if name != "calibration_error"]

    def why(name: str) -> str:
        lack = evaluated.lack()
        if lack and (len(called) == 0 or name not in module.OF_ANY_CLASS):
            return lack
        return module.reason(name, evaluated, called)

    metrics = bootstrap.score(
        lambda weights: module.measure(evaluated, weights, names=resampled, called=called),
        evaluated.patients,
        why=why,
    )
    if "calibration_error" in names:
        metrics["calibration_error"] = calibration_error.score(evaluated, bootstrap)
    return {name: metrics[name] for name in names}


def measure(
    evaluated: PredictionArrays, weights: Floats, *, names: Sequence[str], threshold: float | Floats
) -> dict[str, Floats]:
    """Computes metrics for every row of weights [rows, n]: name -> [rows], NaN if not defined."""
    called = called_classes(evaluated.probabilities, threshold=threshold, ordinal=evaluated.ordinal)
    return _MODULES[evaluated.kind].measure(evaluated, weights, names=names, called=called)
