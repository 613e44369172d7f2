"""Bytes of a DICOM file -> its data set, PS3.10; pixels stay as they are stored.

pydicom reads the elements. A deflated file is inflated here, up to a bound: a few bytes may claim
gigabytes, and pydicom would take them.
"""

from __future__ import annotations

import dataclasses
import io
import logging
import warnings
import zlib
from typing import Any, Protocol

import pydicom
import pydicom.config
from pydicom.filereader import read_dataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from beam_jobs.imaging.unusable import UnusableFilm

# pydicom's warnings quote header values, and those may name a person
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
warnings.filterwarnings("ignore", module="pydicom")
logging.getLogger("pydicom").setLevel(logging.CRITICAL)

_PREAMBLE = 132  # 128 bytes of anything and "DICM", PS3.10 7.1
_LARGEST_HEADER = 16 << 20


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


def is_dicom(data: bytes) -> bool:
    """Tells whether a file begins as PS3.10 7.1 wants."""
    return data[128:_PREAMBLE] == b"DICM"


def read(data: bytes, *, max_pixels: int) -> tuple[pydicom.Dataset, UID]:
    """Reads the elements of a DICOM file.

    Args:
        data: the whole file.
        max_pixels: bounds what a deflated file may become.

    Returns:
        The data set and its transfer syntax.

    Raises:
        UnusableFilm: the file ends too early or inflates without end.
        Exception: pydicom raises many kinds on damaged bytes.
    """
    stream = io.BytesIO(data)
    stream.seek(_PREAMBLE)
    meta = read_dataset(stream, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)
    syntax = UID(str(meta.TransferSyntaxUID))
    if syntax == DeflatedExplicitVRLittleEndian:
        inflated = _inflate(data[stream.tell() :], 2 * max_pixels + _LARGEST_HEADER)
        film: pydicom.Dataset = read_dataset(io.BytesIO(inflated), False, True)
    else:
        film = pydicom.dcmread(io.BytesIO(data))
    if not len(film):  # pydicom forgets all that stands before pixels without an end
        raise UnusableFilm("truncated", "the file ends before its compressed pixels do")
    return film, syntax


def _inflate(data: bytes, limit: int) -> bytes:
    """Undoes the deflate of PS3.5 A.5, at most `limit` bytes."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = inflater.decompress(data, limit)
    if inflater.unconsumed_tail:
        raise UnusableFilm("too_large", f"the file inflates to more than {limit} bytes")
    if not inflater.eof:
        raise UnusableFilm("truncated", "the file ends before its deflated bytes do")
    return inflated
