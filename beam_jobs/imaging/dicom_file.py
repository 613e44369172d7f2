"""Bytes of a DICOM file -> its data set, PS3.10; pixels stay as they are stored.

pydicom reads the elements. A deflated file is inflated here, up to a bound: a few bytes may claim
gigabytes, and pydicom would take them.
"""

from __future__ import annotations

import dataclasses
import io
import logging
import pathlib
import re
import struct
import warnings
import zlib
from collections.abc import Sequence
from typing import IO, Any, Protocol

import pydicom
import pydicom.config
from pydicom.filereader import read_dataset, read_file_meta_info, read_partial
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from beam_jobs.imaging import grey_levels, image_kind, projection, streams
from beam_jobs.imaging.unusable import UnusableImage
from records.age import read_age

# pydicom's warnings quote header values, and those may name a person
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
warnings.filterwarnings("ignore", module="pydicom")
logging.getLogger("pydicom").setLevel(logging.CRITICAL)

_PREAMBLE = 132  # 128 bytes of anything and "DICM", PS3.10 7.1
_LARGEST_HEADER = 16 << 20
_PEEK = 1 << 16  # bytes of pixels in which a stream says its precision
_PIXEL_DATA = 0x7FE00010
_UNDEFINED_LENGTH = 0xFFFFFFFF
# PS3.5 7.5: the halves of a tag are little-endian words, so FFFE,E000 reads E000FFFE
_ITEM = struct.Struct("<II")
_ITEM_TAG = 0xE000FFFE
_END_OF_ITEMS = 0xE0DDFFFE


_STORAGE = "1.2.840.10008.5.1.4.1.1."
# SOP classes of presentation states, structured reports, documents and directories, PS3.4 B.5
_DOCUMENTS = (*(f"{_STORAGE}{kind}." for kind in (11, 88, 104)), "1.2.840.10008.1.3.10")


@dataclasses.dataclass(frozen=True)
class Identity:
    """Patient, side, view and size by the header of a DICOM file; "" or 0 where not stated.

    Of free text only the words of a fixed list are kept: the rest may name a person.

    Attributes:
        series_uid: SeriesInstanceUID (0020,000E).
        patient_id: PatientID (0010,0020).
        side: left or right, see `projection.read_side`.
        view: code of the projection, see `projection.read_view`.
        content: image, crop or mask, from CBIS-DDSM's SeriesDescription (0008,103E).
        rows: Rows (0028,0010).
        columns: Columns (0028,0011).
        study_uid: StudyInstanceUID (0020,000D), one examination.
        sop_uid: SOPInstanceUID (0008,0018), one object, whatever its file is called.
        modality: MG, CT, ..., see `image_kind.read_modality`.
        intent: presentation or processing (raw).
        kind: what makes it no standard view (magnification, synthetic 2D, ...), joined by '+'.
        stranger: what it is if it is no mammogram: CT, chest, ...
        stream_bits: bits of a sample in the compressed stream, where they are fewer than BitsStored
            (0028,0101) and the highest value is black: then they decide its grey levels.
        acquired: AcquisitionTime (0008,0032) and InstanceNumber (0020,0013), for sorting.
        age: PatientAge (0010,1010) in whole years.
    """

    series_uid: str
    patient_id: str
    side: str = ""
    view: str = ""
    content: str = ""
    rows: int = 0
    columns: int = 0
    study_uid: str = ""
    sop_uid: str = ""
    modality: str = ""
    intent: str = ""
    kind: str = ""
    stranger: str = ""
    stream_bits: int = 0
    acquired: str = ""
    age: str = ""

    def disagreements(self, *, side: str, view: str) -> tuple[str, ...]:
        """Lists where a header contradicts a side and view given elsewhere, or its pixels."""
        found = []
        if side and self.side not in ("", side):
            found.append(f"side: {side}, the header says {self.side}")
        if view and self.view not in ("", view.upper()):
            found.append(f"view: {view}, the header says {self.view}")
        if self.stream_bits:
            found.append(f"bits: the header says more than the {self.stream_bits} of the pixels")
        return tuple(found)


NOBODY = Identity("", "")


@dataclasses.dataclass(frozen=True)
class Origin:
    """What a header says beside `Identity`, for an image that comes without a table; "" if nothing.

    Attributes:
        medium: digital for a digital mammogram, secondary for a secondary capture (digitised films
            and copies are), from SOPClassUID (0008,0016).
        study_date: StudyDate (0008,0020) as 20240131.
        accession: AccessionNumber (0008,0050), an order of the hospital's.
    """

    medium: str = ""
    study_date: str = ""
    accession: str = ""


