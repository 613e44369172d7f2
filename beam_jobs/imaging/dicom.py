"""A DICOM image -> full-scale pixels: header, frame, stored values, grey levels."""

from __future__ import annotations

import dataclasses

import numpy as np
import pydicom
from pydicom.encaps import get_frame
from pydicom.uid import UID, ExplicitVRBigEndian, RLELossless

from beam_jobs.imaging import (
    codecs,
    dicom_file,
    grey_levels,
    stored_values,
    streams,
    tfio_decoder,
)
from beam_jobs.imaging.unusable import UnusableImage, check_size
from records.image_size import ImageSize

_PEEK = 1 << 16  # bytes in which a stream says its precision


@dataclasses.dataclass(frozen=True)
class PixelModule:
    """The attributes of PS3.3 C.7.6.3 (Image Pixel Module) that decide what pixels mean."""

    rows: int
    columns: int
    frames: int
    samples: int
    photometric: str
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame, uncompressed."""
        return self.rows * self.columns * self.bits_allocated // 8


def decode(
    data: bytes,
    *,
    max_pixels: int,
    window: str,
    frame: int | None,
    decoder: str,
    at_least: ImageSize | None = None,
) -> tuple[np.ndarray, ImageSize]:
    """Decodes a DICOM file; the options are those of `decode.Options`.

    Returns:
        [rows, columns] uint16, 0 (black) to 65535 (white), and the size by the header.

    Raises:
        UnusableImage: the image can't be used.
    """
    try:
        image, syntax, pixels = dicom_file.read(data, max_pixels=max_pixels)
        header = read_pixel_module(image, has_pixels=pixels is not None)
    except UnusableImage:
        raise
    except Exception as error:  # pydicom raises many kinds on damaged bytes
        raise UnusableImage("damaged_header", type(error).__name__) from error
    _check_pixel_module(header, max_pixels, frame)
    if pixels is None or not pixels.value:
        raise UnusableImage("no_pixels", "PixelData (7FE0,0010) is absent or empty")
    _check_syntax(syntax, header, by_tfio=decoder == "tfio")
    cut = _cut_frame(image, pixels, header, syntax, frame or 0)
    try:
        _take_frame_groups(image, frame or 0)
        stored = _find_range(cut, header, syntax, inverted=grey_levels.is_inverted(image))
        levels = grey_levels.read(
            image, stored, window=window, swapped=syntax == ExplicitVRBigEndian
        )
    except UnusableImage:
        raise
    except Exception as error:
        raise UnusableImage("damaged_header", f"grey levels: {type(error).__name__}") from error
    try:
        swapped = syntax == ExplicitVRBigEndian and pixels.representation == "OW"
        layout = codecs.Layout(
            header.rows,
            header.columns,
            header.bits_allocated,
            swapped and header.bits_allocated == 8,
        )
        # a wavelet mixes padding with the image at its edge
        if at_least is not None and image.get("PixelPaddingValue") is None:
            layout = codecs.choose_level(cut, syntax, layout, at_least=at_least)
        ranks = _read_ranks(cut, header, syntax, stored, layout, by_tfio=decoder == "tfio")
    except UnusableImage:
        raise
    except Exception as error:  # each decoder has errors of its own
        raise UnusableImage("damaged_pixels", f"{syntax.name}: {type(error).__name__}") from error
    return np.ascontiguousarray(levels.apply(ranks)), ImageSize(header.rows, header.columns)


def read_pixel_module(image: pydicom.Dataset, *, has_pixels: bool) -> PixelModule:
    """Reads what decides the meaning of pixels.

    Raises:
        UnusableImage: the file has no image.
        Exception: an element is absent or no number.
    """
    if "Rows" not in image or "Columns" not in image:
        if has_pixels:
            raise UnusableImage("damaged_header", "Rows (0028,0010) or Columns (0028,0011) absent")
        raise UnusableImage("no_pixels", "no Rows, Columns and PixelData in the header")
    bits_stored = int(image.BitsStored)
    return PixelModule(
        rows=int(image.Rows),
        columns=int(image.Columns),
        frames=int(image.get("NumberOfFrames", 1) or 1),
        samples=int(image.get("SamplesPerPixel", 1)),
        photometric=str(image.PhotometricInterpretation),
        bits_allocated=int(image.BitsAllocated),
        bits_stored=bits_stored,
        high_bit=int(image.get("HighBit", bits_stored - 1)),
        signed=bool(int(image.PixelRepresentation)),
    )


def _check_pixel_module(header: PixelModule, max_pixels: int, frame: int | None) -> None:
    if header.samples != 1 or header.photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise UnusableImage("not_greyscale", f"{header.samples} samples a pixel, or a palette")
    if header.frames < 1:
        raise UnusableImage("damaged_header", f"{header.frames} frames")
    if frame is None and header.frames != 1:
        raise UnusableImage("not_one_frame", f"{header.frames} frames")
    if frame is not None and frame >= header.frames:
        raise UnusableImage("no_such_frame", f"frame {frame} of {header.frames}")
    check_size(header.rows, header.columns, max_pixels)
    if header.bits_allocated not in (8, 16) or not 0 < header.bits_stored <= header.bits_allocated:
        raise UnusableImage(
            "unsupported_bits", f"{header.bits_stored} stored in {header.bits_allocated}"
        )
    if not header.bits_stored - 1 <= header.high_bit < header.bits_allocated:
        raise UnusableImage(
            "unsupported_bits", f"{header.bits_stored} stored up to bit {header.high_bit}"
        )


_FRAME_GREY_LEVELS = ("PixelValueTransformationSequence", "FrameVOILUTSequence")
"""Rescale (0028,9145) and windows (0028,9132) of a frame, PS3.3 C.7.6.16.2.9 and .10."""


def _take_frame_groups(image: pydicom.Dataset, index: int) -> None:
    """Puts a frame's own grey levels where images of one frame have them, PS3.3 C.7.6.16."""
    shared = image.get("SharedFunctionalGroupsSequence") or []
    of_frames = image.get("PerFrameFunctionalGroupsSequence") or []
    for groups in (*shared[:1], *of_frames[index : index + 1]):
        for keyword in _FRAME_GREY_LEVELS:
            for item in groups.get(keyword) or []:
                image.update(item)


