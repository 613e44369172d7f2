"""JPEG streams by libjpeg-turbo, and whether it really had all of their pixels.

libjpeg fills what is missing with grey or with the row above, and only warns; imagecodecs passes no
warning on. So a stream is decoded once more with noise behind the coded bytes of each scan: a whole
image never reads it, a cut one turns to noise.
"""

from __future__ import annotations

import imagecodecs
import numpy as np

from beam_jobs.imaging.streams import Stream
from beam_jobs.imaging.unusable import UnusableImage

# no byte begins a marker; libjpeg takes missing bits for zeros, and with these first bits none of
# 1,800 cuts of one to nine bytes came out alike
_NOISE = b"\xb5" + bytes(b % 255 for b in np.random.Generator(np.random.PCG64(0)).bytes(512))
_RESTARTS = tuple(bytes((0xFF, 0xD0 + number)) for number in range(8))
"""RST0 to RST7, ITU-T T.81 table B.1."""


def decode(data: bytes, stream: Stream) -> np.ndarray:
    """Decodes a JPEG of 2 to 16 bits: baseline, extended, progressive or lossless.

    Args:
        data: from the start of image to its end.
        stream: what `streams.read_jpeg` found in it.

    Returns:
        [rows, columns] or [rows, columns, components] uint8 or uint16.

    Raises:
        UnusableImage: coded bytes are missing at the end of a scan.
        Exception: libjpeg's own errors.
    """
    pixels: np.ndarray = imagecodecs.jpeg8_decode(data)
    parts, begin = [], 0
    for end in stream.ends:
        parts += [data[begin:end], _noise_behind(data[begin:end])]
        begin = end
    noisy = b"".join([*parts, data[begin:]])
    if not np.array_equal(imagecodecs.jpeg8_decode(noisy), pixels):
        raise UnusableImage("truncated", "the JPEG stream ends before its last pixel")
    return pixels


def _noise_behind(scan: bytes) -> bytes:
    """Makes noise for the intervals that may be missing, each behind the restart awaited there."""
    last = max(range(8), key=lambda number: scan.rfind(_RESTARTS[number]))
    return _NOISE + b"".join(_RESTARTS[(last + 1 + n) % 8] + _NOISE for n in range(8))
