"""What the pixels of a data set look like: per image in the workers, summed up at the end."""

from __future__ import annotations

import collections
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from beam_jobs.imaging.histogram import LEVELS, count_levels
from beam_jobs.sources.source_row import SourceRow
from records import schema

BINS = 64
_FRACTIONS = np.arange(LEVELS) / schema.FULL_SCALE
_CLASS_COLUMNS = tuple(schema.TITLES)
_PIXEL_COLUMNS = ("split", "label", *_CLASS_COLUMNS)
_SIZE_STEP = 1024
"""Pixels; digitised films are cropped one by one, so their exact sizes would be no classes."""


def measure(image: np.ndarray) -> dict[str, Any]:
    """Measures one image.

    Args:
        image: [height, width, 1] uint16.

    Returns:
        mean and deviation in [0, 1] (1 is white), extremes in 0..65535, and the fraction of pixels
        in each of 64 equal bins of grey.
    """
    counts = count_levels(image[:, :, 0])
    mean = float(counts @ _FRACTIONS) / image.size
    present = counts > 0
    return {
        "mean": mean,
        "deviation": math.sqrt(float(counts @ (_FRACTIONS - mean) ** 2) / image.size),
        "darkest": int(present.argmax()),
        "brightest": LEVELS - 1 - int(present[::-1].argmax()),
        "histogram": (counts.reshape(BINS, -1).sum(axis=1) / image.size).round(6).tolist(),
    }


def summarise(written: Sequence[tuple[SourceRow, Mapping[str, Any]]]) -> dict[str, Any]:
    """Builds statistics.json from the images written and their measurements in the ledgers.

    Returns:
        images: their number; pixels: over all images; pixels_by: column -> value -> the same over
        the images with that value; classes: column -> value -> images of each pathology.
    """
    return {
        "images": len(written),
        "pixels": _summarise_pixels([measured for _, measured in written]) if written else None,
        "pixels_by": {
            column: {
                value: _summarise_pixels([measured for _, measured in members])
                for value, members in _group(written, column).items()
            }
            for column in (*_PIXEL_COLUMNS, "native_size")
        },
        "classes": {
            column: {
                value: dict(sorted(collections.Counter(f.label for f, _ in members).items()))
                for value, members in _group(written, column).items()
            }
            for column in ("split", *_CLASS_COLUMNS, "native_size")
        },
    }


def native_size(height: int, width: int) -> str:
    """Names the class of images of about one native size: "4096-5119 x 2048-3071" (pixels)."""
    lowest = (side // _SIZE_STEP * _SIZE_STEP for side in (height, width))
    return " x ".join(f"{low}-{low + _SIZE_STEP - 1}" for low in lowest)


def _group(
    written: Sequence[tuple[SourceRow, Mapping[str, Any]]], column: str
) -> dict[str, list[tuple[SourceRow, Mapping[str, Any]]]]:
    """Sorts images by the value of a column."""
    groups: dict[str, list[tuple[SourceRow, Mapping[str, Any]]]] = collections.defaultdict(list)
    for image, measured in written:
        if column == "native_size":
            value = native_size(measured["original_height"], measured["original_width"])
        else:
            value = getattr(image, column) or "not stated"
        groups[value].append((image, measured))
    return dict(sorted(groups.items()))


def _summarise_pixels(measured: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    mean = math.fsum(m["mean"] for m in measured) / len(measured)
    second = math.fsum(m["mean"] ** 2 + m["deviation"] ** 2 for m in measured) / len(measured)
    histogram = np.mean([m["histogram"] for m in measured], axis=0)
    return {
        "images": len(measured),
        "mean": mean,
        "deviation": math.sqrt(max(second - mean**2, 0)),
        "darkest": min(m["darkest"] for m in measured),
        "brightest": max(m["brightest"] for m in measured),
        "histogram": [round(float(fraction), 6) for fraction in histogram],
    }
