"""Bytes of an image -> uint16 pixels, or a reason why not.

image = open_image(path, options=Options(max_pixels=100_000_000))
image.pixels, image.native, image.remarks

0 is black and 65535 white whatever the image's bits, sign or photometric interpretation.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import cv2
import numpy as np

from beam_jobs.imaging import dicom, dicom_file, polarity, raster, tfio_decoder, tiff
from beam_jobs.imaging.dicom_file import File
from beam_jobs.imaging.unusable import UnusableImage
from records.image_size import ImageSize


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
        at_least: JPEG 2000 is decoded without the wavelet levels that this size does not need; None
            decodes all.
        invert: whether images that are no DICOM and are negatives by their pixels are inverted.
        inverted: whether the image is a negative, whatever its header and pixels say; None: not
            known.
        aspect: height / width of what an image that is no DICOM shows; None: that of its pixels.
    """

    max_pixels: int
    window: str = "none"
    frame: int | None = None
    decoder: str = "auto"
    at_least: ImageSize | None = None
    invert: bool = False
    inverted: bool | None = None
    aspect: float | None = None

    def __post_init__(self) -> None:
        assert self.window in ("none", "first") or self.window.isdecimal(), self.window
        assert self.decoder in ("auto", "pydicom", "tfio"), self.decoder
        if self.decoder == "tfio":
            tfio_decoder.check_installed()


@dataclasses.dataclass(frozen=True)
class Decoded:
    """A decoded image.

    Attributes:
        pixels: [height, width] uint16, 0 (black) to 65535 (white).
        native: size by the header; larger than `pixels` where wavelet levels were left out.
        has_header: whether it is DICOM, whose header states its polarity and aspect.
        aspect: height / width of what it shows, None: that of its pixels.
        remarks: what is to be said of its polarity and grey levels, "what: text" each.
    """

    pixels: np.ndarray
    native: ImageSize
    has_header: bool
    aspect: float | None = None
    remarks: tuple[str, ...] = ()


def read_image(path: File, *, options: Options) -> np.ndarray:
    """Reads and decodes one image to its pixels; see `open_image`."""
    return open_image(path, options=options).pixels


def open_image(path: File, *, options: Options) -> Decoded:
    """Reads and decodes one image: DICOM, or PGM, PNG, JPEG or TIFF of 8 or 16 bits.

    Raises:
        UnusableImage: the image can't be used.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnusableImage("unreadable", error.strerror or type(error).__name__) from error
    return _decode(data, options)


def decode(data: bytes, *, options: Options) -> np.ndarray:
    """Decodes the bytes of a whole file to pixels; see `open_image`."""
    return _decode(data, options).pixels


def _decode(data: bytes, options: Options) -> Decoded:
    if not data:
        raise UnusableImage("empty_file", "0 bytes")
    has_header = dicom_file.is_dicom(data)
    if has_header:
        pixels, native = dicom.decode(
            data,
            max_pixels=options.max_pixels,
            window=options.window,
            frame=options.frame,
            decoder=options.decoder,
            at_least=options.at_least,
        )
    else:
        pixels = _find_reader(data)(data, options)
        native = ImageSize(*pixels.shape)
    darkest, brightest, _, _ = cv2.minMaxLoc(pixels)
    if darkest == brightest:
        raise UnusableImage("one_grey_level", f"every pixel is {int(darkest)}")
    remarks: tuple[str, ...] = ()
    if not has_header or options.inverted is not None:
        pixels, remarks = polarity.correct(pixels, invert=options.invert, inverted=options.inverted)
    aspect = None if has_header else options.aspect
    return Decoded(pixels, native, has_header, aspect, remarks)


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
