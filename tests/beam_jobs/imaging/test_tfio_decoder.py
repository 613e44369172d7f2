"""Tests that two independent decoders see the same pixels in every file that both can read."""

from __future__ import annotations

import sys

import imagecodecs
import numpy as np
import pytest
from pydicom import uid
from pydicom.encaps import encapsulate

from beam_jobs.imaging import decode
from beam_jobs.imaging.decode import Options
from beam_jobs.imaging.unusable import UnusableImage
from records.errors import CallerError

pytest.importorskip("tensorflow_io")
LOSSY_JPEG = {"mg_wg04_jpegext51_12bit_4664x3064.dcm"}


def read_by(decoder: str, data: bytes) -> np.ndarray | str:
    try:
        return decode.decode(data, options=Options(max_pixels=10**8, decoder=decoder))
    except UnusableImage as unusable:
        return unusable.reason


def test_real_files(shared_data):
    """Equal on each, or rejected by both for the same reason."""
    decoded = 0
    for path in sorted((shared_data / "dicom").glob("*.dcm")):
        data = path.read_bytes()
        first, second = read_by("auto", data), read_by("tfio", data)
        if isinstance(first, str):
            assert second == first, path.name
        elif path.name in LOSSY_JPEG:  # inverse DCTs may differ by one of 4096 levels
            assert np.abs(first.astype(int) - second).max() <= 17
        else:
            np.testing.assert_array_equal(first, second, err_msg=path.name)
            decoded += 1
    assert decoded >= 24


@pytest.mark.parametrize("number", range(8))
def test_real_images(number, cbis_images):
    data = sorted(cbis_images.glob("*/*.dcm"))[number].read_bytes()
    np.testing.assert_array_equal(read_by("auto", data), read_by("tfio", data))


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize(
    "how",
    [{"syntax": uid.ImplicitVRLittleEndian}, {"syntax": uid.ExplicitVRBigEndian},
     {"syntax": uid.DeflatedExplicitVRLittleEndian}, {"rle": True}],
    ids=["implicit", "big_endian", "deflated", "rle"],
)  # fmt: skip
def test_bits_and_signs(how, bits, signed, photometric, make_dicom):
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    stored = np.random.default_rng(bits).integers(low, high + 1, (7, 5))
    stored.flat[:2] = low, high
    stored = stored.astype(f"{'i' if signed else 'u'}{1 if bits == 8 else 2}")
    data = make_dicom(
        stored, bits_stored=bits, signed=signed, photometric=photometric,
        RescaleSlope=2, RescaleIntercept=-1000, PatientName="SMITH^JANE", **how,
    )  # fmt: skip
    np.testing.assert_array_equal(read_by("auto", data), read_by("tfio", data))


def test_what_it_lacks(make_dicom):
    stored = np.arange(6, dtype=np.uint16).reshape(2, 3)
    data = make_dicom(stored << 4, bits_stored=12, HighBit=15)
    assert isinstance(read_by("auto", data), np.ndarray)
    assert read_by("tfio", data) == "unsupported_bits"


def test_without_tensorflow_io(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_io", None)
    with pytest.raises(CallerError, match=r"tensorflow-io, which is not installed .*; use --dec"):
        Options(max_pixels=1, decoder="tfio")


def test_high_throughput_jpeg_2000_is_beyond_it(make_dicom):
    stored = np.arange(400, dtype=np.uint16).reshape(20, 20)
    stream = imagecodecs.htj2k_encode(stored, reversible=True)
    data = make_dicom(stored, syntax=uid.HTJ2KLossless, PixelData=encapsulate([bytes(stream)]))
    np.testing.assert_array_equal(read_by("auto", data), stored)
    assert read_by("tfio", data) == "unsupported_compression"
