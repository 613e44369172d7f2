"""Enhancement steps, pixels -> pixels: smoothing, sharpening, histogram and contrast.

All take and return uint16, [height, width]; CLAHE has a file of its own (`clahe`).
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from beam_jobs.imaging.histogram import LEVELS, count_levels
from beam_jobs.imaging.unusable import UnusableImage

_NARROWEST = 1.0  # smallest standard deviation divided by: one grey level


def blur_gaussian(pixels: np.ndarray, *, kernel: int, sigma: float) -> np.ndarray:
    """Blurs with a Gaussian of `sigma` pixels cut at an odd `kernel` width, edges mirrored.

    Jaamour et al. 2023, pre-processing: kernel 11, sigma 0.5 (the authors' code).
    """
    # weights below exp(-24) of the middle one change no level of 16 bits
    reach = int(math.sqrt(48) * sigma)
    width = min(kernel, 2 * reach + 1)
    return cv2.GaussianBlur(pixels, (width, width), sigma)


def take_median(pixels: np.ndarray, *, kernel: int) -> np.ndarray:
    """Puts the median of kernel x kernel pixels (3 or 5) in the place of each; edges repeated."""
    return cv2.medianBlur(pixels, kernel)


def average_adaptively(pixels: np.ndarray, *, kernel: int) -> np.ndarray:
    """Draws pixels to their local mean, fully where nothing but noise varies (J. S. Lee 1980).

    mean + (variance - noise) / variance * (pixel - mean), with the mean of the local variances as
    noise and no weight below 0: Lee's filter of additive noise, IEEE Trans. PAMI 2:165-168.

    Args:
        pixels: image.
        kernel: odd width of the surroundings, pixels.
    """
    exact = pixels.astype(np.float64)  # the variance is a small difference of large sums
    mean = cv2.blur(exact, (kernel, kernel))
    variance = cv2.blur(exact * exact, (kernel, kernel)) - mean * mean
    np.maximum(variance, 0, out=variance)
    noise = variance.mean()
    # where the variance is below the noise the weight is 0; the divisor only avoids 0 / 0
    weight = np.maximum(variance - noise, 0) / np.maximum(variance, max(noise, 1e-9))
    return np.rint(mean + weight * (exact - mean)).clip(0, 65535).astype(np.uint16)


def sharpen(pixels: np.ndarray, *, sigma: float, amount: float) -> np.ndarray:
    """Adds `amount` times what a Gaussian of `sigma` pixels takes away (unsharp mask)."""
    blurred = cv2.GaussianBlur(pixels, (0, 0), sigma)
    return cv2.addWeighted(pixels, 1 + amount, blurred, -amount, 0)


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


def normalise_globally(pixels: np.ndarray, *, span: float, breast: bool = False) -> np.ndarray:
    """Subtracts the mean and divides by the standard deviation of all pixels that count.

    Real numbers z, in standard deviations around 0, result; -span..span become 0..65535, linearly,
    so 0 is mid-grey (32768), and what lies beyond is clipped. With `breast` only pixels that are
    not black count; black stays black, and no other pixel becomes black.

    Goodfellow, Bengio, Courville, Deep Learning, 12.2.1.1, with s = 1 and lambda = 0.

    Raises:
        UnusableImage: the image has one grey level.
    """
    counts = count_levels(pixels)
    if breast:
        counts[0] = 0
        check_not_black(counts)
    levels = np.arange(LEVELS, dtype=np.float64)
    mean = np.average(levels, weights=counts)
    deviation = np.sqrt(np.average((levels - mean) ** 2, weights=counts))
    if deviation == 0:
        raise UnusableImage("one_grey_level", f"every pixel is {mean:.0f}")
    table = _to_levels((levels - mean) / deviation, span, darkest=int(breast))
    if breast:
        table[0] = 0
    return table[pixels]


def normalise_locally(
    pixels: np.ndarray, *, sigma: float, span: float, breast: bool = False
) -> np.ndarray:
    """Subtracts the mean and divides by the standard deviation around each pixel.

    Scaled as by `normalise_globally`.

    Jarrett et al., What is the best multi-stage architecture for object recognition?, ICCV 2009:
    both are weighted by a Gaussian, and the divisor is nowhere below its own mean, so that flat
    parts do not become noise.

    Args:
        pixels: image.
        sigma: of the Gaussian, pixels.
        span: standard deviations kept on either side.
        breast: leave black pixels out.
    """
    inside = np.ones(pixels.shape, np.float32)
    weight = inside  # of the Gaussian, where some of what it covers does not count
    if breast:
        inside = (pixels > 0).astype(np.float32)
        check_not_black(inside)
        weight = np.maximum(cv2.GaussianBlur(inside, (0, 0), sigma), 1e-6)
    values = pixels.astype(np.float32)
    centred = (values - cv2.GaussianBlur(values, (0, 0), sigma) / weight) * inside
    deviation = np.sqrt(cv2.GaussianBlur(centred * centred, (0, 0), sigma) / weight)
    least = float(np.average(deviation, weights=inside))
    normal = centred / np.maximum(deviation, max(least, _NARROWEST))
    result = _to_levels(normal, span, darkest=int(breast))
    return np.where(inside > 0, result, 0).astype(np.uint16)


def _to_levels(normal: np.ndarray, span: float, *, darkest: int) -> np.ndarray:
    levels = np.rint((normal / span + 1) * ((LEVELS - 1) / 2))
    return levels.clip(darkest, LEVELS - 1).astype(np.uint16)
