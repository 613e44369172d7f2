"""Bytes of a film -> uint16 pixels, or a reason why not.

The only module that knows DICOM. Pixels come from pydicom's decoders, those of RLE from `rle`.
0 is black and 65535 white whatever the film's bits, sign or photometric interpretation.
"""

from __future__ import annotations

import dataclasses
import io
import logging
import re
import warnings
from typing import Any, Literal, Protocol

import cv2
import numpy as np
import pydicom
import pydicom.config
from pydicom.encaps import generate_frames
from pydicom.pixels import get_decoder
from pydicom.uid import UID, JPEGExtended12Bit, RLELossless

from beam_jobs.imaging import rle

# pydicom's warnings quote header values, and those may name a person
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
warnings.filterwarnings("ignore", module="pydicom")
logging.getLogger("pydicom").setLevel(logging.CRITICAL)

Reason = Literal[
    "unreadable",
    "changed",
    "empty_file",
    "not_an_image",
    "damaged_header",
    "no_pixels",
    "truncated",
    "not_one_frame",
    "not_greyscale",
    "unsupported_bits",
    "unsupported_compression",
    "too_large",
    "damaged_pixels",
    "one_grey_level",
    "no_breast_found",
    "side_unknown",
]


class UnusableFilm(Exception):
    """A film that can't be used: a reason out of a fixed list, and figures from the file.

    The detail never quotes text from the file: it may name a person.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[UnusableFilm], tuple[Reason, str]]:
        return UnusableFilm, (self.reason, self.detail)


@dataclasses.dataclass(frozen=True)
class Identity:
    """What the header of a DICOM file says it shows; "" or 0 where it does not.

    Of free text only the words of a fixed list are kept: the rest may name a person.

    Attributes:
        series_uid: SeriesInstanceUID (0020,000E).
        patient_id: PatientID (0010,0020).
        side: left or right, from ImageLaterality (0020,0062).
        view: code of the projection, from ViewCodeSequence (0054,0220).
        content: film, crop or mask, from CBIS-DDSM's SeriesDescription (0008,103E).
        rows: Rows (0028,0010).
        columns: Columns (0028,0011).
    """

    series_uid: str
    patient_id: str
    side: str = ""
    view: str = ""
    content: str = ""
    rows: int = 0
    columns: int = 0


NOBODY = Identity("", "")
_IDENTITY_TAGS = [
    "SeriesInstanceUID",
    "PatientID",
    "ImageLaterality",
    "ViewCodeSequence",
    "SeriesDescription",
    "Rows",
    "Columns",
]
_SIDES = {"L": "left", "R": "right"}
# PS3.16 CID 4014, code meanings and the codes of its third column
_VIEWS = {
    "cranio-caudal": "CC",
    "medio-lateral oblique": "MLO",
    "medio-lateral": "ML",
    "latero-medial": "LM",
    "latero-medial oblique": "LMO",
    "caudo-cranial (from below)": "FB",
    "superolateral to inferomedial oblique": "SIO",
    "inferomedial to superolateral oblique": "ISO",
    "cranio-caudal exaggerated": "XCC",
    "cranio-caudal exaggerated laterally": "XCCL",
    "cranio-caudal exaggerated medially": "XCCM",
}
CONTENTS = {"full mammogram images": "film", "cropped images": "crop", "ROI mask images": "mask"}
"""SeriesDescription of CBIS-DDSM -> what is to be seen."""


class File(Protocol):
    """A file of this machine (`pathlib.Path`) or of a store."""

    def read_bytes(self) -> bytes:
        """Reads the whole file."""

    def open(self, mode: Any, /) -> Any:
        """Opens for reading."""


def read_identity(path: File) -> Identity:
    """Reads who a file says it is, without its pixels; NOBODY for what is not DICOM.

    Raises:
        OSError: the file can't be read.
    """
    try:
        with path.open("rb") as stream:
            header = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=_IDENTITY_TAGS)
        return Identity(
            series_uid=str(header.get("SeriesInstanceUID", "") or ""),
            patient_id=str(header.get("PatientID", "") or ""),
            side=_SIDES.get(str(header.get("ImageLaterality", "")), ""),
            view=_read_view(header),
            content=CONTENTS.get(str(header.get("SeriesDescription", "")), ""),
            rows=rows if isinstance(rows := header.get("Rows"), int) else 0,
            columns=columns if isinstance(columns := header.get("Columns"), int) else 0,
        )
    except OSError:
        raise
    except Exception:  # any damage; the conversion itself says which, film by film
        return NOBODY


def _read_view(header: pydicom.Dataset) -> str:
    codes = header.get("ViewCodeSequence")
    if not isinstance(codes, pydicom.Sequence) or not codes:
        return ""
    return _VIEWS.get(str(codes[0].get("CodeMeaning", "")).strip().lower(), "")


def read_film(path: File, *, max_pixels: int) -> np.ndarray:
    """Reads and decodes one film.

    Returns:
        [height, width] uint16, 0 (black) to 65535 (white).

    Raises:
        UnusableFilm: the film can't be used.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnusableFilm("unreadable", error.strerror or type(error).__name__) from error
    return decode(data, max_pixels=max_pixels)


