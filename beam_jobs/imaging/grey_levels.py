"""Stored values -> grey levels on full scale: 0 is black, 65535 is white.

The steps of PS3.3 C.11, in its order: modality LUT or rescale; VOI LUT or window, if configured;
polarity. Each is a function of the stored value alone, and there are at most 65,536 of those, so
all become one table, computed in float64. Padding is black in every case.

What full scale is, without a window: the range that the possible stored values (2**BitsStored of
them) reach after the modality step. So a linear rescale changes nothing, one with a negative slope
inverts, and two images of one device keep one scale.
"""

from __future__ import annotations

import dataclasses
import math

import cv2
import numpy as np
import pydicom
from pydicom.multival import MultiValue

from beam_jobs.imaging.stored_values import StoredRange
from beam_jobs.imaging.unusable import UnusableImage

WHITE = 65535


@dataclasses.dataclass(frozen=True)
class GreyLevels:
    """How ranks (stored value - lowest) become levels.

    Attributes:
        bits: BitsStored.
        inverted: whether the highest value is black, where there is no table.
        table: [2**bits] uint16, None where ranks are only stretched to full scale.
    """

    bits: int
    inverted: bool
    table: np.ndarray | None

    def apply(self, ranks: np.ndarray) -> np.ndarray:
        """Maps [rows, columns] uint8 or uint16 ranks to uint16 levels."""
        if self.table is not None:
            return self.table[ranks]
        pixels = ranks.astype(np.uint16, copy=False)
        if self.bits < 16:
            pixels = cv2.multiply(pixels, WHITE / ((1 << self.bits) - 1), dtype=cv2.CV_16U)
        return cv2.bitwise_not(pixels) if self.inverted else pixels


def read(image: pydicom.Dataset, stored: StoredRange, *, window: str, swapped: bool) -> GreyLevels:
    """Reads the grey level transforms of a header: modality LUT, window, polarity, padding.

    Args:
        image: a data set.
        stored: which values its pixels can have.
        window: "none", "first" (the whole range where an image has none) or an index.
        swapped: whether words in its tables are big-endian.

    Raises:
        UnusableImage: the header contradicts itself, or has no window of that index.
    """
    inverted = _is_white_low(image)
    slope, intercept = _read_rescale(image)
    padding = _find_padding(image, stored)
    has_modality_lut = bool(image.get("ModalityLUTSequence"))
    voi = _choose_voi(image, window)
    if not has_modality_lut and voi is None and padding is None:
        return GreyLevels(stored.bits, inverted != (slope < 0), None)
    if has_modality_lut:  # it excludes a rescale, PS3.3 C.11.1
        lut = _read_lut(image.ModalityLUTSequence[0], swapped)
        levels = lut.look_up(stored.values)
    else:
        levels = stored.values * slope + intercept
    if voi is None:
        fractions = _stretch(levels, levels.min(), levels.max())
    elif isinstance(voi, _Window):
        fractions = voi.apply(levels)
    else:
        lut = _read_lut(voi, swapped)
        fractions = lut.look_up(levels) / lut.highest
    if inverted:
        fractions = 1 - fractions
    table = np.rint(fractions * WHITE).astype(np.uint16)
    if padding is not None:
        table[padding] = 0
    return GreyLevels(stored.bits, inverted, table)


POLARITY = [
    "PhotometricInterpretation",
    "PresentationLUTShape",
    "ModalityLUTSequence",
    "RescaleSlope",
    "RescaleIntercept",
]
"""What `is_inverted` reads, for `pydicom.dcmread(specific_tags=...)`."""


def is_inverted(image: pydicom.Dataset) -> bool:
    """Tells whether the highest stored value is black; a modality LUT is taken to rise."""
    slope = 1.0 if image.get("ModalityLUTSequence") else _read_rescale(image)[0]
    return _is_white_low(image) != (slope < 0)


def _is_white_low(image: pydicom.Dataset) -> bool:
    """Tells whether the lowest value after the VOI step is white.

    MONOCHROME1 says so, PS3.3 C.7.6.3.1.2. INVERSE (PS3.3 C.11.6) says the same once more (the DX
    module asks for both together), so two do not cancel out; IDENTITY adds nothing to either.
    """
    inverse_shape = image.get("PresentationLUTShape") == "INVERSE"
    return image.PhotometricInterpretation == "MONOCHROME1" or inverse_shape


def _stretch(levels: np.ndarray, lowest: float, highest: float) -> np.ndarray:
    if not lowest < highest:
        raise UnusableImage("damaged_header", "a modality LUT of one level")
    return (levels - lowest) / (highest - lowest)


def _read_rescale(image: pydicom.Dataset) -> tuple[float, float]:
    """Reads Rescale Slope (0028,1053) and Intercept (0028,1052), PS3.3 C.11.1."""
    if image.get("RescaleSlope") is None or image.get("RescaleIntercept") is None:
        return 1.0, 0.0
    slope, intercept = float(image.RescaleSlope), float(image.RescaleIntercept)
    if not (math.isfinite(slope) and math.isfinite(intercept)) or slope == 0:
        raise UnusableImage("damaged_header", f"rescale slope {slope}, intercept {intercept}")
    return slope, intercept


