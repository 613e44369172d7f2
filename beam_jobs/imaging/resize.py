"""Bring an image to the size the network sees (Jaamour et al. 2023, Fig 4)."""

from __future__ import annotations

import cv2
import numpy as np

from beam_jobs.imaging.geometry import Trail
from records.image_size import ImageSize

Halves = list[np.ndarray]
"""An image, then copies each half as high and wide as the one before: what several sizes share."""


def resize_with_padding(
    pixels: np.ndarray,
    size: ImageSize,
    *,
    halves: Halves | None = None,
    trail: Trail | None = None,
) -> np.ndarray:
    """Scales an image into a size, aspect kept, and centres it on black.

    Args:
        pixels: [height, width] uint16.
        size: size of the result.
        halves: as in `resize_by_stretching`.
        trail: notes where pixels go.

    Returns:
        [size.height, size.width] uint16.
    """
    height, width = pixels.shape
    scale = min(size.height / height, size.width / width)
    inner_height = min(size.height, max(1, round(height * scale)))
    inner_width = min(size.width, max(1, round(width * scale)))
    top = (size.height - inner_height) // 2
    left = (size.width - inner_width) // 2
    padded = np.zeros((size.height, size.width), np.uint16)
    padded[top : top + inner_height, left : left + inner_width] = resize_by_stretching(
        pixels, ImageSize(inner_height, inner_width), halves=halves, trail=trail
    )
    if trail is not None:
        trail.cut(left=-left, top=-top)
    return padded


def resize_by_stretching(
    pixels: np.ndarray,
    size: ImageSize,
    *,
    halves: Halves | None = None,
    trail: Trail | None = None,
) -> np.ndarray:
    """Scales an image to a size, each axis by its own factor.

    Shrinking averages the area under each new pixel, so nothing aliases; growing is bilinear. What
    shrinks to a quarter or less is halved first, until the rest is a factor of 2 to 4: exact
    averages of 2 x 2 pixels cost a tenth of what OpenCV's general area average costs.

    Args:
        pixels: [height, width] uint16.
        size: size of the result.
        halves: give the same list, empty at first, for every size of one image.
        trail: notes where pixels go.

    Returns:
        [size.height, size.width] uint16, the same with and without `halves`.
    """
    pixels, halved = _halve(pixels, size, [] if halves is None else halves)
    height, width = pixels.shape
    if trail is not None:
        trail.scale(across=halved * width / size.width, down=halved * height / size.height)
    smaller = min(height, size.height), min(width, size.width)
    if smaller != (height, width):
        pixels = cv2.resize(pixels, smaller[::-1], interpolation=cv2.INTER_AREA)
    if smaller != (size.height, size.width):
        pixels = cv2.resize(pixels, (size.width, size.height), interpolation=cv2.INTER_LINEAR)
    return pixels


def restore_aspect(
    pixels: np.ndarray, aspect: float | None, *, trail: Trail | None = None
) -> np.ndarray:
    """Stretches the side of an image that was shortened, so that it has an aspect again.

    Args:
        pixels: [height, width] uint16.
        aspect: height / width wanted, None: the one it has.
        trail: notes where pixels go.
    """
    height, width = pixels.shape
    if aspect is None:
        return pixels
    size = ImageSize(max(height, round(width * aspect)), max(width, round(height / aspect)))
    return resize_by_stretching(pixels, size, trail=trail)


def _halve(pixels: np.ndarray, size: ImageSize, halves: Halves) -> tuple[np.ndarray, int]:
    """Returns the smallest half at least twice as high and wide as a size, or the image itself.

    And how many rows and columns of the image each of its pixels takes the place of.
    """
    if not halves:
        halves.append(pixels)
    level = 0
    while halves[level].shape[0] >= 4 * size.height and halves[level].shape[1] >= 4 * size.width:
        level += 1
        if level == len(halves):
            height, width = (length // 2 for length in halves[-1].shape)
            even = halves[-1][: 2 * height, : 2 * width]  # a last odd row or column is left out
            halves.append(cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA))
    return halves[level], 2**level


def resize_with_cropping(
    pixels: np.ndarray, size: ImageSize, *, trail: Trail | None = None
) -> np.ndarray:
    """Scales an image to fill a size, aspect kept; of the surplus the darkest is cut off.

    The part kept is the one with most light in it, so that the breast stays on the image.

    Args:
        pixels: [height, width] uint16.
        size: size of the result.
        trail: notes where pixels go.

    Returns:
        [size.height, size.width] uint16.
    """
    height, width = pixels.shape
    scale = max(size.height / height, size.width / width)
    rows = _brightest(pixels, axis=0, length=min(height, max(1, round(size.height / scale))))
    columns = _brightest(pixels, axis=1, length=min(width, max(1, round(size.width / scale))))
    if trail is not None:
        trail.cut(left=columns.start, top=rows.start)
    return resize_by_stretching(np.ascontiguousarray(pixels[rows, columns]), size, trail=trail)


def _brightest(pixels: np.ndarray, *, axis: int, length: int) -> slice:
    """Returns the part of an axis with most light, the one closest to the middle among equals."""
    if length == pixels.shape[axis]:
        return slice(0, length)
    light = cv2.reduce(pixels, 1 - axis, cv2.REDUCE_SUM, dtype=cv2.CV_64F).ravel()
    total = np.concatenate([[0.0], np.cumsum(light)])
    sums = total[length:] - total[:-length]
    best = np.flatnonzero(sums == sums.max())
    start = int(best[np.argmin(np.abs(best - (len(light) - length) / 2))])
    return slice(start, start + length)
