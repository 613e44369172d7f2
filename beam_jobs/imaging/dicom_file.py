"""Bytes of a DICOM file -> its data set, PS3.10; pixels stay as they are stored.

pydicom reads the elements. A deflated file is inflated here, up to a bound: a few bytes may claim
gigabytes, and pydicom would take them.
"""

from __future__ import annotations

import dataclasses
import io
import logging
import pathlib
import warnings
import zlib

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
    """SeriesInstanceUID (0020,000E) and PatientID (0010,0020) of a DICOM file, "" if absent."""

    series_uid: str
    patient_id: str


NOBODY = Identity("", "")


def read_identity(path: pathlib.Path) -> Identity:
    """Reads who a file says it is, without its pixels; NOBODY for what is not DICOM.

    Raises:
        OSError: the file can't be read.
    """
    try:
        header = pydicom.dcmread(
            path, stop_before_pixels=True, specific_tags=["SeriesInstanceUID", "PatientID"]
        )
        return Identity(
            str(header.get("SeriesInstanceUID", "") or ""), str(header.get("PatientID", "") or "")
        )
    except OSError:
        raise
    except Exception:  # any damage; the conversion itself says which, film by film
        return NOBODY


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
