"""Bytes of an image -> uint16 pixels, or a reason why not.

pixels = read_image(path, options=Options(max_pixels=100_000_000))

0 is black and 65535 white whatever the image's bits, sign or photometric interpretation.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import cv2
import numpy as np

from beam_jobs.imaging import dicom, dicom_file, raster, tfio_decoder, tiff
from beam_jobs.imaging.dicom_file import File
from beam_jobs.imaging.unusable import UnusableImage


@dataclasses.dataclass(frozen=True)
class Options:
    """How images are decoded.

    Attributes:
        max_pixels: images whose header claims more are rejected before memory is taken.
        window: "none" = the whole stored range; "first" = the image's first VOI LUT or window, the
            whole range where it has none; an index ("0", "1", ...) = that one, and images without
            it are rejected. Images that are no DICOM have none.
        frame: which frame of a multi-frame file (or page of a TIFF), from 0; None rejects them.
        decoder: "auto" and "pydicom" read headers with pydicom and pixels with the fastest codec
            measured for each transfer syntax (`codecs`); "tfio" reads DICOM's pixels with
            tensorflow-io instead.
    """

    max_pixels: int
    window: str = "none"
    frame: int | None = None
    decoder: str = "auto"

    def __post_init__(self) -> None:
        assert self.window in ("none", "first") or self.window.isdecimal(), self.window
        assert self.decoder in ("auto", "pydicom", "tfio"), self.decoder
        if self.decoder == "tfio":
            tfio_decoder.check_installed()


def read_image(path: File, *, options: Options) -> np.ndarray:
    """Reads and decodes one image.

    Returns:
        [height, width] uint16, 0 (black) to 65535 (white).

    Raises:
        UnusableImage: the image can't be used.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnusableImage("unreadable", error.strerror or type(error).__name__) from error
    return decode(data, options=options)


def decode(data: bytes, *, options: Options) -> np.ndarray:
    """Decodes a DICOM file, or a PGM, PNG, JPEG or TIFF of 8 or 16 bits.

    Args:
        data: the whole file.
        options: what is allowed, and which grey levels are wanted.

    Returns:
        [height, width] uint16, 0 (black) to 65535 (white).

    Raises:
        UnusableImage: the image can't be used.
    """
    if not data:
        raise UnusableImage("empty_file", "0 bytes")
    if dicom_file.is_dicom(data):
        pixels = dicom.decode(data, **dataclasses.asdict(options))
    else:
        pixels = _find_reader(data)(data, options)
    darkest, brightest, _, _ = cv2.minMaxLoc(pixels)
    if darkest == brightest:
        raise UnusableImage("one_grey_level", f"every pixel is {int(darkest)}")
    return pixels


_Reader = Callable[[bytes, Options], np.ndarray]

_READERS: dict[bytes, _Reader] = {
    b"P5": lambda data, options: raster.decode_pgm(data, options.max_pixels),
    b"\x89PNG\r\n\x1a\n": lambda data, options: raster.decode_png(data, options.max_pixels),
    b"\xff\xd8\xff": lambda data, options: raster.decode_jpeg(data, options.max_pixels),
    b"II*\0": lambda data, options: tiff.decode_tiff(data, options.max_pixels, options.frame),
    b"MM\0*": lambda data, options: tiff.decode_tiff(data, options.max_pixels, options.frame),
}
"""The first bytes of a file -> who reads it."""


def _find_reader(data: bytes) -> _Reader:
    for first_bytes, reader in _READERS.items():
        if data.startswith(first_bytes):
            return reader
    raise UnusableImage(
        "not_an_image", f"{len(data)} bytes, neither DICOM nor PGM, PNG, JPEG or TIFF"
    )