_ORIGIN_TAGS = ["SOPClassUID", "StudyDate", "AccessionNumber"]
_MEDIA = {
    **dict.fromkeys(image_kind.MAMMOGRAPHY, "digital"),
    "1.2.840.10008.5.1.4.1.1.7": "secondary",
}
"""How the UIDs of PS3.4 B.5 begin, digital mammography X-ray images and secondary captures."""
_IDENTITY_TAGS = [
    "SeriesInstanceUID",
    "PatientID",
    "SeriesDescription",
    "Rows",
    "Columns",
    "StudyInstanceUID",
    "SOPInstanceUID",
    "BitsStored",
    "AcquisitionTime",
    "InstanceNumber",
    "PatientAge",
    *grey_levels.POLARITY,
    *projection.TAGS,
    *image_kind.TAGS,
]
CONTENTS = {"full mammogram images": "image", "cropped images": "crop", "ROI mask images": "mask"}
"""SeriesDescription of CBIS-DDSM -> what is to be seen."""


class File(Protocol):
    """A file of this machine (`pathlib.Path`) or of a store."""

    def read_bytes(self) -> bytes:
        """Reads the whole file."""

    def open(self, mode: Any, /) -> Any:
        """Opens for reading."""


def read_identity(path: File) -> Identity:
    """Reads the header of a file as Identity, without its pixels; NOBODY for what is not DICOM.

    Raises:
        OSError: the file can't be read.
    """
    try:
        with path.open("rb") as stream:
            header = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=_IDENTITY_TAGS)
            stream_bits = _read_stream_bits(header, stream)
        kinds = (projection.read_technique(header), image_kind.read_derivation(header))
        return Identity(
            series_uid=str(header.get("SeriesInstanceUID", "") or ""),
            patient_id=str(header.get("PatientID", "") or ""),
            side=projection.read_side(header),
            view=projection.read_view(header),
            content=CONTENTS.get(str(header.get("SeriesDescription", "")), ""),
            rows=rows if isinstance(rows := header.get("Rows"), int) else 0,
            columns=columns if isinstance(columns := header.get("Columns"), int) else 0,
            study_uid=str(header.get("StudyInstanceUID", "") or ""),
            sop_uid=str(header.get("SOPInstanceUID", "") or ""),
            modality=image_kind.read_modality(header),
            intent=image_kind.read_intent(header),
            kind="+".join(filter(None, kinds)),
            stranger=image_kind.read_stranger(header),
            stream_bits=stream_bits,
            acquired=_read_acquired(header),
            age=read_age(str(header.get("PatientAge", "") or "")) or "",
        )
    except OSError:
        raise
    except Exception:  # any damage; the conversion itself names it, image by image
        return NOBODY


def read_origin(path: File) -> Origin:
    """Reads where an image comes from, without its pixels; nothing of what is not DICOM.

    Raises:
        OSError: the file can't be read.
    """
    try:
        with path.open("rb") as stream:
            header = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=_ORIGIN_TAGS)
        kind = str(header.get("SOPClassUID", ""))
        return Origin(
            medium=next((name for start, name in _MEDIA.items() if kind.startswith(start)), ""),
            study_date=str(header.get("StudyDate", "") or "").strip(),
            accession=str(header.get("AccessionNumber", "") or "").strip(),
        )
    except OSError:
        raise
    except Exception:  # any damage, as above
        return Origin()


def _read_acquired(header: pydicom.FileDataset) -> str:
    """Reads what tells the later of two images of a view; no letter of the header is kept."""
    found = (
        re.match(pattern, str(header.get(keyword, "")))
        for keyword, pattern in (
            ("AcquisitionTime", "[0-9]{6}([.][0-9]+)?"),
            ("InstanceNumber", "[0-9]{1,9}"),
        )
    )
    time, number = (match[0] if match else "" for match in found)
    return f"{time} {number:0>9}" if time or number else ""


def _read_stream_bits(header: pydicom.FileDataset, stream: IO[bytes]) -> int:
    """Reads the precision of an inverted image's stream; 0 if it is that of the header."""
    syntax = UID(str(header.file_meta.get("TransferSyntaxUID", "")))
    inverted = "PhotometricInterpretation" in header and grey_levels.is_inverted(header)
    if not (inverted and syntax.is_transfer_syntax and syntax.is_compressed):
        return 0
    bits = streams.peek_precision(stream.read(_PEEK))
    return bits if bits < int(header.get("BitsStored", 0)) else 0


def is_dicom(data: bytes) -> bool:
    """Whether a file begins as PS3.10 7.1 wants."""
    return data[128:_PREAMBLE] == b"DICM"


def is_document(path: pathlib.Path) -> bool:
    """Tells a DICOM file that no image can be in: a report, a note on images, a directory."""
    try:
        kind = read_file_meta_info(path).get("MediaStorageSOPClassUID", "")
    except (pydicom.errors.InvalidDicomError, ValueError, KeyError, EOFError, OSError):
        return False  # said when it is its turn
    return str(kind).startswith(_DOCUMENTS)


