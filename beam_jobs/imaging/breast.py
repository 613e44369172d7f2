"""Breast segmentation: image -> mask, for `clean`, `crop`, `orient` and `pectoral`.

All is decided on a small copy, so that it costs a few milliseconds whatever the image's size.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy import ndimage

from beam_jobs.imaging.unusable import UnusableImage

SMALL_SIDE = 512
"""Longest side of the small copy, pixels."""

# Otsu's threshold parts bright tissue from the rest and would cut the skin line off. The breast is
# taken down to this fraction of the way from the background's median to it (by eye, on mini-MIAS
# and CBIS-DDSM).
_SKIN = 0.25
# An opening this wide (pixels of the small copy, 3.7 % of the image) drops what is thinner than any
# breast (image edges, letters) and lets go of labels that touch the skin; the margin gives back the
# nipple it took.
_OPENING = 19
_MARGIN = 9
_LEAST_FRACTION = 0.01
# A strip of bright film (fogged edge, light beside the cassette) runs along the chest wall to the
# image's edge: narrower than this fraction of the breast, at least so long (pixels of the small
# copy, 5 % of the image), of one width but for these pixels, where tissue tapers or widens
# (by eye, on CBIS-DDSM, mini-MIAS and RSNA).
_STRIP_WIDTH = 0.2
_STRIP_LENGTH = 26
_STRIP_RAGGED = 3


def shrink(pixels: np.ndarray) -> np.ndarray:
    """Averages an image down to `SMALL_SIDE`; smaller ones stay as they are.

    By halves first, for which OpenCV is three times as fast as for other factors; an odd last row
    or column falls away.

    Args:
        pixels: [height, width] uint16.
    """
    while min(pixels.shape) > 1 and max(pixels.shape) >= 2 * SMALL_SIDE:
        height, width = (side // 2 for side in pixels.shape)
        even = pixels[: 2 * height, : 2 * width]
        pixels = cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA)
    scale = SMALL_SIDE / max(pixels.shape)
    if scale >= 1:
        return pixels
    height, width = (max(1, round(side * scale)) for side in pixels.shape)
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)


def find(small: np.ndarray, *, cleaned: bool = False) -> np.ndarray:
    """Finds the breast: threshold, opening, largest component without strips, holes filled.

    The threshold is Otsu's (IEEE Trans. SMC 9:62-66, 1979), lowered towards the background and
    taken on square roots, in which a dim skin line weighs more.

    Args:
        small: [height, width] uint16, as `shrink` returns it.
        cleaned: all but the breast is black already, so there is nothing to look for.

    Returns:
        [height, width] bool, true on the breast.

    Raises:
        UnusableImage: nothing on the image is as large as a breast.
    """
    if cleaned:
        if not small.any():
            raise UnusableImage("no_breast_found", "all of the image is black")
        return small > 0
    side = max(small.shape)
    roots = np.sqrt(cv2.medianBlur(np.ascontiguousarray(small), 5).astype(np.float32))
    levels = (roots * 255).astype(np.uint16)
    bright, _ = cv2.threshold(levels, 0, 65535, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    dark = levels[(levels > 0) & (levels <= bright)]  # exact black is padding, not background
    background = float(np.median(dark)) if dark.size else 0.0
    mask = (levels > background + _SKIN * (bright - background)).astype(np.uint8)
    opening = _disc(_OPENING * side // SMALL_SIDE)
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, opening, borderType=cv2.BORDER_CONSTANT)
    count, labels, sizes, _ = cv2.connectedComponentsWithStats(mask)
    if count < 2 or sizes[1:, cv2.CC_STAT_AREA].max() < _LEAST_FRACTION * mask.size:
        raise UnusableImage("no_breast_found", f"nothing bright covers {_LEAST_FRACTION:.0%} of it")
    largest = (labels == 1 + sizes[1:, cv2.CC_STAT_AREA].argmax()).astype(np.uint8)
    for flipped in (largest, largest[::-1]):
        _drop_strip(flipped)
    grown = cv2.dilate(largest, _disc(_MARGIN * side // SMALL_SIDE))
    return ndimage.binary_fill_holes((grown > 0) & (levels > 0))


def _drop_strip(mask: np.ndarray) -> None:
    """Takes a strip of film above the breast, which reaches the upper edge, out of a mask.

    Args:
        mask: [height, width] uint8, 1 on the breast; changed in place.
    """
    scale = max(mask.shape) / SMALL_SIDE
    corner, least = int(_OPENING * scale) // 2, int(_STRIP_LENGTH * scale)
    widths = mask.sum(axis=1, dtype=np.int64)
    start = int(np.argmax(widths > 0))
    narrow = widths <= _STRIP_WIDTH * widths.max()
    if start > corner or not narrow[start]:
        return
    start += corner  # the opening has rounded off what came before
    run = widths[start : start + int(np.argmin(narrow[start:]))]
    if not 0 < least <= len(run):
        return
    differing = np.abs(run - np.median(run[:least])) > max(1, _STRIP_RAGGED * scale)
    length = int(np.argmax(differing)) if differing.any() else len(run)
    if length >= least:
        mask[: start + length] = 0


def chest_wall_is_left(mask: np.ndarray) -> bool:
    """Whether the breast is taller at the left side of its box, which is then the chest wall's.

    Args:
        mask: [height, width] bool, with something in it.
    """
    columns = mask.sum(axis=0)
    inside = columns[np.flatnonzero(columns)[0] : np.flatnonzero(columns)[-1] + 1]
    third = max(1, len(inside) // 3)
    return bool(inside[:third].sum() >= inside[-third:].sum())


def _disc(width: int) -> np.ndarray:
    odd = width | 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (odd, odd))
