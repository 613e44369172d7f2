"""How sure a figure is: whole patients are drawn again and again, and the figure computed anew.

A figure is the row of a weighted sum: films weigh 1 in the split itself, and as often as their
patient was drawn in a resample. So value and interval come from the same few lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flags.errors import CallerError

Floats = NDArray[np.float64]

RESAMPLES = 2000
SEED = 0
PERCENTILES = (2.5, 97.5)
"""Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13: percentile interval."""
MAX_UNDEFINED = 0.05
"""Share of resamples without the figure above which there is no interval."""
BLOCK_VALUES = 2**20
"""Weights held at a time, resamples x films: 8 MiB."""


def resample(patients: NDArray[np.str_], *, resamples: int, seed: int) -> Iterator[Floats]:
    """Draws as many patients as there are, with replacement, again and again.

    Yields:
        Weights [rows, films], rows adding up to `resamples`: how often each film's patient
        was drawn.
    """
    if resamples < 1:
        raise CallerError(f"{resamples} resamples, wanted at least 1 (2000 is usual)")
    names, patient_of_film = np.unique(patients, return_inverse=True)
    generator = np.random.default_rng(seed)
    block = max(1, BLOCK_VALUES // max(1, len(patients)))
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        if len(names) == 0:
            yield np.zeros((rows, 0))
            continue
        drawn = generator.integers(len(names), size=(rows, len(names)))
        cell = drawn + len(names) * np.arange(rows)[:, None]
        times = np.bincount(cell.ravel(), minlength=cell.size).reshape(cell.shape)
        yield times[:, patient_of_film].astype(np.float64)


def weights_by_score(
    labels: NDArray[np.int64], probabilities: Floats, weights: Floats
) -> tuple[Floats, Floats]:
    """Sums the weights of labels 0 and 1 at each distinct probability, ascending: [rows, n]."""
    order = np.argsort(probabilities, kind="stable")
    _, starts = np.unique(probabilities[order], return_index=True)
    if len(starts) == 0:
        return weights, weights
    ordered = weights[:, order]
    truth = labels[order] == 1
    negatives = np.add.reduceat(ordered * ~truth, starts, axis=1)
    return negatives, np.add.reduceat(ordered * truth, starts, axis=1)


def ratio(part: Floats, whole: Floats) -> Floats:
    """Divides, element by element; NaN where the whole is 0."""
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)


def figure(value: float, samples: Floats, *, only_patient: bool) -> dict[str, Any]:
    """Puts a value and its interval together, or says why there is no interval."""
    defined = samples[~np.isnan(samples)]
    missing = 1 - len(defined) / len(samples)
    if only_patient:
        reason = "all films are of one patient"
    elif missing > MAX_UNDEFINED:
        reason = f"the figure is not defined in {100 * missing:.1f} % of the resamples"
    else:
        low, high = np.percentile(defined, PERCENTILES)
        return {"value": value, "low": float(low), "high": float(high)}
    return {"value": value, "low": None, "high": None, "interval_not_defined_because": reason}


def undefined(reason: str) -> dict[str, Any]:
    """Stands in for a figure that is not defined."""
    return {"value": None, "low": None, "high": None, "not_defined_because": reason}