@dataclasses.dataclass(frozen=True)
class PixelData:
    """The element (7FE0,0010) where it lies in the file: images are tens of megabytes.

    Attributes:
        value: its bytes, all that is left of the file where its length is not defined.
        representation: VR, "" in implicit encoding.
        delimited: whether its length is not defined, PS3.5 A.4: items up to a delimiter.
    """

    value: memoryview
    representation: str
    delimited: bool


def read(data: bytes, *, max_pixels: int) -> tuple[pydicom.Dataset, UID, PixelData | None]:
    """Reads the elements of a DICOM file up to its pixels.

    Args:
        data: the whole file.
        max_pixels: bounds what a deflated file may become.

    Returns:
        The data set without pixels, its transfer syntax, and the pixels if there are any.

    Raises:
        UnusableImage: the file ends too early or inflates without end.
        Exception: pydicom raises many kinds on damaged bytes.
    """
    stream = io.BytesIO(data)
    stream.seek(_PREAMBLE)
    meta = read_dataset(stream, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)
    syntax = UID(str(meta.TransferSyntaxUID))
    found: list[tuple[str, int]] = []

    def is_pixel_data(tag: int, representation: str | None, length: int) -> bool:
        if tag == _PIXEL_DATA:
            found.append((representation or "", length))
        return tag == _PIXEL_DATA

    if syntax == DeflatedExplicitVRLittleEndian:
        data = _inflate(data[stream.tell() :], 2 * max_pixels + _LARGEST_HEADER)
        stream = io.BytesIO(data)
        image: pydicom.Dataset = read_dataset(stream, False, True, stop_when=is_pixel_data)
    else:
        stream.seek(0)
        image = read_partial(stream, stop_when=is_pixel_data)
    if not found:
        return image, syntax, None
    representation, length = found[-1]
    # tag and length, PS3.5 7.1: an explicit VR of many bytes has a longer length
    start = stream.tell() + (12 if representation in EXPLICIT_VR_LENGTH_32 else 8)
    delimited = length == _UNDEFINED_LENGTH
    end = len(data) if delimited else start + length
    return image, syntax, PixelData(memoryview(data)[start:end], representation, delimited)


def list_fragments(pixels: PixelData) -> tuple[memoryview, list[memoryview], bool]:
    """Returns the table of offsets, the fragments, and whether they are all, PS3.5 A.4.

    Raises:
        ValueError: there is something else among the items.
    """
    items: list[memoryview] = []
    value, place, whole = pixels.value, 0, True
    while place + _ITEM.size <= len(value):
        tag, length = _ITEM.unpack_from(value, place)
        place += _ITEM.size
        if tag == _END_OF_ITEMS:
            break
        if tag != _ITEM_TAG:
            raise ValueError(f"tag {tag:08x} among the items of the pixels")
        if length > len(value) - place:
            whole = False
            break
        items.append(value[place : place + length])
        place += length
    else:
        whole = not pixels.delimited
    if not items:
        return value[:0], [], whole
    return items[0], items[1:], whole


# a stream begins so: JPEG and JPEG-LS, JPEG 2000, the latter in a JP2 file
_START = rb"\xff\xd8\xff|\xff\x4f\xff\x51|\0\0\0\x0cjP"
_STARTS = re.compile(_START)
_NEXT_STREAM = re.compile(rb"\xff\xd9\0*(?:" + _START + rb")")
_RLE_START = struct.Struct("<II")
_RLE_HEADER = 64  # bytes, where the first segment begins, PS3.5 G.5


def count_frames(offsets: memoryview, fragments: Sequence[memoryview], rle_segments: int) -> int:
    """Counts the frames that encapsulated pixels really hold; 0 if they do not tell.

    Args:
        offsets: the basic table of offsets, one word a frame, empty if there is none.
        fragments: all of them.
        rle_segments: bytes of a pixel where they are compressed by RLE, else 0.
    """
    if rle_segments:
        wanted = _RLE_START.pack(rle_segments, _RLE_HEADER)
        begun = sum(fragment[: _RLE_START.size] == wanted for fragment in fragments)
    else:
        begun = sum(_STARTS.match(fragment) is not None for fragment in fragments)
        if len(fragments) == 1:  # streams in a row, which are no fragments of their own
            begun += len(_NEXT_STREAM.findall(fragments[0]))
    return max(begun, len(offsets) // 4)


def _inflate(data: bytes, limit: int) -> bytes:
    """Undoes the deflate of PS3.5 A.5, at most `limit` bytes."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = inflater.decompress(data, limit)
    if inflater.unconsumed_tail:
        raise UnusableImage("too_large", f"the file inflates to more than {limit} bytes")
    if not inflater.eof:
        raise UnusableImage("truncated", "the file ends before its deflated bytes do")
    return inflated
