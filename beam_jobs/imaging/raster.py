"""Images that are no DICOM: PGM, PNG and JPEG (TIFF is in `tiff`).

Sizes are read from headers before anything is decoded, and files are walked to their end first:
half a file is rejected.
"""

from __future__ import annotations

import re
from typing import Literal

import imagecodecs
import numpy as np

from beam_jobs.imaging import jpeg, streams
from beam_jobs.imaging.unusable import UnusableImage, check_size


def decode_pgm(data: bytes, max_pixels: int) -> np.ndarray:
    """Decodes binary PGM ("P5"), the format of mini-MIAS.

    Returns:
        [height, width] uint16 on full scale.
    """
    width, height, maximum, offset = _read_pgm_header(data)
    check_size(height, width, max_pixels)
    wanted = height * width * (1 if maximum < 256 else 2)
    if len(data) - offset < wanted:
        raise UnusableImage("truncated", f"{len(data) - offset} of {wanted} bytes of pixels")
    if data[offset + wanted :].lstrip().startswith(b"P5"):  # PGM may hold a sequence of images
        raise UnusableImage("not_one_frame", "several images in one PGM")
    stored = np.frombuffer(data, "u1" if maximum < 256 else ">u2", height * width, offset)
    table = np.rint(np.arange(maximum + 1) * 65535 / maximum).astype(np.uint16)
    brightest = int(stored.max())
    if brightest > maximum:
        raise UnusableImage("damaged_pixels", f"a pixel of {brightest}, the header says {maximum}")
    return table[stored].reshape(height, width)


_PGM_GAP = rb"(?:\s|#[^\n]*\n)+"
_PGM_HEADER = re.compile(rb"P5" + 3 * (_PGM_GAP + rb"(\d{1,9})") + rb"\s")


def _read_pgm_header(data: bytes) -> tuple[int, int, int, int]:
    """Returns width, height, largest value and where the pixels begin."""
    match = _PGM_HEADER.match(data[:4096])
    if match is None:
        raise UnusableImage("damaged_header", "PGM header without width, height and maximum")
    width, height, maximum = (int(number) for number in match.groups())
    if not (width > 0 and height > 0 and 0 < maximum < 65536):
        raise UnusableImage("damaged_header", f"PGM of {height}x{width}, maximum {maximum}")
    return width, height, maximum, match.end()


def decode_png(data: bytes, max_pixels: int) -> np.ndarray:
    """Decodes a PNG of 8 or 16 bits, grey or RGB of three equal channels (PNG 3rd edition, 11.2).

    Returns:
        [height, width] uint16 on full scale.
    """
    chunks = _walk_png(data)
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    bits, colour = data[24], data[25]
    check_size(height, width, max_pixels)
    if b"acTL" in chunks:  # an animation, PNG 3rd edition 11.3.6.1
        raise UnusableImage("not_one_frame", "an animated PNG")
    _check_exif(chunks.get(b"eXIf", b""))
    if colour not in (0, 2) or b"tRNS" in chunks:
        raise UnusableImage("not_greyscale", f"PNG with palette or alpha, colour type {colour}")
    if bits not in (8, 16):
        raise UnusableImage("unsupported_bits", f"PNG of {bits} bits")
    try:
        decoded = imagecodecs.png_decode(data)
    except Exception as error:
        raise UnusableImage("damaged_pixels", f"PNG: {type(error).__name__}") from error
    return to_grey(decoded, height, width)


def _walk_png(data: bytes) -> dict[bytes, bytes]:
    """Follows the chunks to IEND and returns kind -> bytes of its last (PNG 3rd edition, 5.3)."""
    if data[8:16] != b"\0\0\0\x0dIHDR":
        raise UnusableImage("damaged_header", "PNG without IHDR")
    chunks = {}
    position = 8
    while b"IEND" not in chunks:
        length = int.from_bytes(data[position : position + 4], "big")
        chunks[data[position + 4 : position + 8]] = data[position + 8 : position + 8 + length]
        position += 12 + length
        if position > len(data):
            raise UnusableImage("truncated", f"{len(data)} of at least {position} bytes of PNG")
    return chunks


def decode_jpeg(data: bytes, max_pixels: int) -> np.ndarray:
    """Decodes a JPEG file, grey or of three equal channels.

    Returns:
        [height, width] uint16 on full scale.
    """
    stream = streams.read_jpeg(data)
    check_size(stream.rows, stream.columns, max_pixels)
    if stream.components not in (1, 3):
        raise UnusableImage("not_greyscale", f"JPEG of {stream.components} components")
    if stream.process not in (*streams.JPEG_SEQUENTIAL, streams.JPEG_PROGRESSIVE):
        raise UnusableImage("unsupported_compression", f"JPEG frame of kind {stream.process:#x}")
    _check_exif(stream.exif)
    if stream.precision != 8:
        raise UnusableImage("unsupported_bits", f"JPEG of {stream.precision} bits")
    try:
        decoded = jpeg.decode(data, stream)
    except UnusableImage:
        raise
    except Exception as error:
        raise UnusableImage("damaged_pixels", f"JPEG: {type(error).__name__}") from error
    return to_grey(decoded, stream.rows, stream.columns)


# Orientation, tag 0112 (hex) of Exif 2.32 4.6.4: one 16-bit number, in either byte order
_ORIENTATION = re.compile(
    rb"\x12\x01\x03\0\x01\0\0\0(?P<little>..)|\x01\x12\0\x03\0\0\0\x01(?P<big>..)", re.DOTALL
)


def _check_exif(exif: bytes) -> None:
    """Rejects an image that viewers turn or mirror: its pixels are not as it is seen."""
    match = _ORIENTATION.search(exif)
    if match is None:
        return
    order: Literal["little", "big"] = "little" if match["little"] else "big"
    orientation = int.from_bytes(match[order], order)
    if orientation not in (0, 1):  # not stated, upright
        raise UnusableImage("unsupported_layout", f"turned or mirrored, orientation {orientation}")


def to_grey(decoded: np.ndarray, height: int, width: int) -> np.ndarray:
    """Takes the one channel of a decoded image and brings it to full scale.

    Args:
        decoded: [height, width] or [height, width, 3] uint8 or uint16.
        height: as the file's header says.
        width: as the file's header says.

    Returns:
        [height, width] uint16.

    Raises:
        UnusableImage: the channels differ, or the size is another.
    """
    if decoded.shape not in ((height, width), (height, width, 3)):
        raise UnusableImage(
            "damaged_pixels", f"decoded to {decoded.shape}, the header says {height}x{width}"
        )
    if decoded.ndim == 3:
        grey = decoded[:, :, 0]
        if not all(np.array_equal(grey, decoded[:, :, other]) for other in (1, 2)):
            raise UnusableImage("not_greyscale", "three channels that differ")
        decoded = grey
    if decoded.dtype == np.uint8:
        return decoded * np.uint16(257)
    return np.ascontiguousarray(decoded)