def _find_padding(image: pydicom.Dataset, stored: StoredRange) -> slice | None:
    """Finds the ranks that mean "no image here", PS3.3 C.7.5.1.1.2.

    Returns:
        Ranks from Pixel Padding Value (0028,0120) to Range Limit (0028,0121), None if there are
        none: padding that no pixel can have changes nothing.
    """
    if image.get("PixelPaddingValue") is None:
        return None
    limit = image.get("PixelPaddingRangeLimit")
    ends = [int(image.PixelPaddingValue)]
    ends.append(ends[0] if limit is None else int(limit))
    # written as a signed or an unsigned word, whichever the writer took it for
    ends = [end - 65536 if stored.signed and end > 32767 else end for end in ends]
    ends = [end + 65536 if not stored.signed and end < 0 else end for end in ends]
    low, high = min(ends) - stored.lowest, max(ends) - stored.lowest
    low, high = max(low, 0), min(high, (1 << stored.bits) - 1)
    return slice(low, high + 1) if low <= high else None


@dataclasses.dataclass(frozen=True)
class _Window:
    """Window Center (0028,1050), Width (0028,1051) and VOI LUT Function (0028,1056)."""

    center: float
    width: float
    function: str

    def apply(self, levels: np.ndarray) -> np.ndarray:
        """Maps levels to 0..1, PS3.3 C.11.2.1.2 and C.11.2.1.3."""
        if self.function == "SIGMOID":
            with np.errstate(over="ignore"):  # exp of a far too dark level is infinite, 1/inf is 0
                return 1 / (1 + np.exp(-4 * (levels - self.center) / self.width))
        center, width = self.center, self.width
        if self.function == "LINEAR":
            center, width = center - 0.5, width - 1
        if width == 0:
            return (levels > center).astype(np.float64)
        return np.clip((levels - center) / width + 0.5, 0, 1)


def _choose_voi(image: pydicom.Dataset, window: str) -> _Window | pydicom.Dataset | None:
    """Chooses among the image's alternatives, PS3.3 C.11.2; VOI LUTs go before windows."""
    if window == "none":
        return None
    index = 0 if window == "first" else int(window)
    tables = image.get("VOILUTSequence") or []
    centers, widths = _numbers(image.get("WindowCenter")), _numbers(image.get("WindowWidth"))
    count = len(tables) or min(len(centers), len(widths))
    if index < count:
        return tables[index] if tables else _check_window(image, centers[index], widths[index])
    if window == "first":
        return None
    raise UnusableImage("no_such_window", f"window {index} of {count}")


def _check_window(image: pydicom.Dataset, center: float, width: float) -> _Window:
    function = str(image.get("VOILUTFunction") or "LINEAR").upper()
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):  # its text stays in the file
        raise UnusableImage("damaged_header", "a VOI LUT function DICOM does not list")
    enough = width >= 1 if function == "LINEAR" else width > 0
    if not (enough and math.isfinite(width) and math.isfinite(center)):
        raise UnusableImage("damaged_header", f"window of centre {center}, width {width}")
    return _Window(center, width, function)


def _numbers(value: object) -> list[float]:
    """Returns the values of a decimal string of any multiplicity."""
    if value is None or value == "":
        return []
    many = value if isinstance(value, MultiValue) else [value]
    return [float(number) for number in many]  # type: ignore[arg-type]


@dataclasses.dataclass(frozen=True)
class _Lut:
    """A table of PS3.3 C.11.1.1 or C.11.2.1.1.

    Attributes:
        first: input value of its first entry; lower ones get it too, higher ones the last.
        highest: the largest value its entries' bits allow.
        entries: [entries] float64.
    """

    first: int
    highest: int
    entries: np.ndarray

    def look_up(self, levels: np.ndarray) -> np.ndarray:
        places = np.clip(np.floor(levels - self.first), 0, len(self.entries) - 1)
        return self.entries[places.astype(np.int64)]


def _read_lut(item: pydicom.Dataset, swapped: bool) -> _Lut:
    """Reads LUT Descriptor (0028,3002) and LUT Data (0028,3006)."""
    count, first, bits = (int(number) for number in item.LUTDescriptor)
    count = count or 65536
    if not (0 < count <= 65536 and 8 <= bits <= 16):
        raise UnusableImage("damaged_header", f"a LUT of {count} entries of {bits} bits")
    data = item.LUTData
    if isinstance(data, bytes):
        packed = len(data) < 2 * count  # 8-bit entries may lie two in a word
        entries = np.frombuffer(data, "u1" if packed else ">u2" if swapped else "<u2")
    else:
        entries = np.asarray(data, np.int64).reshape(-1) & 0xFFFF
    if len(entries) < count:
        raise UnusableImage("damaged_header", f"{len(entries)} of {count} entries of a LUT")
    highest = (1 << bits) - 1
    if entries[:count].max() > highest:
        raise UnusableImage("damaged_header", f"a LUT of {bits} bits with larger entries")
    return _Lut(first, highest, entries[:count].astype(np.float64))
