"""One frame of pixel data -> samples: one decoder a transfer syntax, PS3.5 section 8 and annex A.

The choice is written down here and never depends on what happens to be installed; docs/design.md
has the measurements. All let go of Python's global lock while they decode.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
from PIL import Jpeg2KImagePlugin
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from beam_jobs.imaging import jpeg, rle, streams
from beam_jobs.imaging.unusable import UnusableImage
from records.image_size import ImageSize


@dataclasses.dataclass(frozen=True)
class Layout:
    """Storage of one frame by the header: bits, sign, photometric interpretation, syntax."""

    rows: int
    columns: int
    bits_allocated: int
    swapped: bool = False  # 8-bit pixels in big-endian words, PS3.5 8.1.1 and annex D
    level: int = 0  # wavelet levels of JPEG 2000 not to be decoded, each halves rows and columns

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of what is decoded, ITU-T T.800 B-15."""
        return -(-self.rows >> self.level), -(-self.columns >> self.level)


@dataclasses.dataclass(frozen=True)
class Samples:
    """Decoded samples.

    Attributes:
        values: [rows, columns] uint8, int8, uint16 or int16.
        precision: bits of a sample as the stream itself states them.
    """

    values: np.ndarray
    precision: int


def is_known(syntax: UID) -> bool:
    """Whether frames of a transfer syntax can be decoded."""
    return syntax in _CODECS


def is_lossy(syntax: UID) -> bool:
    """Whether a transfer syntax allows loss, PS3.5 8.2."""
    return syntax in _LOSSY


def choose_level(
    frame: bytes | memoryview, syntax: UID, layout: Layout, *, at_least: ImageSize
) -> Layout:
    """Leaves out as many wavelet levels of JPEG 2000 as keep a size, none of other compressions.

    Raises:
        UnusableImage: the stream is damaged.
    """
    if _CODECS[syntax] is not _JPEG2000:
        return layout
    for level in range(streams.read_jpeg2000(bytes(frame)).levels, 0, -1):
        lower = dataclasses.replace(layout, level=level)
        if lower.shape[0] >= at_least.height and lower.shape[1] >= at_least.width:
            return lower
    return layout


def decode_frame(frame: bytes | memoryview, syntax: UID, layout: Layout) -> Samples:
    """Decodes one frame of greyscale pixels.

    Args:
        frame: where pixels are compressed by other than RLE, bytes.
        syntax: one that is known.
        layout: its storage by the header.

    Raises:
        UnusableImage: the frame contradicts the header.
        Exception: every codec has errors of its own.
    """
    samples = _CODECS[syntax].decode(frame, layout)
    if samples.values.shape != layout.shape:
        raise UnusableImage(
            "damaged_pixels",
            f"decoded to {samples.values.shape}, the header says {layout.rows}x{layout.columns}",
        )
    return samples


def check_claims(frame: bytes, syntax: UID, layout: Layout) -> None:
    """Compares the size and precision in a compressed stream's header with the DICOM header.

    Raises:
        UnusableImage: they differ, or the stream is not whole.
    """
    check = _CODECS[syntax].check
    if check is not None:
        check(frame, layout)


def _read_little(frame: bytes | memoryview, layout: Layout) -> Samples:
    return _read_native(frame, layout, "<u2")


def _read_big(frame: bytes | memoryview, layout: Layout) -> Samples:
    return _read_native(frame, layout, ">u2")


