"""Contrast limited adaptive histogram equalisation that means the same at every size and depth.

OpenCV's own counts 65,536 bins in 16 bits, more than a tile has pixels, so that its limit rounds to
one pixel a bin and the picture hardly changes. Here a tile has 256 bins, as in its 8-bit variety
(the two agree there to one level), and the map between their centres is linear, so that all levels
of an image survive.
"""

from __future__ import annotations

import cv2
import numpy as np

_BINS = 256
_WIDTH = 257  # 16-bit levels from one bin's centre to the next: 255 * 257 = 65535


def equalise_adaptively(pixels: np.ndarray, *, clip: float, tiles: int) -> np.ndarray:
    """Equalises in tiles x tiles parts and blends their maps bilinearly.

    K. Zuiderveld, Contrast limited adaptive histogram equalization, Graphics Gems IV, 1994.

    Args:
        pixels: [height, width] uint16.
        clip: a bin counts no more than `clip` times the mean of a tile's bins.
        tiles: parts along each side.

    Returns:
        [height, width] uint16.
    """
    height, width = pixels.shape
    padded = cv2.copyMakeBorder(
        pixels, 0, -height % tiles, 0, -width % tiles, cv2.BORDER_REFLECT_101
    )
    maps = _map_tiles(padded, clip, tiles)
    result = np.empty_like(pixels)
    rows = _bands(height, padded.shape[0] // tiles, tiles)
    columns = _bands(width, padded.shape[1] // tiles, tiles)
    filled: dict[int, np.ndarray] = {}
    for part, above, below, down in rows:
        # a row of maps serves two bands, and is filled in once
        filled = {
            tile: filled[tile] if tile in filled else _fill_in(maps[tile])
            for tile in (above, below)
        }
        upper, lower = filled[above], filled[below]
        for slab, left, right, across in columns:
            block = pixels[part, slab]
            top = upper[left][block] * (1 - across) + upper[right][block] * across
            bottom = lower[left][block] * (1 - across) + lower[right][block] * across
            blended = top * (1 - down)[:, None] + bottom * down[:, None]
            result[part, slab] = np.rint(blended * np.float32(_WIDTH))
    return result


def _map_tiles(padded: np.ndarray, clip: float, tiles: int) -> np.ndarray:
    """Returns the map of each tile, [tiles, tiles, 256] float32, bin -> 0..255."""
    nearest = ((np.arange(65536) + _WIDTH // 2) // _WIDTH).astype(np.uint8)
    height, width = (side // tiles for side in padded.shape)
    limit = max(1, int(clip * height * width / _BINS))
    maps = np.empty((tiles, tiles, _BINS), np.float32)
    for row, column in np.ndindex(tiles, tiles):
        tile = padded[row * height :, column * width :][:height, :width]
        counts = np.bincount(nearest[tile].ravel(), minlength=_BINS)
        excess = int(np.maximum(counts - limit, 0).sum())
        counts = np.minimum(counts, limit) + excess // _BINS
        rest = excess % _BINS
        if rest:  # what does not go round is spread evenly
            counts[np.arange(rest) * max(_BINS // rest, 1)] += 1
        maps[row, column] = np.cumsum(counts) * ((_BINS - 1) / tile.size)
    return maps


def _bands(length: int, tile: int, tiles: int) -> list[tuple[slice, int, int, np.ndarray]]:
    """Returns the stretches between tile centres: where, tile before, tile after, its weight."""
    place = np.arange(length, dtype=np.float32) / np.float32(tile) - np.float32(0.5)
    before = np.floor(place).astype(int)
    bands = []
    for index in range(-1, tiles):
        (inside,) = np.nonzero(before == index)
        if inside.size:
            part = slice(int(inside[0]), int(inside[-1]) + 1)
            bands.append((part, max(index, 0), min(index + 1, tiles - 1), place[part] - index))
    return bands


def _fill_in(maps: np.ndarray) -> np.ndarray:
    """Joins the 256 nodes of each map by lines: [tiles, 256] -> [tiles, 65536] float32."""
    along = np.arange(_WIDTH, dtype=np.float32) / _WIDTH
    joined = maps[:, :-1, None] + np.diff(maps, axis=1)[:, :, None] * along
    return np.concatenate([joined.reshape(len(maps), -1), maps[:, -1:]], axis=1)
