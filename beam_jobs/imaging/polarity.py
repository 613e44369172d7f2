"""Polarity of images that no header describes: pixels -> positive, negative or undecided.

pixels, remarks = correct(pixels, invert=True)

The air around a breast is an image's black, and lies at its border; what was exported without
minding MONOCHROME1 has it white.
"""

from __future__ import annotations

import numpy as np

from beam_jobs.imaging import breast
from beam_jobs.imaging.unusable import UnusableImage

PALE = "grey levels: pale, near-raw"
REMARKS = ("polarity: ", "grey levels: ")
"""How what is said of an image begins, where only its pixels tell it."""
# Fraction of an image's range of levels that is its black, and its white; and by how much one must
# outweigh the other, as fractions of all pixels and of those at the border, added up. Measured on
# 2,750 exports of RSNA 2023 (414 negatives), 262 images of mini-MIAS and 8 of CBIS-DDSM: all beyond
# 0.45, on the right side.
_END = 0.05
_LEAST = 0.3
# Upright, nine tenths of what is no air are above this part of the range in images without the
# vendor's look-up table: all of machines 93, 190 and 216 of RSNA 2023 (by eye; 0.5 marked most of
# the processed images of machine 29 as well).
_AIR = 0.1
_PALE = 0.65
_NOISE = 3 * 257
"""Levels of 8-bit images that are no picture."""


def correct(
    pixels: np.ndarray, *, invert: bool, inverted: bool | None = None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Inverts a negative.

    Args:
        pixels: [height, width] uint16.
        invert: whether the pixels decide, where nothing else does; blank images are rejected then.
        inverted: whether it is a negative by its table, None where that does not state it.

    Returns:
        the pixels, 0 black; and what is to be said of the image, "what: text" each.

    Raises:
        UnusableImage: nothing is on the image but noise.
    """
    small = breast.shrink(pixels)
    counts = np.bincount(small.ravel(), minlength=1 << 16).cumsum() / small.size
    low, high = (int(np.searchsorted(counts, part)) for part in (0.005, 0.995))
    if invert and high - low <= _NOISE and not (pixels % 257).any():
        raise UnusableImage("one_grey_level", f"99 % of it within {(high - low) // 257} levels")
    levels = (small.astype(np.float32) - low) / max(high - low, 1)
    balance = _weigh_black(levels)
    negative, undecided = balance <= -_LEAST, abs(balance) < _LEAST
    by_pixels = invert and negative and inverted is None
    remarks = []
    if inverted:
        remarks.append(
            "polarity: inverted by the table" + ("" if negative else ", not so by the pixels")
        )
    elif by_pixels:
        remarks.append("polarity: inverted by the pixels")
    elif negative:
        remarks.append("polarity: a negative by the pixels, kept")
    elif undecided and inverted is None:
        remarks.append("polarity: undecided by the pixels, kept")
    tissue = (1 - levels if negative else levels)[np.abs(levels - negative) > _AIR]
    if tissue.size and (tissue < _PALE).mean() < 0.1:
        remarks.append(PALE)
    return ~pixels if inverted or by_pixels else pixels, tuple(remarks)


def was_inverted(discrepancies: str) -> bool:
    """Whether the remarks on an image, of sources.csv, say that it was inverted."""
    return "polarity: inverted" in discrepancies


def _weigh_black(levels: np.ndarray) -> float:
    """Returns how much more is black than white, -2 to 2; levels are [height, width], 0 to 1."""
    width = max(1, max(levels.shape) // 128)
    edges = levels[:width], levels[-width:], levels[:, :width], levels[:, -width:]
    border = np.concatenate([edge.ravel() for edge in edges])
    parts = (levels, border)
    return float(sum((part < _END).mean() - (part > 1 - _END).mean() for part in parts))
