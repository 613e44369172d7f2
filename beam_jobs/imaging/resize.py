"""Bring a film to the size the network sees (Jaamour et al. 2023, Fig 4)."""

from __future__ import annotations

import cv2
import numpy as np

from flags.size import ImageSize


def resize_with_padding(pixels: np.ndarray, size: ImageSize) -> np.ndarray:
    """Scales a film into a size, aspect kept, and centres it on black.

    Shrinking averages the area under each new pixel, so nothing aliases; growing is bilinear.

    Args:
        pixels: [height, width] uint16.
        size: size of the result.

    Returns:
        [size.height, size.width] uint16.
    """
    height, width = pixels.shape
    scale = min(size.height / height, size.width / width)
    inner_height = min(size.height, max(1, round(height * scale)))
    inner_width = min(size.width, max(1, round(width * scale)))
    if (inner_height, inner_width) != (height, width):
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        pixels = cv2.resize(pixels, (inner_width, inner_height), interpolation=method)
    top = (size.height - inner_height) // 2
    left = (size.width - inner_width) // 2
    padded = np.zeros((size.height, size.width), np.uint16)
    padded[top : top + inner_height, left : left + inner_width] = pixels
    return padded
