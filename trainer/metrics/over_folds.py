"""Metrics of the folds of a cross-validation -> mean and standard deviation.

over_folds = summarise([scores_of_fold0, scores_of_fold1, ...])
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trainer.metrics.metrics_json import Metrics, OverFolds


def summarise(scores: Sequence[Metrics]) -> dict[str, OverFolds]:
    """Computes mean and standard deviation of each metric over the folds where it is defined.

    Left out are metrics that some fold does not have at all: it was scored by an earlier version.

    Returns:
        by name; the standard deviation is that of a sample (n - 1), None below two folds.
    """
    summary = {}
    for name in scores[0].metrics:
        if not all(name in fold for fold in scores):  # some were scored by an earlier version
            continue
        values = [value for fold in scores if (value := fold[name].value) is not None]
        summary[name] = OverFolds(
            float(np.mean(values)) if values else None,
            float(np.std(values, ddof=1)) if len(values) > 1 else None,
            len(values),
        )
    return summary
