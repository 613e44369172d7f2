"""TIFF bytes -> uint16 pixels: grey of 8 or 16 bits, or RGB of three equal channels (TIFF 6.0).

The directory is read here before libtiff sees the file: what it claims bounds memory, and strips
outside of the file mean half a file.
"""

from __future__ import annotations

import dataclasses
import struct

import imagecodecs
import numpy as np

from beam_jobs.imaging.raster import to_grey
from beam_jobs.imaging.unusable import UnusableImage, check_size

# tags, TIFF 6.0 section 8 and, for tiles, 15; kinds, section 2
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_OFFSETS, _ORIENTATION, _SAMPLES, _ROWS_PER_STRIP, _COUNTS = 273, 274, 277, 278, 279
_PLANAR, _TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_COUNTS = 284, 322, 323, 324, 325
_EXTRA_SAMPLES, _SAMPLE_FORMAT = 338, 339
_KINDS = {1: "B", 3: "H", 4: "I"}
_COMPRESSIONS = {1: "none", 5: "LZW", 8: "Deflate", 32946: "Deflate", 32773: "PackBits"}
_MOST_PAGES = 10_000
_LARGEST_TILE = 1 << 24


@dataclasses.dataclass(frozen=True)
class _Page:
    """One image file directory: tag -> its numbers."""

    tags: dict[int, tuple[int, ...]]

    def get(self, tag: int, default: int) -> int:
        return self.tags.get(tag, (default,))[0]


def decode_tiff(data: bytes, max_pixels: int, frame: int | None) -> np.ndarray:
    """Decodes one page of a TIFF.

    Args:
        data: the whole file.
        max_pixels: larger images are rejected before memory is taken.
        frame: which page; None for the only one.

    Returns:
        [height, width] uint16 on full scale.

    Raises:
        UnusableImage: the image can't be used.
    """
    try:
        pages = _read_pages(data)
    except struct.error as error:
        raise UnusableImage("truncated", "a TIFF directory outside of the file") from error
    if frame is None and len(pages) != 1:
        raise UnusableImage("not_one_frame", f"{len(pages)} pages")
    index = frame or 0
    if index >= len(pages):
        raise UnusableImage("no_such_frame", f"page {index} of {len(pages)}")
    page = pages[index]
    _check_page(page, max_pixels)
    _check_extents(page, len(data))
    try:
        decoded = imagecodecs.tiff_decode(data, index)
    except Exception as error:
        raise UnusableImage("damaged_pixels", f"TIFF: {type(error).__name__}") from error
    pixels = to_grey(decoded, page.get(_HEIGHT, 0), page.get(_WIDTH, 0))
    if page.get(_PHOTOMETRIC, 1) == 0:  # WhiteIsZero
        return 65535 - pixels
    return pixels


def _read_pages(data: bytes) -> list[_Page]:
    """Follows the chain of directories, TIFF 6.0 section 2."""
    order = "<" if data[:2] == b"II" else ">"
    (offset,) = struct.unpack_from(f"{order}I", data, 4)
    pages: list[_Page] = []
    while offset:
        if len(pages) == _MOST_PAGES:
            raise UnusableImage("damaged_header", f"{_MOST_PAGES} TIFF pages, or a loop")
        (count,) = struct.unpack_from(f"{order}H", data, offset)
        entries = [
            struct.unpack_from(f"{order}HHII", data, offset + 2 + 12 * number)
            for number in range(count)
        ]
        tags = {}
        for number, (tag, kind, values, _) in enumerate(entries):
            if kind in _KINDS and values:
                where = offset + 2 + 12 * number + 8
                tags[tag] = _read_values(data, order + str(values) + _KINDS[kind], where)
        pages.append(_Page(tags))
        (offset,) = struct.unpack_from(f"{order}I", data, offset + 2 + 12 * count)
    return pages


def _read_values(data: bytes, layout: str, where: int) -> tuple[int, ...]:
    """Reads an entry's numbers, which lie in the entry itself if they fit into four bytes."""
    size = struct.calcsize(layout)
    if size > len(data):
        raise UnusableImage("truncated", f"a TIFF entry of {size} bytes in a file of {len(data)}")
    if size > 4:
        (where,) = struct.unpack_from(f"{layout[0]}I", data, where)
    return struct.unpack_from(layout, data, where)


def _check_page(page: _Page, max_pixels: int) -> None:
    check_size(page.get(_HEIGHT, 0), page.get(_WIDTH, 0), max_pixels)
    photometric, samples = page.get(_PHOTOMETRIC, 1), page.get(_SAMPLES, 1)
    if (photometric, samples) not in ((0, 1), (1, 1), (2, 3)) or _EXTRA_SAMPLES in page.tags:
        raise UnusableImage(
            "not_greyscale", f"TIFF of {samples} samples a pixel, photometric {photometric}"
        )
    bits = set(page.tags.get(_BITS, (1,)))
    if bits not in ({8}, {16}) or set(page.tags.get(_SAMPLE_FORMAT, (1,))) != {1}:
        raise UnusableImage("unsupported_bits", f"TIFF of {sorted(bits)} bits, or not unsigned")
    if page.get(_COMPRESSION, 1) not in _COMPRESSIONS:
        raise UnusableImage(
            "unsupported_compression", f"TIFF compression {page.get(_COMPRESSION, 1)}"
        )
    if page.get(_ORIENTATION, 1) != 1 or page.get(_PLANAR, 1) != 1:
        raise UnusableImage("unsupported_layout", "TIFF that is turned, mirrored or in planes")


def _check_extents(page: _Page, size: int) -> None:
    """Finds strips and tiles that are missing, or of absurd size."""
    height, width = page.get(_HEIGHT, 0), page.get(_WIDTH, 0)
    if _TILE_WIDTH in page.tags:
        offsets, counts = page.tags.get(_TILE_OFFSETS, ()), page.tags.get(_TILE_COUNTS, ())
        rows, columns = page.get(_TILE_HEIGHT, 0), page.get(_TILE_WIDTH, 0)
        if not 0 < rows * columns <= _LARGEST_TILE:
            raise UnusableImage("damaged_header", f"TIFF tiles of {rows}x{columns}")
    else:
        offsets, counts = page.tags.get(_OFFSETS, ()), page.tags.get(_COUNTS, ())
        rows, columns = min(page.get(_ROWS_PER_STRIP, height), height), width
        if rows <= 0:
            raise UnusableImage("damaged_header", f"TIFF strips of {rows} rows")
    wanted = -(-height // rows) * -(-width // columns)
    if min(len(offsets), len(counts)) < wanted:
        raise UnusableImage(
            "truncated", f"{min(len(offsets), len(counts))} of {wanted} TIFF strips"
        )
    end = max(map(sum, zip(offsets, counts, strict=False)))
    if end > size:
        raise UnusableImage("truncated", f"{size} of at least {end} bytes of TIFF")
