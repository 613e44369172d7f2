"""A second opinion on stored pixels: tensorflow-io's decoder (DCMTK and OpenJPEG).

It is given a file of one frame with the pixel module alone. From the image's own header it would
also apply the modality LUT, paint overlays, and round MONOCHROME1 to one level less than there are.
It returns full images for half a file and an empty one for failures, so the frame is checked before
and the result after.
"""

from __future__ import annotations

import importlib.util
import io

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    HTJ2K,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    SecondaryCaptureImageStorage,
)

from beam_jobs.imaging import codecs
from beam_jobs.imaging.unusable import UnusableImage
from records.errors import CallerError

_UNREADABLE = {HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL}
_SOP_UID = "1.2.826.0.1.3680043.10.1337.3"  # DCMTK wants one; this file never leaves memory


def check_installed() -> None:
    """Refuses --decoder=tfio where tensorflow-io can't be imported.

    Raises:
        CallerError: it is not installed.
    """
    if importlib.util.find_spec("tensorflow_io") is None:
        raise CallerError(
            "--decoder=tfio needs tensorflow-io, which is not installed (pip install -c "
            "constraints.txt '.[tfio]'; there is none for Python 3.13 and later); use "
            "--decoder=auto"
        )


def decode_frame(
    frame: bytes, syntax: UID, layout: codecs.Layout, *, bits_stored: int, signed: bool
) -> np.ndarray:
    """Decodes one frame.

    Args:
        frame: one frame as stored.
        syntax: its transfer syntax.
        layout: its storage by the header.
        bits_stored: BitsStored; HighBit is one less.
        signed: PixelRepresentation.

    Returns:
        [rows, columns] uint16: stored value - lowest possible value, which is what DCMTK gives.

    Raises:
        UnusableImage: tensorflow-io can't decode it, or makes something else of it.
    """
    import tensorflow as tf
    import tensorflow_io as tfio

    if syntax in _UNREADABLE:
        raise UnusableImage("unsupported_compression", f"{syntax.name}, which tensorflow-io lacks")
    codecs.check_claims(frame, syntax, layout)
    data = _write_file(frame, syntax, layout, bits_stored=bits_stored, signed=signed)
    try:
        decoded = tfio.image.decode_dicom_image(
            data, on_error="strict", scale="preserve", dtype=tf.uint16
        ).numpy()
    except tf.errors.InvalidArgumentError as error:
        raise UnusableImage("damaged_pixels", f"{syntax.name}: tensorflow-io fails") from error
    if decoded.shape != (1, layout.rows, layout.columns, 1):
        raise UnusableImage(
            "damaged_pixels",
            f"tensorflow-io decoded to {decoded.shape}, "
            f"the header says {layout.rows}x{layout.columns}",
        )
    return decoded[0, :, :, 0]


def _write_file(
    frame: bytes, syntax: UID, layout: codecs.Layout, *, bits_stored: int, signed: bool
) -> bytes:
    """Writes a DICOM file of one frame; nothing of the image's own header goes in."""
    image = Dataset()
    image.SOPClassUID = SecondaryCaptureImageStorage
    image.SOPInstanceUID = _SOP_UID
    image.Rows, image.Columns = layout.rows, layout.columns
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.BitsAllocated, image.BitsStored = layout.bits_allocated, bits_stored
    image.HighBit = bits_stored - 1
    image.PixelRepresentation = int(signed)
    image.PixelData = (
        encapsulate([frame]) if syntax.is_compressed else frame + b"\0" * (len(frame) % 2)
    )
    image["PixelData"].VR = "OW" if layout.bits_allocated == 16 or layout.swapped else "OB"
    image["PixelData"].is_undefined_length = syntax.is_compressed
    image.file_meta = FileMetaDataset()
    deflated = syntax == DeflatedExplicitVRLittleEndian  # inflated by now
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian if deflated else syntax
    stream = io.BytesIO()
    dcmwrite(stream, image, enforce_file_format=True)
    return stream.getvalue()
