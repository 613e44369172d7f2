"""Small DICOM files by hand: `write_dicom(path, pixels, photometric="MONOCHROME1")`.

Test modules get the functions from fixtures of the same names (see conftest.py).
"""

from __future__ import annotations

import io
import pathlib
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    DigitalMammographyXRayImageStorageForPresentation,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    RLELossless,
)

SERIES_UID = "1.2.826.0.1.3680043.10.1337.1"
SOP_UID = "1.2.826.0.1.3680043.10.1337.2"


def write_dicom(path: pathlib.Path, pixels: np.ndarray | None, **how: Any) -> pathlib.Path:
    """Writes the file of `make_dicom` and returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(make_dicom(pixels, **how))
    return path


def make_dicom(
    pixels: np.ndarray | None,
    *,
    photometric: str = "MONOCHROME2",
    bits_stored: int = 16,
    signed: bool = False,
    series_uid: str | None = SERIES_UID,
    patient_id: str | None = "P_00001",
    rle: bool = False,
    syntax: str = ExplicitVRLittleEndian,
    **tags: Any,
) -> bytes:
    """Makes a DICOM file.

    Args:
        pixels: stored values, [height, width] (or [frames, height, width]) uint8, int8, uint16 or
            int16; bytes are written as they are. None leaves the image out.
        photometric: PhotometricInterpretation.
        bits_stored: BitsStored; BitsAllocated follows from the type of the pixels.
        signed: PixelRepresentation.
        series_uid: SeriesInstanceUID, None for absent.
        patient_id: PatientID, None for absent.
        rle: whether pydicom compresses the pixels.
        syntax: transfer syntax of uncompressed files.
        tags: further elements by keyword, or others in place of these; None takes one out.
    """
    image = Dataset()
    image.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    image.SOPInstanceUID = SOP_UID
    image.Modality = "MG"
    if series_uid is not None:
        image.SeriesInstanceUID = series_uid
    if patient_id is not None:
        image.PatientID = patient_id
    if pixels is not None:
        if pixels.ndim == 3:
            image.NumberOfFrames = pixels.shape[0]
        image.Rows, image.Columns = pixels.shape[-2:]
        image.SamplesPerPixel = 1
        image.PhotometricInterpretation = photometric
        image.BitsAllocated = 8 * pixels.dtype.itemsize
        image.BitsStored = bits_stored
        image.HighBit = bits_stored - 1
        image.PixelRepresentation = int(signed)
        order = ">" if syntax == ExplicitVRBigEndian else "<"
        data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
        image.PixelData = data + b"\0" * (len(data) % 2)
        image["PixelData"].VR = "OW" if image.BitsAllocated == 16 else "OB"
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = syntax
    if rle:
        assert pixels is not None
        image.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    for keyword, value in tags.items():
        if value is None:
            delattr(image, keyword)
        else:
            setattr(image, keyword, value)
    stream = io.BytesIO()
    dcmwrite(stream, image, enforce_file_format=True)
    return stream.getvalue()
