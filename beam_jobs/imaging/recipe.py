"""Recipes: ordered steps from a decoded image to the pixels of a record.

image = prepare(image, "paper", ImageSize(2048, 1376), view="MLO", side="left")
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from beam_jobs.imaging import clahe, clean_and_crop, enhance, pectoral, resize
from beam_jobs.imaging.geometry import Trail
from flags import recipe_spec as language
from flags.recipe_spec import Step
from records.image_size import ImageSize


@dataclasses.dataclass(frozen=True)
class Setting:
    """What a step may need beside its own parameters.

    Attributes:
        size: of the record.
        view: of the image, as the tables say; `pectoral` works on MLO alone.
        side: of the image, left or right; `orient:by=side` needs it.
        halves: of the image as it is before the resize, for all sizes.
        trail: each step notes in it where pixels go.
    """

    size: ImageSize
    view: str = ""
    side: str = ""
    halves: resize.Halves | None = None
    trail: Trail | None = None


def _resize(pixels: np.ndarray, step: Step, setting: Setting) -> np.ndarray:
    if step.choice == "crop":
        return resize.resize_with_cropping(pixels, setting.size, trail=setting.trail)
    ways = {"stretch": resize.resize_by_stretching, "pad": resize.resize_with_padding}
    how = ways[step.choice]
    return how(pixels, setting.size, halves=setting.halves, trail=setting.trail)


_STEPS: dict[str, Callable[[np.ndarray, Step, Setting], np.ndarray]] = {
    "clean": lambda pixels, step, _: pixels if step.cleaned else clean_and_crop.clean(pixels),
    "crop": lambda pixels, step, setting: clean_and_crop.crop(
        pixels, cleaned=step.cleaned, trail=setting.trail, **_given(step)
    ),
    "pectoral": lambda pixels, step, setting: pectoral.remove(
        pixels, view=setting.view, cleaned=step.cleaned
    ),
    "orient": lambda pixels, step, setting: clean_and_crop.orient(
        pixels,
        to=step.choice,
        side=setting.side,
        cleaned=step.cleaned,
        trail=setting.trail,
        **_given(step),
    ),
    "resize": _resize,
    "gaussian": lambda pixels, step, _: enhance.blur_gaussian(pixels, **_given(step)),
    "median": lambda pixels, step, _: enhance.take_median(pixels, **_given(step)),
    "adaptive_mean": lambda pixels, step, _: enhance.average_adaptively(pixels, **_given(step)),
    "unsharp": lambda pixels, step, _: enhance.sharpen(pixels, **_given(step)),
    "hist_eq": lambda pixels, step, _: enhance.equalise_histogram(
        pixels, breast=step.choice == "breast"
    ),
    "clahe": lambda pixels, step, _: clahe.equalise_adaptively(pixels, **_given(step)),
    "gcn": lambda pixels, step, _: enhance.normalise_globally(
        pixels, breast=step.choice == "breast", **_given(step)
    ),
    "lcn": lambda pixels, step, _: enhance.normalise_locally(
        pixels, breast=step.choice == "breast", **_given(step)
    ),
    "percentile": lambda pixels, step, _: enhance.stretch_percentiles(
        pixels, breast=step.choice == "breast", **_given(step)
    ),
    "minmax": lambda pixels, step, _: enhance.stretch_range(pixels),
    "bits": lambda pixels, step, _: enhance.round_levels(pixels, bits=int(step.choice)),
}


def _given(step: Step) -> dict[str, Any]:
    return dict(step.parameters)


@dataclasses.dataclass(frozen=True)
class Shared:
    """What several outputs of one image have in common.

    Attributes:
        pixels: (steps, size if it matters) -> their result.
        halves: steps before the resize -> halved copies of their result.
    """

    pixels: dict[tuple[tuple[Step, ...], ImageSize | None], np.ndarray] = dataclasses.field(
        default_factory=dict
    )
    halves: dict[tuple[Step, ...], resize.Halves] = dataclasses.field(default_factory=dict)


def prepare(
    pixels: np.ndarray,
    recipe: str,
    size: ImageSize,
    *,
    view: str = "",
    side: str = "",
    shared: Shared | None = None,
    trail: Trail | None = None,
) -> np.ndarray:
    """Runs a recipe.

    Args:
        pixels: decoded image, [height, width] uint16, 0 black to 65535 white.
        recipe: a name of `flags.recipe_spec.RECIPES`, or steps in the language of
            `flags.recipe_spec`.
        size: size of the result.
        view: of the image, as the tables say; `pectoral` works on MLO alone.
        side: of the image, left or right; `orient:by=side` needs it.
        shared: give the same one for every output of one image, and another for the next image:
            what stands before the resize is then computed once for all sizes, the resize once for
            all recipes that begin alike.
        trail: give a new one to learn where each pixel came from; not with `shared`, whose steps
            may have been run before.

    Returns:
        [size.height, size.width, 1] uint16.

    Raises:
        UnusableImage: a step can't work on this image.
    """
    steps = language.parse(recipe)
    resized = 1 + [step.name for step in steps].index("resize")
    assert shared is None or trail is None
    shared = Shared() if shared is None else shared
    halves = shared.halves.setdefault(steps[: resized - 1], [])
    setting = Setting(size, view, side, halves, trail)
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
        steps: as `flags.recipe_spec` reads them.
        setting: what some of them need to know.

    Returns:
        [height, width] uint16, of a size of its own if a step changes it.

    Raises:
        UnusableImage: a step can't work on this image.
    """
    for step in steps:
        pixels = _STEPS[step.name](pixels, step, setting)
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
        if (steps[:end], size) in shared.pixels:
            pixels, done = shared.pixels[steps[:end], size], end
            break
    if done < len(steps):
        pixels = shared.pixels[steps, size] = run_steps(pixels, steps[done:], setting)
    return pixels
