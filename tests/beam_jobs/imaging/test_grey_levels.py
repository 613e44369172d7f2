"""Tests of the grey-level steps of PS3.3 C.11, against pydicom's in float64 and by hand."""

from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut, apply_windowing
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from beam_jobs.imaging import decode
from beam_jobs.imaging.decode import Options
from beam_jobs.imaging.unusable import UnusableImage


def read(data: bytes, window: str = "none") -> np.ndarray:
    return decode.decode(data, options=Options(max_pixels=100_000, window=window))


def every_value(bits: int, signed: bool) -> np.ndarray:
    low = -(2 ** (bits - 1)) if signed else 0
    return np.arange(low, low + 2**bits, dtype=np.int16 if signed else np.uint16).reshape(4, -1)


def lut(entries: list[int], first: int, bits: int, words: bool = False) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US" if first >= 0 else "SS", [len(entries), first, bits])
    if words:
        item.add_new("LUTData", "OW", np.array(entries, "<u2").tobytes())
    else:
        item.add_new("LUTData", "US", entries)
    return item


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
def test_a_positive_rescale_changes_nothing(signed, make_dicom):
    stored = every_value(12, signed)
    plain = read(make_dicom(stored, bits_stored=12, signed=signed))
    rescaled = make_dicom(
        stored, bits_stored=12, signed=signed, RescaleSlope="2.0002442", RescaleIntercept="-4047"
    )
    np.testing.assert_array_equal(read(rescaled), plain)


def test_a_negative_rescale_inverts(make_dicom):
    stored = every_value(12, False)
    plain = read(make_dicom(stored, bits_stored=12))
    tags = {"RescaleSlope": "-1", "RescaleIntercept": "4095"}
    negative = make_dicom(stored, bits_stored=12, **tags)
    twice = make_dicom(stored, bits_stored=12, photometric="MONOCHROME1", **tags)
    np.testing.assert_array_equal(read(negative), 65535 - plain)
    np.testing.assert_array_equal(read(twice), plain)


def test_one_of_slope_and_intercept_alone_is_no_rescale(make_dicom):
    stored = every_value(12, False)
    plain = read(make_dicom(stored, bits_stored=12))
    np.testing.assert_array_equal(read(make_dicom(stored, bits_stored=12, RescaleSlope=-2)), plain)


@pytest.mark.parametrize("words", [False, True], ids=["US", "OW"])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_modality_lut_by_hand(photometric, words, make_dicom):
    """The full scale is what the table reaches, 10 to 50, whatever bits its descriptor claims."""
    table = lut([10, 20, 40, 50], first=1, bits=16, words=words)
    stored = np.array([[0, 1, 2], [3, 4, 255]], np.uint8)
    pixels = read(
        make_dicom(
            stored, bits_stored=8, photometric=photometric, ModalityLUTSequence=[table],
            RescaleSlope=-3, RescaleIntercept=1,
        )
    )  # fmt: skip
    wanted = np.array([[0, 0, 16384], [49151, 65535, 65535]])
    np.testing.assert_array_equal(
        pixels, 65535 - wanted if photometric == "MONOCHROME1" else wanted
    )


def test_luts_in_big_endian_words(make_dicom):
    table = lut([10, 20, 40, 50], first=0, bits=16)
    table["LUTData"].VR = "OW"
    table["LUTData"].value = np.array([10, 20, 40, 50], ">u2").tobytes()
    stored = np.array([[0, 1], [2, 3]], np.uint16)
    data = make_dicom(
        stored, bits_stored=8, syntax=ExplicitVRBigEndian, ModalityLUTSequence=[table]
    )
    assert read(data).tolist() == [[0, 16384], [49151, 65535]]


