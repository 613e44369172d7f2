"""What a network takes: pixels alone, or a dict of `pixels` and what goes with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

PIXELS = "pixels"
PRESENT = "views_present"
SIDE, ALSO = "side_", "also_"
"""How the names of columns begin that go in beside the pixels, or are learned beside the target."""


def pixels_of(inputs: Any) -> Any:
    """Takes the pixels out of a batch: [batch, (views,) height, width, 1]."""
    return inputs[PIXELS] if isinstance(inputs, dict) else inputs


def is_several(inputs: Any) -> bool:
    """Whether records hold several views."""
    return isinstance(inputs, dict) and PRESENT in inputs


def images_of(inputs: Any) -> Any:
    """Leaves columns out: pixels alone, or a dict of pixels and which views are there."""
    return (
        {key: inputs[key] for key in (PIXELS, PRESENT)} if is_several(inputs) else pixels_of(inputs)
    )


def as_dict(inputs: Any) -> dict[str, Any]:
    """Names what a network takes, also where it is pixels alone."""
    return dict(inputs) if isinstance(inputs, dict) else {PIXELS: inputs}


def change_pixels(inputs: Any, change: Callable[[Any], Any]) -> Any:
    """Changes the pixels of a batch, and nothing that goes with them."""
    if isinstance(inputs, dict):
        return {**inputs, PIXELS: change(inputs[PIXELS])}
    return change(inputs)


def make(pixels: NDArray[np.uint16], present: NDArray[np.bool_] | None = None) -> Any:
    """Puts together what a network takes of one record.

    Args:
        pixels: [height, width], or of several views [views, height, width].
        present: [views], None where a record is one image.
    """
    pixels = pixels[..., np.newaxis]
    return pixels if present is None else {PIXELS: pixels, PRESENT: present}


def batch_of(records: Sequence[Any]) -> Any:
    """Makes a batch of what a network takes of each record."""
    return keras.tree.map_structure(lambda *parts: np.stack(parts), *records)


def take(batch: Any, rows: int | slice) -> Any:
    """Takes one record, or some, out of a batch."""
    return keras.tree.map_structure(lambda part: part[rows], batch)


def side_by_side(record: Any, values: NDArray[Any] | None = None) -> NDArray[Any]:
    """Joins the views that are there from left to right: [height, width * views].

    Args:
        record: what a network takes of it.
        values: [(views,) height, width] of the same record instead of its pixels.
    """
    shown: NDArray[Any] = pixels_of(record)[..., 0] if values is None else values
    return np.hstack(list(shown[record[PRESENT]])) if is_several(record) else shown
