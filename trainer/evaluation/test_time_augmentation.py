"""Test-time augmentation: the views of an image -> the mean of their class probabilities.

seen = views("flip", size)
probabilities = average([predict(model, pixels, seen) for pixels in batches], target)
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from flags import tta_config
from flags.targets import Target
from records.image_size import ImageSize
from trainer.metrics.intervals import Floats
from trainer.model import losses, network_input

View = Callable[[Any], Any]
"""Turns a batch [..., height, width, 1], an array or tensor, into one of the same shape."""
_ROWS, _COLUMNS = -3, -2
_MOVE = 1 / 40
"""Petrini et al. 2022, the released code: moves by so much of the height and of the width."""


def views(name: str, size: ImageSize) -> list[View]:
    """Lists the views of an image, the image itself first.

    Args:
        name: a key of `flags.tta_config.VIEWS`. The dihedral group of a square has eight members,
            that of another rectangle four: those that keep its frame.
        size: of the images.
    """
    if name == "translate":
        down, right = (max(1, round(_MOVE * side)) for side in (size.height, size.width))
        moves = itertools.product((0, -down, down), (0, -right, right))
        return [functools.partial(_move, down=y, right=x) for y, x in moves]
    flips: dict[str, list[tuple[int, ...]]] = {
        tta_config.NONE: [()],
        "flip": [(), (_COLUMNS,)],
        "dihedral": [(), (_COLUMNS,), (_ROWS,), (_ROWS, _COLUMNS)],
    }
    turns = [False, True] if name == "dihedral" and size.height == size.width else [False]
    return [
        functools.partial(_see, flipped=flipped, transposed=transposed)
        for transposed, flipped in itertools.product(turns, flips[name])
    ]


def predict(model: keras.Model, inputs: Any, seen: Sequence[View]) -> list[Floats]:
    """Computes the network's outputs for every view of a batch.

    Args:
        model: its outputs are those `trainer.model.losses` describes.
        inputs: a batch as the network takes it; each view is one of all its pixels.
        seen: the views.

    Returns:
        [images, outputs] of each view.
    """
    return [model.predict_on_batch(network_input.change_pixels(inputs, view)) for view in seen]


def average(outputs: Sequence[Sequence[Floats]], target: Target) -> Floats:
    """Averages class probabilities over the views.

    Args:
        outputs: what `predict` returned, of each batch.
        target: what the network predicts.

    Returns:
        mean probability of each class over the views, [images, K].
    """
    return np.mean(
        [
            losses.class_probabilities(np.concatenate(of_view), target)
            for of_view in zip(*outputs, strict=True)
        ],
        axis=0,
    )


def _move(images: Any, *, down: int, right: int) -> Any:
    """Moves images by whole pixels; they are mirrored at the edge of their outermost pixels."""
    y, x, (height, width) = abs(down), abs(right), images.shape[_ROWS:-1]
    before = ((0, 0),) * (len(images.shape) - 3)
    padded = keras.ops.pad(images, (*before, (y, y), (x, x), (0, 0)), mode="symmetric")
    return padded[..., y - down : y - down + height, x - right : x - right + width, :]


def _see(images: Any, *, flipped: tuple[int, ...], transposed: bool) -> Any:
    """Transposes rows and columns, then flips axes."""
    if transposed:
        images = keras.ops.swapaxes(images, _ROWS, _COLUMNS)
    return keras.ops.flip(images, flipped) if flipped else images
