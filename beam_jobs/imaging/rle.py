"""DICOM's RLE Lossless (PS3.5 Annex G): one PackBits segment for each byte of a pixel.

Images of CBIS-DDSM are stored so. imagecodecs lets go of Python's global lock while it decodes, so
threads run side by side; pylibjpeg-rle and pydicom's own decoder do not (docs/design.md).
"""

from __future__ import annotations

import itertools
import struct

import cv2
import imagecodecs
import numpy as np

_HEADER = struct.Struct("<16I")
_SLACK = 256  # segments may end with padding


def decode_frame(
    frame: bytes | memoryview, *, rows: int, columns: int, bits_allocated: int
) -> np.ndarray:
    """Decodes one frame of greyscale pixels.

    Args:
        frame: header and segments, the highest byte of the pixels first.
        rows: height in pixels.
        columns: width in pixels.
        bits_allocated: 8 or 16.

    Returns:
        [rows, columns] uint8 or uint16.

    Raises:
        ValueError: the frame is not whole.
    """
    if len(frame) < _HEADER.size:
        raise ValueError(f"{len(frame)} bytes, less than an RLE header")
    count, *offsets = _HEADER.unpack_from(frame)
    if count != bits_allocated // 8:
        raise ValueError(f"{count} segments for {bits_allocated} bits a pixel")
    edges = [*offsets[:count], len(frame)]
    planes = []
    for start, end in itertools.pairwise(edges):
        if not _HEADER.size <= start < end <= len(frame):
            raise ValueError(f"a segment from byte {start} to {end} of {len(frame)}")
        # the bound keeps a damaged segment, 64 times as long unpacked, from taking all memory
        room = np.empty(rows * columns + _SLACK, np.uint8)
        plane = np.frombuffer(
            imagecodecs.packbits_decode(frame[start:end], out=room.data),  # type: ignore[arg-type]
            np.uint8,
        )
        if plane.size < rows * columns:
            raise ValueError(f"a segment of {plane.size} of {rows * columns} pixels")
        planes.append(plane[: rows * columns].reshape(rows, columns))
    if count == 1:
        return planes[0]
    high, low = planes
    return cv2.merge([low, high]).view("<u2")[:, :, 0]
