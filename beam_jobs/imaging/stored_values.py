"""Decoded samples -> ranks: stored value - lowest possible value, unsigned, PS3.5 8.1.1.

A stream may state other bits and another sign than the header. As in pydicom, the header's sign
holds, and is extended from the stream's own bits.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from beam_jobs.imaging.codecs import Samples
from beam_jobs.imaging.unusable import UnusableImage


@dataclasses.dataclass(frozen=True)
class StoredRange:
    """Which values can be stored, PS3.3 C.7.6.3: BitsStored and PixelRepresentation."""

    bits: int
    signed: bool

    @property
    def lowest(self) -> int:
        """The value that rank 0 stands for."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def values(self) -> np.ndarray:
        """All of them, [2**bits] float64."""
        return np.arange(1 << self.bits, dtype=np.float64) + self.lowest


def take_from_cells(values: np.ndarray, stored: StoredRange, *, high_bit: int) -> np.ndarray:
    """Takes the bits stored out of whole cells; the others mean nothing (old overlays, 8.1.2).

    Args:
        values: [rows, columns] uint8 or uint16.
        stored: which values can be stored.
        high_bit: the highest of the bits stored.

    Returns:
        [rows, columns] ranks of the same type.
    """
    if high_bit != stored.bits - 1:
        values = values >> (high_bit + 1 - stored.bits)
    if stored.bits < 8 * values.itemsize:
        values = values & ((1 << stored.bits) - 1)
    return values ^ np.asarray(-stored.lowest, values.dtype) if stored.signed else values


def take_from_stream(
    samples: Samples, stored: StoredRange, *, bits_allocated: int, lossy: bool
) -> np.ndarray:
    """Takes stored values out of a decoded JPEG, JPEG-LS or JPEG 2000 stream.

    Args:
        samples: what the stream decodes to.
        stored: which values can be stored.
        bits_allocated: size of a cell.
        lossy: whether the syntax allows loss, so that values may come out a little too large.

    Returns:
        [rows, columns] uint8 or uint16 ranks.

    Raises:
        UnusableImage: a lossless stream holds values that the header does not allow.
    """
    numbers = _apply_sign(samples, signed=stored.signed)
    width = 8 * numbers.itemsize
    if stored.bits < samples.precision == bits_allocated and not lossy:
        cells = numbers.view(f"u{numbers.itemsize}")  # whole cells were compressed
        return take_from_cells(cells, stored, high_bit=stored.bits - 1)
    if stored.bits < width:
        least, most = stored.lowest, stored.lowest + (1 << stored.bits) - 1
        lowest, highest, _, _ = cv2.minMaxLoc(numbers)
        if lowest < least or highest > most:
            if not lossy:
                raise UnusableImage(
                    "damaged_pixels", f"values of more than {stored.bits} bits in the stream"
                )
            numbers = np.clip(numbers, least, most)
    if not stored.signed:
        return numbers
    unsigned = np.dtype(f"u{numbers.itemsize}")
    return numbers.view(unsigned) + np.asarray(-stored.lowest, unsigned)


def _apply_sign(samples: Samples, *, signed: bool) -> np.ndarray:
    """Returns samples as numbers of the header's sign."""
    values, precision = samples.values, samples.precision
    width = 8 * values.itemsize
    pattern = values.view(f"u{values.itemsize}")
    if not signed:
        if values.dtype.kind == "i" and precision < width:
            pattern = pattern & ((1 << precision) - 1)
        return pattern
    if values.dtype.kind == "u" and precision < width:
        unused = width - precision
        return (pattern << unused).view(f"i{values.itemsize}") >> unused
    return pattern.view(f"i{values.itemsize}")
