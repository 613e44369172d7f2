"""Contrast normalisation, global and local: uint16 in, uint16 out, [height, width].

Both give real numbers z, in standard deviations around 0. -span..span of them become 0..65535,
linearly, so 0 is mid-grey (32768); what lies beyond is clipped. With `breast` only pixels that are
not black count; black stays black, and no other pixel becomes black.
"""

from __future__ import annotations

import cv2
import numpy as np

from beam_jobs.imaging.decode import UnusableImage
from beam_jobs.imaging.enhance import check_not_black
from beam_jobs.imaging.levels import LEVELS, count_levels

_NARROWEST = 1.0  # smallest standard deviation divided by: one grey level


def normalise_globally(pixels: np.ndarray, *, span: float, breast: bool = False) -> np.ndarray:
    """Subtracts the mean and divides by the standard deviation of all pixels that count.

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
