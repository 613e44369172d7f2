"""JPEG streams by libjpeg-turbo, and whether it really had all of their pixels.

libjpeg fills what is missing with grey or with the row above, and only warns; imagecodecs passes no
warning on. So where the end of an image looks filled, it is decoded once more with noise behind its
last coded byte: a whole image never reads it, a cut one turns to noise.
"""

from __future__ import annotations

import imagecodecs
import numpy as np

from beam_jobs.imaging.streams import Stream
from beam_jobs.imaging.unusable import UnusableImage

_TAIL = 8  # pixels; filled ones come in whole blocks, or up to the end
_NOISE = bytes(byte % 255 for byte in np.random.Generator(np.random.PCG64(0)).bytes(512))


def decode(data: bytes, stream: Stream) -> np.ndarray:
    """Decodes a JPEG of 2 to 16 bits: baseline, extended, progressive or lossless.

    Args:
        data: from the start of image to its end.
        stream: what `streams.read_jpeg` found in it.

    Returns:
        [rows, columns] or [rows, columns, components] uint8 or uint16.

    Raises:
        UnusableImage: coded bytes are missing at its end.
        Exception: libjpeg's own errors.
    """
    pixels: np.ndarray = imagecodecs.jpeg8_decode(data)
    if _looks_filled(pixels):
        noisy = data[: stream.end] + _NOISE + data[stream.end :]
        if not np.array_equal(imagecodecs.jpeg8_decode(noisy), pixels):
            raise UnusableImage("truncated", "the JPEG stream ends before its last pixel")
    return pixels


def _looks_filled(pixels: np.ndarray) -> bool:
    tail, above = pixels[-1, -_TAIL:], pixels[-2:, -_TAIL:][0]
    return bool(np.array_equal(tail, above) or (tail == tail[0]).all())
