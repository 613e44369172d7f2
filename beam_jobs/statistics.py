"""What the pixels of a data set look like: per film in the workers, summed up at the end."""

from __future__ import annotations

import collections
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from beam_jobs.imaging.levels import LEVELS, count_levels
from beam_jobs.sources.film import Film
from flags import schema

BINS = 64
_CLASS_COLUMNS = ("side", "view", "abnormality", "density", "assessment")


def measure(image: np.ndarray) -> dict[str, Any]:
    """Measures one image.

    Args:
        image: [height, width, 1] uint16.

    Returns:
        mean and deviation in [0, 1] (1 is white), extremes in 0..65535, and the share of pixels in
        each of 64 equal bins of grey.
    """
    counts = count_levels(image[:, :, 0])
    levels = np.arange(LEVELS) / schema.FULL_SCALE
    present = np.flatnonzero(counts)
    mean = float(counts @ levels) / image.size
    return {
        "mean": mean,
        "deviation": math.sqrt(float(counts @ (levels - mean) ** 2) / image.size),
        "darkest": int(present[0]),
        "brightest": int(present[-1]),
        "histogram": (counts.reshape(BINS, -1).sum(axis=1) / image.size).round(6).tolist(),
    }


def summarise(written: Sequence[tuple[Film, dict[str, Any]]]) -> dict[str, Any]:
    """Builds statistics.json from the films written and their measurements."""
    measured = [measurement for _, measurement in written]
    films = [film for film, _ in written]
    return {
        "films": len(films),
        "pixels": _summarise_pixels(measured) if measured else None,
        "classes": {
            "split": _count_labels(films, "split"),
            **{column: _count_labels(films, column) for column in _CLASS_COLUMNS},
        },
    }


def _summarise_pixels(measured: Sequence[dict[str, Any]]) -> dict[str, Any]:
    mean = math.fsum(m["mean"] for m in measured) / len(measured)
    second = math.fsum(m["mean"] ** 2 + m["deviation"] ** 2 for m in measured) / len(measured)
    histogram = np.mean([m["histogram"] for m in measured], axis=0)
    return {
        "mean": mean,
        "deviation": math.sqrt(max(second - mean**2, 0)),
        "darkest": min(m["darkest"] for m in measured),
        "brightest": max(m["brightest"] for m in measured),
        "histogram": [round(float(share), 6) for share in histogram],
    }


def _count_labels(films: Iterable[Film], column: str) -> dict[str, dict[str, int]]:
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for film in films:
        counts[getattr(film, column) or "not stated"][film.label] += 1
    return {value: dict(sorted(counter.items())) for value, counter in sorted(counts.items())}
