"""Recipes: ordered steps from a decoded film to the pixels of a record.

image = prepare(film, "paper", ImageSize(2048, 1376))
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from beam_jobs.imaging import enhance, resize
from flags import catalogue
from flags.size import ImageSize

Step = Callable[[np.ndarray, ImageSize], np.ndarray]

_STEPS: dict[str, Step] = {
    "resize:pad": resize.resize_with_padding,
    "gaussian:kernel=11:sigma=0.5": lambda pixels, _: enhance.blur_gaussian(
        pixels, kernel=11, sigma=0.5
    ),
    "hist_eq": lambda pixels, _: enhance.equalise_histogram(pixels),
    "minmax": lambda pixels, _: enhance.stretch_range(pixels),
}


@functools.cache
def steps_of(recipe: str) -> tuple[Step, ...]:
    """Looks up the steps of a named recipe of `flags.catalogue.RECIPES`."""
    return tuple(_STEPS[step] for step in catalogue.RECIPES[recipe].split(","))


def prepare(pixels: np.ndarray, recipe: str, size: ImageSize) -> np.ndarray:
    """Runs a recipe.

    Args:
        pixels: decoded film, [height, width] uint16, 0 black to 65535 white.
        recipe: a name of `flags.catalogue.RECIPES`.
        size: size of the result.

    Returns:
        [size.height, size.width, 1] uint16.

    Raises:
        UnusableFilm: a step can't work on this film.
    """
    for step in steps_of(recipe):
        pixels = step(pixels, size)
    assert pixels.shape == (size.height, size.width), pixels.shape
    assert pixels.dtype == np.uint16, pixels.dtype
    return pixels[:, :, np.newaxis]
