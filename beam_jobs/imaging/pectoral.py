"""Removal of the pectoral muscle from MLO images, where its edge is beyond doubt.

The edge is taken as a straight line from the upper border to the chest wall, the one along which
the image falls most steeply from muscle to breast (a straight-line search in the gradient, as in
Karssemeijer, Phys. Med. Biol. 43:365-378, 1998). What the search finds is believed only if it looks
like a muscle: bright, long, at a usual angle, falling all along its edge. Else the image stays as
it is, because a part of the breast must never go.
"""

from __future__ import annotations

import cv2
import numpy as np

from beam_jobs.imaging import breast, clean_and_crop

# Ends of the lines tried, as fractions of the breast's box: along the upper border, along the wall.
_ON_TOP = np.linspace(0.12, 0.9, 40)[:, None, None]
_ON_WALL = np.linspace(0.15, 1.0, 52)[None, :, None]
_ALONG = np.linspace(0.04, 0.96, 64)
_STEADY = len(_ALONG) // 3
_ACROSS = 5.0  # how far on either side of a line brightness is compared, pixels of the small copy
_BLUR = 2.5
# What a muscle looks like; beyond these the image is left alone (mini-MIAS, by eye and by lesions).
_ANGLES = (12.0, 50.0)  # from the chest wall, degrees
_LEAST_FALL = 0.025  # across the edge, fraction of the breast's brightness
_FALLING = 0.9  # fraction of the edge that falls
_LARGEST_FRACTION = 0.3  # of the breast
_LEAST_BRIGHTNESS = 1.05  # of the muscle's median against that of the rest of the breast


def remove(pixels: np.ndarray, *, view: str, cleaned: bool = False) -> np.ndarray:
    """Turns the pectoral muscle black; images that are not MLO, or leave doubt, pass unchanged.

    Args:
        pixels: [height, width] uint16.
        view: CC, MLO or what else the tables say.
        cleaned: all but the breast is black already.

    Returns:
        [height, width] uint16.

    Raises:
        UnusableImage: no breast was found.
    """
    if view != "MLO":
        return pixels
    small = breast.shrink(pixels)
    mask = breast.find(small, cleaned=cleaned)
    wall_is_left = breast.chest_wall_is_left(mask)
    if not wall_is_left:
        small, mask = small[:, ::-1], mask[:, ::-1]
    muscle = _find(small, mask)
    if muscle is None:
        return pixels
    return clean_and_crop.blacken(pixels, muscle if wall_is_left else muscle[:, ::-1])


def _find(small: np.ndarray, mask: np.ndarray) -> np.ndarray | None:
    """Returns the muscle of an image whose chest wall is at the left, None if there is doubt."""
    left, top, _, height = cv2.boundingRect(mask.astype(np.uint8))
    if top > 0.05 * len(small):  # the breast does not reach the border the muscle comes from
        return None
    roots = cv2.GaussianBlur(np.sqrt(small.astype(np.float32)), (0, 0), _BLUR)
    upper = np.flatnonzero(mask[top + 2])[-1] - left + 1
    on_top, on_wall = left + _ON_TOP * upper, top + _ON_WALL * height
    fall = _fall_across(roots, on_top - left, on_wall - top, (left, top))
    # a low quantile: the skin line falls steeply too, but lines that meet it cross soft tissue
    steady = np.partition(fall, _STEADY, axis=2)[:, :, _STEADY]
    strength = steady / float(np.median(roots[mask]))
    strength[(fall > 0).mean(axis=2) < _FALLING] = 0
    angle = np.degrees(np.arctan2(on_top - left, on_wall - top))[:, :, 0]
    strength[(angle < _ANGLES[0]) | (angle > _ANGLES[1])] = 0
    if strength.max() < _LEAST_FALL:
        return None
    best = np.unravel_index(strength.argmax(), strength.shape)
    rows, columns = np.indices(mask.shape)
    corner = (columns - left) / (on_top.ravel()[best[0]] - left) + (rows - top) / (
        on_wall.ravel()[best[1]] - top
    ) < 1
    corner &= columns >= left
    muscle = corner & mask
    rest = roots[mask & ~corner]
    if muscle.sum() > _LARGEST_FRACTION * mask.sum() or not rest.size:
        return None
    if np.median(roots[muscle]) < _LEAST_BRIGHTNESS * np.median(rest):
        return None
    return corner


def _fall_across(
    roots: np.ndarray, width: np.ndarray, height: np.ndarray, origin: tuple[int, int]
) -> np.ndarray:
    """Returns how much darker it is outside each line than inside, [tops, walls, along]."""
    column = origin[0] + width * (1 - _ALONG)
    row = origin[1] + height * _ALONG
    length = np.hypot(width, height)
    across, down = _ACROSS * height / length, _ACROSS * width / length

    def sample(sign: float) -> np.ndarray:
        columns, rows = (
            np.asarray(a + sign * b + 0 * width * height, np.float32)
            for a, b in ((column, across), (row, down))
        )
        shape = columns.shape
        flat = cv2.remap(
            roots,
            columns.reshape(shape[0], -1),
            rows.reshape(shape[0], -1),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return flat.reshape(shape)

    return sample(-1) - sample(1)
