"""Make faint structure visible: uint16 in, uint16 out, [height, width] throughout."""

from __future__ import annotations

import math

import cv2
import numpy as np

from beam_jobs.imaging.decode import UnusableImage
from beam_jobs.imaging.levels import LEVELS, count_levels


def blur_gaussian(pixels: np.ndarray, *, kernel: int, sigma: float) -> np.ndarray:
    """Blurs with a Gaussian of `sigma` pixels cut at an odd `kernel` width, edges mirrored.

    Jaamour et al. 2023, pre-processing: kernel 11, sigma 0.5 (the authors' code).
    """
    # weights below exp(-24) of the middle one change no level of 16 bits
    reach = int(math.sqrt(48) * sigma)
    width = min(kernel, 2 * reach + 1)
    return cv2.GaussianBlur(pixels, (width, width), sigma)


def equalise_histogram(pixels: np.ndarray, *, breast: bool = False) -> np.ndarray:
    """Equalises the histogram in 65,536 levels, over the whole image, padding included.

    The map is round((cdf - cdf_min) * 65535 / (height * width - 1)), the authors' formula with
    their 256 levels replaced by all that an image has.

    Args:
        pixels: image.
        breast: count the pixels that are not black alone; black stays black, the others become
            1 to 65535.
    """
    counts = count_levels(pixels)
    if breast:
        counts[0] = 0
        check_not_black(counts)
    cumulative = np.cumsum(counts)
    lowest = cumulative[np.argmax(counts > 0)]
    span = max(int(cumulative[-1]) - 1, 1)
    darkest = 1 if breast else 0
    table = np.rint(np.maximum(cumulative - lowest, 0) * (LEVELS - 1 - darkest) / span) + darkest
    if breast:
        table[0] = 0
    return table.astype(np.uint16)[pixels]


def check_not_black(counts: np.ndarray) -> None:
    """Refuses an image without a pixel that counts.

    Args:
        counts: [65536] pixels of each level, black ones left out.

    Raises:
        UnusableImage: there is none.
    """
    if not counts.any():
        raise UnusableImage("no_breast_found", "all of the image is black after cleaning")


def stretch_range(pixels: np.ndarray) -> np.ndarray:
    """Maps the darkest pixel to 0 and the brightest to 65535, linearly.

    Raises:
        UnusableImage: the image has one grey level.
    """
    darkest, brightest, _, _ = cv2.minMaxLoc(pixels)
    if darkest == brightest:
        raise UnusableImage("one_grey_level", f"every pixel is {int(darkest)} after the recipe")
    span = np.arange(LEVELS) - darkest
    table = np.rint(np.clip(span * (LEVELS - 1) / (brightest - darkest), 0, LEVELS - 1))
    return table.astype(np.uint16)[pixels]


def stretch_percentiles(
    pixels: np.ndarray, *, low: float, high: float, breast: bool = False
) -> np.ndarray:
    """Stretches the levels between two percentiles to full scale; what is beyond is clipped.

    Args:
        pixels: image.
        low: percentile that becomes black.
        high: percentile that becomes white.
        breast: count the pixels that are not black alone; black stays black, the others become
            1 to 65535.

    Raises:
        UnusableImage: both percentiles are the same level.
    """
    counts = count_levels(pixels)
    if breast:
        counts[0] = 0
        check_not_black(counts)
    cumulative = np.cumsum(counts)
    bottom, top = (
        int(np.searchsorted(cumulative, max(1, np.ceil(percent * cumulative[-1] / 100))))
        for percent in (low, high)
    )
    if bottom == top:
        raise UnusableImage("one_grey_level", f"percentiles {low:g} and {high:g} are both {top}")
    darkest = 1 if breast else 0
    fraction = np.clip((np.arange(LEVELS) - bottom) / (top - bottom), 0, 1)
    table = np.rint(fraction * (LEVELS - 1 - darkest)) + darkest
    if breast:
        table[0] = 0
    return table.astype(np.uint16)[pixels]


def round_levels(pixels: np.ndarray, *, bits: int) -> np.ndarray:
    """Rounds to 2**bits levels, spread evenly over 0..65535: with 8 bits, to multiples of 257."""
    steps = (1 << bits) - 1
    coarse = np.rint(np.arange(LEVELS) * steps / (LEVELS - 1))
    return np.rint(coarse * (LEVELS - 1) / steps).astype(np.uint16)[pixels]
