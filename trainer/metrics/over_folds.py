"""Metrics of the folds of a cross-validation -> mean and standard deviation.

over_folds = summarise([scores_of_fold0, scores_of_fold1, ...])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def summarise(scores: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Takes mean and standard deviation of each metric over the folds where it is defined.

    Left out are metrics that some fold does not have at all: it was scored by an earlier version.

    Args:
        scores: metrics.json of each fold.

    Returns:
        name -> {"mean", "sd", "folds"}: the sample standard deviation (n - 1), None below two
        folds; the number of folds that define the metric.
    """
    summary = {}
    for name, metric in scores[0].items():
        if not (isinstance(metric, dict) and "value" in metric):
            continue
        if not all(name in fold for fold in scores):  # some were scored by an earlier version
            continue
        values = [fold[name]["value"] for fold in scores if fold[name]["value"] is not None]
        summary[name] = {
            "mean": float(np.mean(values)) if values else None,
            "sd": float(np.std(values, ddof=1)) if len(values) > 1 else None,
            "folds": len(values),
        }
    return summary
