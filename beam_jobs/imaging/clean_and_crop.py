"""Background removal, crop to the breast, orientation: uint16 in, uint16 out, [height, width]."""

from __future__ import annotations

import cv2
import numpy as np

from beam_jobs.imaging import breast
from beam_jobs.imaging.geometry import Trail
from beam_jobs.imaging.unusable import UnusableImage


def clean(pixels: np.ndarray) -> np.ndarray:
    """Turns all but the breast black: background, labels, tags, edges of the image.

    Raises:
        UnusableImage: no breast was found.
    """
    return blacken(pixels, ~breast.find(breast.shrink(pixels)))


def crop(
    pixels: np.ndarray, *, margin: float, cleaned: bool = False, trail: Trail | None = None
) -> np.ndarray:
    """Cuts an image to the `box` of its breast, and notes it in the trail.

    Raises:
        UnusableImage: no breast was found.
    """
    rows, columns = box(pixels, margin=margin, cleaned=cleaned)
    if trail is not None:
        trail.cut(left=columns.start, top=rows.start)
    return np.ascontiguousarray(pixels[rows, columns])


def box(pixels: np.ndarray, *, margin: float, cleaned: bool = False) -> tuple[slice, slice]:
    """Finds the smallest box that holds the breast, widened where the image has room.

    Args:
        pixels: image.
        margin: fraction of the box's longer side, added on each side.
        cleaned: all but the breast is black already.

    Returns:
        rows and columns.

    Raises:
        UnusableImage: no breast was found.
    """
    mask = breast.find(breast.shrink(pixels), cleaned=cleaned).astype(np.uint8)
    left, top, width, height = cv2.boundingRect(mask)
    more = margin * max(width, height)

    def widen(start: int, length: int, axis: int) -> slice:
        scale, end = pixels.shape[axis] / mask.shape[axis], pixels.shape[axis]
        first, last = scale * (start - more), scale * (start + length + more)
        return slice(max(0, int(np.floor(first))), min(end, int(np.ceil(last))))

    return widen(top, height, 0), widen(left, width, 1)


def orient(
    pixels: np.ndarray,
    *,
    to: str,
    by: str,
    side: str,
    cleaned: bool = False,
    trail: Trail | None = None,
) -> np.ndarray:
    """Mirrors an image whose chest wall is not at the side wanted.

    Args:
        pixels: image.
        to: left or right, where the chest wall shall be.
        by: pixels, or side: images hang in the standard way, left breasts' chest wall to the left.
        side: the breast, left or right, as the tables say; read with `by="side"` alone.
        cleaned: all but the breast is black already.
        trail: notes where pixels go.

    Raises:
        UnusableImage: no breast was found, or no side is known.
    """
    if by == "side":
        if side not in ("left", "right"):
            raise UnusableImage("side_unknown", "the tables do not say which breast it is")
        is_left = side == "left"
    else:
        is_left = breast.chest_wall_is_left(breast.find(breast.shrink(pixels), cleaned=cleaned))
    if is_left == (to == "left"):
        return pixels
    if trail is not None:
        trail.mirror(width=pixels.shape[1])
    return cv2.flip(pixels, 1)


def blacken(pixels: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Turns pixels black.

    Args:
        pixels: image.
        where: [height, width] bool of a small copy of it.
    """
    height, width = pixels.shape
    keep = cv2.resize(
        np.where(where, 0, 255).astype(np.uint8), (width, height), interpolation=cv2.INTER_LINEAR
    )
    _, keep = cv2.threshold(keep, 127, 255, cv2.THRESH_BINARY)
    return cv2.copyTo(pixels, keep)
