"""Make faint structure visible: uint16 in, uint16 out, [height, width] throughout."""

from __future__ import annotations

import cv2
import numpy as np

from beam_jobs.imaging.decode import UnusableFilm
from beam_jobs.imaging.levels import LEVELS, count_levels


def blur_gaussian(pixels: np.ndarray, *, kernel: int, sigma: float) -> np.ndarray:
    """Blurs with a Gaussian of `sigma` pixels cut at an odd `kernel` width, edges mirrored.

    Jaamour et al. 2023, pre-processing: kernel 11, sigma 0.5 (the authors' code).
    """
    return cv2.GaussianBlur(pixels, (kernel, kernel), sigma)


def equalise_histogram(pixels: np.ndarray) -> np.ndarray:
    """Equalises the histogram over the whole image, padding included, in 65,536 levels.

    The map is round((cdf - cdf_min) * 65535 / (height * width - 1)), the authors' formula with
    their 256 levels replaced by all that a film has.
    """
    counts = count_levels(pixels)
    cumulative = np.cumsum(counts)
    lowest = cumulative[np.flatnonzero(counts)[0]]
    span = max(pixels.size - 1, 1)
    table = np.rint(np.maximum(cumulative - lowest, 0) * (LEVELS - 1) / span)
    return table.astype(np.uint16)[pixels]


def stretch_range(pixels: np.ndarray) -> np.ndarray:
    """Maps the darkest pixel to 0 and the brightest to 65535, linearly.

    Raises:
        UnusableFilm: the image has one grey level.
    """
    darkest, brightest, _, _ = cv2.minMaxLoc(pixels)
    if darkest == brightest:
        raise UnusableFilm("one_grey_level", f"every pixel is {int(darkest)} after the recipe")
    span = np.arange(LEVELS) - darkest
    table = np.rint(np.clip(span * (LEVELS - 1) / (brightest - darkest), 0, LEVELS - 1))
    return table.astype(np.uint16)[pixels]