def _check_syntax(syntax: UID, header: PixelModule, *, by_tfio: bool) -> None:
    if not syntax.is_transfer_syntax:  # its text stays in the file
        raise UnusableImage("unsupported_compression", "a transfer syntax DICOM does not list")
    if not codecs.is_known(syntax):
        raise UnusableImage("unsupported_compression", syntax.name)
    # a codec's samples have no bits below the lowest one stored
    whole_cells = not syntax.is_compressed or syntax == RLELossless
    if header.high_bit != header.bits_stored - 1 and (by_tfio or not whole_cells):
        raise UnusableImage(
            "unsupported_bits",
            f"{header.bits_stored} stored up to bit {header.high_bit} in {syntax.name}",
        )


def _check_length(header: PixelModule, found: int) -> None:
    """Compares uncompressed pixel data with its header, PS3.5 8.1.1."""
    wanted = header.frame_bytes * header.frames
    if found < wanted:
        raise UnusableImage("truncated", f"{found} of {wanted} bytes of pixels")
    _check_count(header, found // header.frame_bytes)


def _check_count(header: PixelModule, found: int) -> None:
    """Rejects pixels of more frames than NumberOfFrames (0028,0008) states, which may be absent."""
    if found > header.frames:
        raise UnusableImage(
            "not_one_frame", f"{found} frames in the pixels, the header says {header.frames}"
        )


def _find_range(
    frame: bytes | memoryview, header: PixelModule, syntax: UID, *, inverted: bool
) -> stored_values.StoredRange:
    """Returns which values can be stored: those of BitsStored, as pydicom takes them.

    Where the highest is black, a stream of fewer bits decides: MONOCHROME1 of 14 bits stored as 16
    would be all white else (docs/design.md).
    """
    bits = header.bits_stored
    if inverted and syntax.is_compressed and syntax != RLELossless:
        bits = min(bits, streams.peek_precision(frame[:_PEEK]) or bits)
    return stored_values.StoredRange(bits, header.signed)


def _read_ranks(
    frame: bytes | memoryview,
    header: PixelModule,
    syntax: UID,
    stored: stored_values.StoredRange,
    layout: codecs.Layout,
    *,
    by_tfio: bool,
) -> np.ndarray:
    """Returns stored values as [rows, columns] unsigned ranks: value - lowest possible value."""
    if by_tfio:
        return tfio_decoder.decode_frame(
            bytes(frame), syntax, layout, bits_stored=stored.bits, signed=stored.signed
        )
    samples = codecs.decode_frame(frame, syntax, layout)
    if not syntax.is_compressed or syntax == RLELossless:
        return stored_values.take_from_cells(samples.values, stored, high_bit=header.high_bit)
    lossy = codecs.is_lossy(syntax) or layout.level > 0  # a low band overshoots at edges
    return stored_values.take_from_stream(
        samples, stored, bits_allocated=header.bits_allocated, lossy=lossy
    )


def _cut_frame(
    image: pydicom.Dataset,
    pixels: dicom_file.PixelData,
    header: PixelModule,
    syntax: UID,
    index: int,
) -> bytes | memoryview:
    """Cuts one frame out of the pixel data, PS3.5 A.4 where it is in fragments.

    Raises:
        UnusableImage: there are fewer or more frames than the header says.
    """
    if not syntax.is_compressed:
        _check_length(header, len(pixels.value))
        # frames of an odd number of bytes follow one another without padding, PS3.5 8.1.1
        start = index * header.frame_bytes
        return pixels.value[start : start + header.frame_bytes + header.frame_bytes % 2]
    try:
        offsets, fragments, whole = dicom_file.list_fragments(pixels)
        segments = header.bits_allocated // 8 if syntax == RLELossless else 0
        _check_count(header, dicom_file.count_frames(offsets, fragments, segments))
        if header.frames == 1:
            if not whole:
                raise UnusableImage("truncated", "the file ends before its compressed pixels do")
            frame = fragments[0] if len(fragments) == 1 else b"".join(fragments)
            return frame if segments else bytes(frame)  # other streams are searched
        extended = None
        if "ExtendedOffsetTable" in image:
            extended = (image.ExtendedOffsetTable, image.ExtendedOffsetTableLengths)
        return get_frame(
            bytes(pixels.value), index, number_of_frames=header.frames, extended_offsets=extended
        )
    except UnusableImage:
        raise
    except Exception as error:  # pydicom has several for damaged items
        raise UnusableImage("damaged_pixels", f"{syntax.name}: {type(error).__name__}") from error