WINDOWS = {"WindowCenter": [1000, 2048.5, 40], "WindowWidth": [500, 4000.25, 1]}


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("rescale", [None, (1, -1024), (2.5, 3), (-1, 1500)], ids=str)
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("index", [0, 1, 2])
@pytest.mark.parametrize("function", [None, "LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_windows_equal_pydicom(function, index, signed, rescale, photometric, *, make_dicom):
    stored = every_value(12, signed)
    tags = dict(WINDOWS)
    if function:
        tags["VOILUTFunction"] = function
    if rescale:
        tags["RescaleSlope"], tags["RescaleIntercept"] = rescale
    data = make_dicom(stored, bits_stored=12, signed=signed, photometric=photometric, **tags)
    image = pydicom.dcmread(io.BytesIO(data))
    values = apply_windowing(apply_modality_lut(stored, image), image, index=index)
    ends = apply_modality_lut(np.array([stored.min(), stored.max()]), image)
    wanted = (values - ends[0]) / (ends[1] - ends[0])
    if photometric == "MONOCHROME1":
        wanted = 1 - wanted
    pixels = read(data, str(index))
    if index == 2 and function in (None, "LINEAR"):  # a width of 1: pydicom divides 0 by 0 nowhere
        assert set(np.unique(pixels)) <= {0, 65535}
    assert np.abs(pixels - wanted * 65535).max() <= 0.5 + 1e-6


def test_window_by_hand(make_dicom):
    """PS3.3 C.11.2.1.2.1: centre 128, width 256 is the identity on 8 bits; 127.5, 255 exactly."""
    stored = np.arange(256, dtype=np.uint8).reshape(2, 128)
    plain = stored * np.uint16(257)
    for tags in (
        {"WindowCenter": 128, "WindowWidth": 256},
        {"WindowCenter": 127.5, "WindowWidth": 255, "VOILUTFunction": "LINEAR_EXACT"},
    ):
        np.testing.assert_array_equal(read(make_dicom(stored, bits_stored=8, **tags), "0"), plain)


def test_sigmoid_by_hand(make_dicom):
    stored = np.array([[0, 100], [200, 255]], np.uint8)
    tags = {"WindowCenter": 100, "WindowWidth": 200, "VOILUTFunction": "SIGMOID"}
    pixels = read(make_dicom(stored, bits_stored=8, **tags), "first")
    wanted = 65535 / (1 + np.exp(-4 * (stored - 100.0) / 200))
    np.testing.assert_array_equal(pixels, np.rint(wanted))
    assert pixels[0, 1] == 32768  # rint of 32767.5


def test_which_window(make_dicom):
    stored = every_value(12, False)
    plain = make_dicom(stored, bits_stored=12)
    windows = make_dicom(stored, bits_stored=12, **WINDOWS)
    np.testing.assert_array_equal(read(windows, "none"), read(plain))
    np.testing.assert_array_equal(read(windows, "first"), read(windows, "0"))
    assert (read(windows, "first") != read(windows, "1")).any()
    np.testing.assert_array_equal(read(plain, "first"), read(plain))
    for data, window, count in ((windows, "3", 3), (plain, "0", 0)):
        with pytest.raises(UnusableImage, match=f"no_such_window: window {window} of {count}"):
            read(data, window)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("index", [0, 1])
def test_voi_luts_go_before_windows(index, photometric, make_dicom):
    tables = [lut(list(range(0, 4000, 4)), 100, 12), lut([5, 300, 1000], -2, 10)]
    stored = every_value(12, True)
    data = make_dicom(
        stored, bits_stored=12, signed=True, photometric=photometric, VOILUTSequence=tables,
        **WINDOWS,
    )  # fmt: skip
    image = pydicom.dcmread(io.BytesIO(data))
    wanted = apply_voi_lut(stored, image, index=index) / [4095, 1023][index]
    if photometric == "MONOCHROME1":
        wanted = 1 - wanted
    assert np.abs(read(data, str(index)) - wanted * 65535).max() <= 0.5
    with pytest.raises(UnusableImage, match="no_such_window"):
        read(data, "2")


@pytest.mark.parametrize(
    ("photometric", "shape", "inverted"),
    [
        ("MONOCHROME2", None, False),
        ("MONOCHROME2", "IDENTITY", False),
        ("MONOCHROME2", "INVERSE", True),
        ("MONOCHROME1", None, True),
        ("MONOCHROME1", "IDENTITY", True),
        ("MONOCHROME1", "INVERSE", True),  # said twice, not done twice
    ],
)
def test_polarity(photometric, shape, inverted, make_dicom):
    tags = {"PresentationLUTShape": shape} if shape else {}
    stored = np.array([[0, 1], [2, 3]], np.uint16)
    data = make_dicom(stored, bits_stored=2, photometric=photometric, **tags)
    ramp = [0, 21845, 43690, 65535]
    assert read(data).ravel().tolist() == (ramp[::-1] if inverted else ramp)


@pytest.mark.parametrize("window", ["none", "first"])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black(photometric, window, make_dicom):
    stored = every_value(12, False)
    how = {"bits_stored": 12, "photometric": photometric, **WINDOWS}
    plain = read(make_dicom(stored, **how), window)
    padded = read(make_dicom(stored, PixelPaddingValue=4000, **how), window)
    np.testing.assert_array_equal(padded[stored == 4000], 0)
    np.testing.assert_array_equal(padded[stored != 4000], plain[stored != 4000])
    ranged = make_dicom(stored, PixelPaddingValue=30, PixelPaddingRangeLimit=0, **how)
    ranged = read(ranged, window)
    np.testing.assert_array_equal(ranged[stored <= 30], 0)
    np.testing.assert_array_equal(ranged[stored > 30], plain[stored > 30])


def test_padding_of_signed_images_and_beyond_the_range(make_dicom):
    stored = every_value(12, True)
    plain = read(make_dicom(stored, bits_stored=12, signed=True))
    padded = read(make_dicom(stored, bits_stored=12, signed=True, PixelPaddingValue=-2000))
    np.testing.assert_array_equal(padded, np.where(stored == -2000, 0, plain))
    beyond = make_dicom(stored, bits_stored=12, signed=True, PixelPaddingValue=-32768)
    np.testing.assert_array_equal(read(beyond), plain)


@pytest.mark.parametrize(
    ("tags", "window"),
    [
        ({"RescaleSlope": 0, "RescaleIntercept": 1}, "none"),
        ({"WindowCenter": 10, "WindowWidth": 0.5}, "0"),
        ({"WindowCenter": 10, "WindowWidth": 0, "VOILUTFunction": "SIGMOID"}, "first"),
        ({"WindowCenter": 10, "WindowWidth": -4, "VOILUTFunction": "LINEAR_EXACT"}, "first"),
        ({"WindowCenter": 10, "WindowWidth": 4, "VOILUTFunction": "SMITH_JANE"}, "first"),
        ({"ModalityLUTSequence": [lut([7, 7, 7], 0, 8)]}, "none"),
        ({"ModalityLUTSequence": [lut([7, 300, 7], 0, 8)]}, "none"),
        ({"ModalityLUTSequence": [lut([1, 2], 0, 32)]}, "none"),
        ({"VOILUTSequence": [Dataset()]}, "first"),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, dict) else None,
)
def test_headers_that_contradict_themselves(tags, window, make_dicom):
    with pytest.raises(UnusableImage, match="damaged_header") as caught:
        read(make_dicom(every_value(8, False), bits_stored=8, **tags), window)
    assert "SMITH" not in str(caught.value)


def test_what_is_not_asked_for_does_no_harm(make_dicom):
    """A damaged window matters to those who want it."""
    stored = every_value(8, False)
    data = make_dicom(stored, bits_stored=8, WindowCenter=10, WindowWidth=0)
    assert read(data).max() == 65535


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    center=st.floats(-5000, 5000),
    width=st.floats(1, 9000),
    function=st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
    slope=st.floats(0.01, 50),
)
def test_windows_keep_the_order_of_values(center, width, function, slope, make_dicom):
    stored = every_value(10, False)
    data = make_dicom(
        stored, bits_stored=10, syntax=ExplicitVRLittleEndian, VOILUTFunction=function,
        WindowCenter=f"{center:.6g}", WindowWidth=f"{width:.6g}", RescaleSlope=f"{slope:.6g}",
        RescaleIntercept=0,
    )  # fmt: skip
    try:
        pixels = read(data, "0")
    except UnusableImage as unusable:  # all of it may lie outside of the window
        if unusable.reason != "one_grey_level":
            raise
        return
    assert (np.diff(pixels.ravel().astype(int)) >= 0).all()


def test_grey_levels_of_frames(make_dicom):
    """Enhanced and tomosynthesis images state rescale and windows in functional groups."""
    pixels = np.arange(2 * 4 * 6, dtype=np.uint16).reshape(2, 4, 6) * 80

    def group(center: float) -> Dataset:
        voi, frame = Dataset(), Dataset()
        voi.WindowCenter, voi.WindowWidth, voi.VOILUTFunction = center, 1000, "LINEAR_EXACT"
        frame.FrameVOILUTSequence = [voi]
        return frame

    rescale, shared = Dataset(), group(9)
    rescale.RescaleSlope, rescale.RescaleIntercept = -1, 4095
    shared.PixelValueTransformationSequence = [rescale]
    data = make_dicom(
        pixels,
        bits_stored=12,
        NumberOfFrames=2,
        SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=[group(2000), group(1500)],
    )
    for index, center in enumerate((2000, 1500)):
        plain = Dataset()
        plain.update(group(center).FrameVOILUTSequence[0])
        plain.PhotometricInterpretation, plain.BitsStored = "MONOCHROME2", 12
        plain.PixelRepresentation = 0
        plain.update(rescale)
        levels = apply_modality_lut(pixels[index], plain)
        low, high = apply_windowing(np.array([-1e6, 1e6]), plain)
        expected = (apply_windowing(levels, plain) - low) / (high - low) * 65535
        options = Options(max_pixels=100, window="0", frame=index)
        np.testing.assert_allclose(decode.decode(data, options=options), expected, atol=0.51)
    whole = decode.decode(data, options=Options(max_pixels=100, frame=1))
    np.testing.assert_allclose(whole, (4095.0 - pixels[1]) * 65535 / 4095, atol=0.51)