def _read_native(frame: bytes | memoryview, layout: Layout, words: str) -> Samples:
    count = layout.rows * layout.columns
    if layout.swapped:
        frame = np.frombuffer(frame, ">u2", -(-count // 2)).astype("<u2").tobytes()
    kind = "u1" if layout.bits_allocated == 8 else words
    values = np.frombuffer(frame, kind, count).reshape(layout.rows, layout.columns)
    return Samples(values.astype(values.dtype.newbyteorder("="), copy=False), layout.bits_allocated)


def _decode_rle(frame: bytes | memoryview, layout: Layout) -> Samples:
    values = rle.decode_frame(
        frame, rows=layout.rows, columns=layout.columns, bits_allocated=layout.bits_allocated
    )
    return Samples(values, layout.bits_allocated)


def _decode_jpeg(frame: bytes, layout: Layout) -> Samples:
    stream = _check_jpeg(frame, layout)
    return Samples(jpeg.decode(frame, stream), stream.precision)


def _decode_jpeg_ls(frame: bytes, layout: Layout) -> Samples:
    stream = _check_jpeg_ls(frame, layout)
    return Samples(imagecodecs.jpegls_decode(frame), stream.precision)


def _decode_jpeg2000(frame: bytes, layout: Layout) -> Samples:
    """Decodes JPEG 2000 and its high-throughput kind with OpenJPEG.

    OpenJPH is faster at the latter, but imagecodecs 2026.1 swallows its errors: half images.
    """
    stream = _check_jpeg2000(frame, layout)
    codestream = frame[stream.start :]
    if layout.level:
        return Samples(_decode_low_band(codestream, stream.precision, layout), stream.precision)
    return Samples(imagecodecs.jpeg2k_decode(codestream, numthreads=1), stream.precision)


def _decode_low_band(codestream: bytes, precision: int, layout: Layout) -> np.ndarray:
    """Decodes JPEG 2000 without its finest levels, by the OpenJPEG of Pillow.

    imagecodecs has no way to. Pillow holds Python's global lock meanwhile.
    """
    image = Jpeg2KImagePlugin.Jpeg2KImageFile(io.BytesIO(codestream))
    image.reduce = layout.level
    # it rounds the quotient of this to the nearest, where OpenJPEG takes the ceiling
    image._size = (layout.shape[1] << layout.level, layout.shape[0] << layout.level)
    values = np.asarray(image)
    return values >> (8 * values.itemsize - precision)  # it moves samples to the highest bits


def _check_jpeg(frame: bytes, layout: Layout) -> streams.Stream:
    stream = streams.read_jpeg(frame)
    if stream.process not in (*streams.JPEG_SEQUENTIAL, streams.JPEG_LOSSLESS):
        raise UnusableImage("unsupported_compression", f"JPEG frame of kind {stream.process:#x}")
    return _check_stream(stream, layout)


def _check_jpeg_ls(frame: bytes, layout: Layout) -> streams.Stream:
    stream = streams.read_jpeg(frame)
    if stream.process != streams.JPEG_LS:
        raise UnusableImage(
            "damaged_pixels", f"JPEG frame of kind {stream.process:#x}, not JPEG-LS"
        )
    return _check_stream(stream, layout)


def _check_jpeg2000(frame: bytes, layout: Layout) -> streams.Stream:
    return _check_stream(streams.read_jpeg2000(frame), layout)


def _check_stream(stream: streams.Stream, layout: Layout) -> streams.Stream:
    """Compares a stream with the header before a codec takes the memory it claims."""
    if (stream.rows, stream.columns) != (layout.rows, layout.columns):
        raise UnusableImage(
            "damaged_pixels",
            f"the stream says {stream.rows}x{stream.columns}, "
            f"the header {layout.rows}x{layout.columns}",
        )
    if stream.components != 1:
        raise UnusableImage("not_greyscale", f"{stream.components} samples a pixel in the stream")
    if not 0 < stream.precision <= layout.bits_allocated:
        raise UnusableImage(
            "unsupported_bits",
            f"{stream.precision} bits in the stream, {layout.bits_allocated} allocated",
        )
    return stream


@dataclasses.dataclass(frozen=True)
class _Codec:
    """How frames of a transfer syntax are decoded, and how their stream's claims are checked."""

    decode: Callable[[Any, Layout], Samples]  # of bytes; uncompressed and RLE take views too
    check: Callable[[bytes, Layout], streams.Stream] | None = None


_NATIVE = _Codec(_read_little)
_JPEG = _Codec(_decode_jpeg, _check_jpeg)
_JPEG_LS = _Codec(_decode_jpeg_ls, _check_jpeg_ls)
_JPEG2000 = _Codec(_decode_jpeg2000, _check_jpeg2000)

_CODECS: dict[UID, _Codec] = {
    ImplicitVRLittleEndian: _NATIVE,
    ExplicitVRLittleEndian: _NATIVE,
    ExplicitVRBigEndian: _Codec(_read_big),
    DeflatedExplicitVRLittleEndian: _NATIVE,
    RLELossless: _Codec(_decode_rle),
    JPEGBaseline8Bit: _JPEG,
    JPEGExtended12Bit: _JPEG,
    JPEGLossless: _JPEG,
    JPEGLosslessSV1: _JPEG,
    JPEGLSLossless: _JPEG_LS,
    JPEGLSNearLossless: _JPEG_LS,
    JPEG2000Lossless: _JPEG2000,
    JPEG2000: _JPEG2000,
    HTJ2KLossless: _JPEG2000,
    HTJ2KLosslessRPCL: _JPEG2000,
    HTJ2K: _JPEG2000,
}

_LOSSY = {JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless, JPEG2000, HTJ2K}
