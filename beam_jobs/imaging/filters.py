"""Less noise, or sharper edges: uint16 in, uint16 out, [height, width], edges mirrored."""

from __future__ import annotations

import cv2
import numpy as np


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