def decode(data: bytes, *, max_pixels: int) -> np.ndarray:
    """Decodes a DICOM file or an 8- or 16-bit PGM.

    Args:
        data: the whole file.
        max_pixels: a film whose header claims more is rejected before memory is taken.

    Returns:
        [height, width] uint16, 0 (black) to 65535 (white).

    Raises:
        UnusableFilm: the film can't be used.
    """
    if not data:
        raise UnusableFilm("empty_file", "0 bytes")
    if data[128:132] == b"DICM":
        pixels = _decode_dicom(data, max_pixels)
    elif data[:2] == b"P5":
        pixels = _decode_pgm(data, max_pixels)
    else:
        raise UnusableFilm("not_an_image", f"{len(data)} bytes, neither DICOM nor PGM")
    darkest, brightest, _, _ = cv2.minMaxLoc(pixels)
    if darkest == brightest:
        raise UnusableFilm("one_grey_level", f"every pixel is {int(darkest)}")
    return pixels


def _decode_dicom(data: bytes, max_pixels: int) -> np.ndarray:
    try:
        film = pydicom.dcmread(io.BytesIO(data))
        syntax = UID(film.file_meta.TransferSyntaxUID)
        if not len(film):  # pydicom forgets all that stands before pixels without an end
            raise UnusableFilm("truncated", "the file ends before its compressed pixels do")
        header = _read_pixel_module(film)
        length = len(film.get("PixelData") or b"")
    except UnusableFilm:
        raise
    except Exception as error:  # pydicom raises many kinds on damaged bytes
        raise UnusableFilm("damaged_header", type(error).__name__) from error
    _check_pixel_module(header, max_pixels)
    if not syntax.is_transfer_syntax:  # its text stays in the file
        raise UnusableFilm("unsupported_compression", "a transfer syntax DICOM does not list")
    if not length:
        raise UnusableFilm("no_pixels", "PixelData (7FE0,0010) is absent or empty")
    _check_length(header, length, compressed=syntax.is_compressed)
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise UnusableFilm("unsupported_compression", syntax.name) from error
    # Pillow, the decoder of JPEG Extended, reads its 8-bit variety alone
    twelve_bit_jpeg = syntax == JPEGExtended12Bit and header.bits_stored > 8
    if twelve_bit_jpeg or not decoder.is_available:
        raise UnusableFilm("unsupported_compression", syntax.name)
    try:
        stored = _read_stored(film, header, syntax)
    except Exception as error:  # each decoder has errors of its own
        raise UnusableFilm("damaged_pixels", f"{syntax.name}: {type(error).__name__}") from error
    if stored.shape != (header.rows, header.columns):
        raise UnusableFilm(
            "damaged_pixels",
            f"decoded to {stored.shape}, the header says {header.rows}x{header.columns}",
        )
    return _to_full_scale(stored, header)


@dataclasses.dataclass(frozen=True)
class _PixelModule:
    """The attributes of PS3.3 C.7.6.3 (Image Pixel Module) that decide what pixels mean."""

    rows: int
    columns: int
    frames: int
    samples: int
    photometric: str
    bits_allocated: int
    bits_stored: int
    signed: bool


def _read_pixel_module(film: pydicom.Dataset) -> _PixelModule:
    if "Rows" not in film or "Columns" not in film:
        if "PixelData" in film:
            raise UnusableFilm("damaged_header", "Rows (0028,0010) or Columns (0028,0011) absent")
        raise UnusableFilm("no_pixels", "no Rows, Columns and PixelData in the header")
    return _PixelModule(
        rows=int(film.Rows),
        columns=int(film.Columns),
        frames=int(film.get("NumberOfFrames", 1) or 1),
        samples=int(film.get("SamplesPerPixel", 1)),
        photometric=str(film.PhotometricInterpretation),
        bits_allocated=int(film.BitsAllocated),
        bits_stored=int(film.BitsStored),
        signed=bool(int(film.PixelRepresentation)),
    )


