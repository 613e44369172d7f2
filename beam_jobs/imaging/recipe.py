"""Recipes: ordered steps from a decoded film to the pixels of a record.

image = prepare(film, "paper", ImageSize(2048, 1376), view="MLO", side="left")
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from beam_jobs.imaging import clahe, enhance, film, filters, normalise, pectoral, resize
from flags import recipe as language
from flags.recipe import Step
from flags.size import ImageSize


@dataclasses.dataclass(frozen=True)
class Setting:
    """What a step may need beside its own parameters.

    Attributes:
        size: of the record.
        view: of the film, as the tables say; `pectoral` works on MLO alone.
        side: of the film, left or right; `orient:by=side` needs it.
    """

    size: ImageSize
    view: str = ""
    side: str = ""


_RESIZE = {
    "pad": resize.resize_with_padding,
    "stretch": resize.resize_by_stretching,
    "crop": resize.resize_with_cropping,
}
# step name -> (pixels, choice, parameters, setting) -> pixels
_STEPS: dict[str, Callable[[np.ndarray, str, dict[str, Any], Setting], np.ndarray]] = {
    "clean": lambda pixels, _, given, setting: film.clean(pixels),
    "crop": lambda pixels, _, given, setting: film.crop(pixels, **given),
    "pectoral": lambda pixels, _, given, setting: pectoral.remove(pixels, view=setting.view),
    "orient": lambda pixels, to, given, setting: film.orient(
        pixels, to=to, side=setting.side, **given
    ),
    "resize": lambda pixels, how, _, setting: _RESIZE[how](pixels, setting.size),
    "gaussian": lambda pixels, _, given, setting: enhance.blur_gaussian(pixels, **given),
    "median": lambda pixels, _, given, setting: filters.take_median(pixels, **given),
    "adaptive_mean": lambda pixels, _, given, setting: filters.average_adaptively(pixels, **given),
    "unsharp": lambda pixels, _, given, setting: filters.sharpen(pixels, **given),
    "hist_eq": lambda pixels, over, given, setting: enhance.equalise_histogram(
        pixels, breast=over == "breast"
    ),
    "clahe": lambda pixels, _, given, setting: clahe.equalise_adaptively(pixels, **given),
    "gcn": lambda pixels, over, given, setting: normalise.normalise_globally(
        pixels, breast=over == "breast", **given
    ),
    "lcn": lambda pixels, over, given, setting: normalise.normalise_locally(
        pixels, breast=over == "breast", **given
    ),
    "percentile": lambda pixels, over, given, setting: enhance.stretch_percentiles(
        pixels, breast=over == "breast", **given
    ),
    "minmax": lambda pixels, _, given, setting: enhance.stretch_range(pixels),
    "bits": lambda pixels, bits, given, setting: enhance.round_levels(pixels, bits=int(bits)),
}

Shared = dict[tuple[tuple[Step, ...], ImageSize | None], np.ndarray]
"""Results several outputs of one film have in common: (steps, size if it matters) -> pixels."""


def prepare(
    pixels: np.ndarray,
    recipe: str,
    size: ImageSize,
    *,
    view: str = "",
    side: str = "",
    shared: Shared | None = None,
) -> np.ndarray:
    """Runs a recipe.

    Args:
        pixels: decoded film, [height, width] uint16, 0 black to 65535 white.
        recipe: a name of `flags.catalogue.RECIPES`, or steps in the language of `flags.recipe`.
        size: size of the result.
        view: of the film, as the tables say; `pectoral` works on MLO alone.
        side: of the film, left or right; `orient:by=side` needs it.
        shared: give the same dict for every output of one film, and another for the next film: what
            stands before the resize is then computed once for all sizes, the resize once for all
            recipes that begin alike.

    Returns:
        [size.height, size.width, 1] uint16.

    Raises:
        UnusableFilm: a step can't work on this film.
    """
    steps = language.parse(recipe)
    resized = 1 + [step.name for step in steps].index("resize")
    shared = {} if shared is None else shared
    setting = Setting(size, view, side)
    pixels = _run_shared(pixels, steps[: resized - 1], None, setting, shared)
    pixels = _run_shared(pixels, steps[:resized], size, setting, shared, done=resized - 1)
    pixels = run_steps(pixels, steps[resized:], setting)
    assert pixels.shape == (size.height, size.width), pixels.shape
    assert pixels.dtype == np.uint16, pixels.dtype
    return pixels[:, :, np.newaxis]


def run_steps(pixels: np.ndarray, steps: Iterable[Step], setting: Setting) -> np.ndarray:
    """Runs steps, whether a whole recipe or not.

    Args:
        pixels: [height, width] uint16.
        steps: as `flags.recipe` reads them.
        setting: what some of them need to know.

    Returns:
        [height, width] uint16, of a size of its own if a step changes it.

    Raises:
        UnusableFilm: a step can't work on this film.
    """
    for step in steps:
        pixels = _STEPS[step.name](pixels, step.choice, dict(step.parameters), setting)
    return pixels


def _run_shared(
    pixels: np.ndarray,
    steps: tuple[Step, ...],
    size: ImageSize | None,
    setting: Setting,
    shared: Shared,
    *,
    done: int = 0,
) -> np.ndarray:
    """Runs steps from the longest beginning of them that another output has run already."""
    for end in range(len(steps), done, -1):
        if (steps[:end], size) in shared:
            pixels, done = shared[steps[:end], size], end
            break
    if done < len(steps):
        pixels = shared[steps, size] = run_steps(pixels, steps[done:], setting)
    return pixels