def _read_stored(film: pydicom.Dataset, header: _PixelModule, syntax: UID) -> np.ndarray:
    """Returns the values stored, [rows, columns] of the header's sign and width."""
    if syntax != RLELossless:
        return get_decoder(syntax).as_array(film, raw=True)[0]
    frame = next(generate_frames(film.PixelData, number_of_frames=1))
    stored = rle.decode_frame(
        frame, rows=header.rows, columns=header.columns, bits_allocated=header.bits_allocated
    )
    return stored.view(f"i{stored.itemsize}") if header.signed else stored


def _check_pixel_module(header: _PixelModule, max_pixels: int) -> None:
    if header.samples != 1 or header.photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise UnusableFilm("not_greyscale", f"{header.samples} samples a pixel, or a palette")
    if header.frames != 1:
        raise UnusableFilm("not_one_frame", f"{header.frames} frames")
    if header.rows * header.columns > max_pixels:
        raise UnusableFilm(
            "too_large", f"{header.rows}x{header.columns} is more than {max_pixels} pixels"
        )
    if header.rows == 0 or header.columns == 0:
        raise UnusableFilm("no_pixels", f"{header.rows}x{header.columns}")
    if header.bits_allocated not in (8, 16) or not 0 < header.bits_stored <= header.bits_allocated:
        raise UnusableFilm(
            "unsupported_bits", f"{header.bits_stored} stored in {header.bits_allocated}"
        )


def _check_length(header: _PixelModule, found: int, *, compressed: bool) -> None:
    """Compares uncompressed pixel data with its header, PS3.5 8.1.1."""
    wanted = header.rows * header.columns * header.bits_allocated // 8
    if not compressed and found < wanted:
        raise UnusableFilm("truncated", f"{found} of {wanted} bytes of pixels")


def _to_full_scale(stored: np.ndarray, header: _PixelModule) -> np.ndarray:
    """Maps stored values, 2**BitsStored levels, onto 0..65535 with 0 as black."""
    levels = 1 << header.bits_stored
    lowest = -(levels >> 1) if header.signed else 0
    if header.signed:
        stored = stored.astype(np.int32) - lowest
    if header.bits_stored < header.bits_allocated:
        stored = np.clip(stored, 0, levels - 1)
    pixels = stored.astype(np.uint16)
    if header.bits_stored < 16:
        pixels = cv2.multiply(pixels, 65535 / (levels - 1), dtype=cv2.CV_16U)
    if header.photometric == "MONOCHROME1":  # lowest value is white, PS3.3 C.7.6.3.1.2
        pixels = cv2.bitwise_not(pixels)
    return np.ascontiguousarray(pixels)


def _decode_pgm(data: bytes, max_pixels: int) -> np.ndarray:
    """Decodes binary PGM ("P5"), the format of mini-MIAS."""
    width, height, maximum, offset = _read_pgm_header(data)
    if height * width > max_pixels:
        raise UnusableFilm("too_large", f"{height}x{width} is more than {max_pixels} pixels")
    wanted = height * width * (1 if maximum < 256 else 2)
    if len(data) - offset < wanted:
        raise UnusableFilm("truncated", f"{len(data) - offset} of {wanted} bytes of pixels")
    stored = np.frombuffer(data, "u1" if maximum < 256 else ">u2", height * width, offset)
    table = np.rint(np.arange(maximum + 1) * 65535 / maximum).astype(np.uint16)
    return table[np.minimum(stored, maximum)].reshape(height, width)


_PGM_GAP = rb"(?:\s|#[^\n]*\n)+"
_PGM_HEADER = re.compile(rb"P5" + 3 * (_PGM_GAP + rb"(\d{1,9})") + rb"\s")


def _read_pgm_header(data: bytes) -> tuple[int, int, int, int]:
    """Returns width, height, largest value and where the pixels begin."""
    match = _PGM_HEADER.match(data[:4096])
    if match is None:
        raise UnusableFilm("damaged_header", "PGM header without width, height and maximum")
    width, height, maximum = (int(number) for number in match.groups())
    if not (width > 0 and height > 0 and 0 < maximum < 65536):
        raise UnusableFilm("damaged_header", f"PGM of {height}x{width}, maximum {maximum}")
    return width, height, maximum, match.end()
