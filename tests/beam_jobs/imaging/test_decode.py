"""Tests of the decoder, against pydicom's pixel_array scaled here in float64, and by hand."""

from __future__ import annotations

import csv
import io
import pathlib
import pickle
import random
import re
import tracemalloc

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.pixels import apply_modality_lut, apply_voi_lut, pixel_array
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from beam_jobs.imaging import decode, dicom_file
from beam_jobs.imaging.decode import Options
from beam_jobs.imaging.unusable import UnusableImage

LIMIT = 100_000_000
OPTIONS = Options(max_pixels=LIMIT)

# what becomes of each real file: "" = decoded
REAL_FILES = {
    "bigendian_mr.dcm": "",
    "corrupt_jpeg50.dcm": "damaged_pixels",
    "deflated_ct.dcm": "",
    "deflated_ot_8bit.dcm": "",
    "headless_implicit_no_meta.dcm": "not_an_image",  # ACR-NEMA, before DICOM
    "htj2k_rgb.dcm": "not_greyscale",
    "implicit_mr.dcm": "",
    "j2k90_cr_mono1_10bit.dcm": "",
    "j2k90_dx_mono1_966_fixed.dcm": "",
    "j2k90_pixelrep_mismatch_multiwindow.dcm": "",
    "j2k91_cr_mono1_15bit.dcm": "",
    "jpegLL57_0.dcm": "",
    "jpegLL57_1.dcm": "",
    "jpegLL57_2.dcm": "",
    "jpegLL70_cr_10bit_2140x1760.dcm": "",
    "jpegls80_cr_mono1_10bit.dcm": "",
    "mg_calibration_8bit_512.dcm": "",
    "mg_ffdm_jpegLL70_12bit_3window_3voilut_sigmoid.dcm": "",
    "mg_tomo_j2k90_4frames_128.dcm": "not_one_frame",
    "mg_wg04_j2k91_12bit_4664x3064.dcm": "",
    "mg_wg04_jpegext51_12bit_4664x3064.dcm": "",
    "modality_lut_cr_mono1_jpegLL.dcm": "",
    "mono1_cr_10bit_440.dcm": "",
    "multiframe_mr_10x64.dcm": "not_one_frame",
    "multiframe_rtdose_32bit.dcm": "not_one_frame",
    "multiwindow_mr_overlay.dcm": "",
    "no_pixels_sr.dcm": "no_pixels",
    "no_rows.dcm": "damaged_header",
    "packed12_bits_allocated_12.dcm": "not_an_image",  # ACR-NEMA, before DICOM
    "padded_mr.dcm": "",
    "palette_color.dcm": "not_greyscale",
    "rgb_sc.dcm": "not_greyscale",
    "rle_cr_10bit_2140x1760.dcm": "",
    "rle_mr_signed_64.dcm": "",
    "signed_ct.dcm": "",
    "truncated_mr.dcm": "truncated",
    "unsupported_jpeg53.dcm": "unsupported_compression",
    "voi_lut_8bit.dcm": "",
}


def full_scale(
    stored: np.ndarray, *, bits: int, signed: bool = False, photometric: str = "MONOCHROME2"
) -> np.ndarray:
    """The documented steps, in float64."""
    levels = 2.0**bits
    values = stored.astype(np.float64) + (levels / 2 if signed else 0)
    values = np.rint(values * 65535 / (levels - 1))
    return (65535 - values if photometric == "MONOCHROME1" else values).astype(np.uint16)


def read_data(data: bytes) -> np.ndarray:
    return decode.decode(data, options=OPTIONS)


@pytest.fixture(scope="module")
def real_files(shared_data: pathlib.Path) -> dict[str, dict[str, str]]:
    with (shared_data / "dicom" / "MANIFEST.tsv").open(newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file, delimiter="\t")}


def test_every_file_of_the_manifest_is_evaluated(real_files):
    assert real_files.keys() == REAL_FILES.keys()


def steps(stored: np.ndarray, header: pydicom.Dataset) -> np.ndarray:
    """The documented steps without a window: pydicom's, then full scale, in float64."""
    bits, signed = header.BitsStored, header.PixelRepresentation == 1
    possible = np.arange(2**bits) - (2 ** (bits - 1) if signed else 0)
    reached = apply_modality_lut(possible, header).astype(np.float64)
    values = apply_modality_lut(stored.astype(np.int64), header).astype(np.float64)
    values = (values - reached.min()) / (reached.max() - reached.min())
    if header.PhotometricInterpretation == "MONOCHROME1":
        values = 1 - values
    if "PixelPaddingValue" in header:
        ends = (
            header.PixelPaddingValue,
            header.get("PixelPaddingRangeLimit", header.PixelPaddingValue),
        )
        values[(stored >= min(ends)) & (stored <= max(ends))] = 0
    return np.rint(values * 65535).astype(np.uint16)


# this image's 12-bit JPEG is beyond all plugins of pydicom; test_codecs.py has its references
BEYOND_PYDICOM = "mg_wg04_jpegext51_12bit_4664x3064.dcm"
DECODED = [name for name, reason in REAL_FILES.items() if not reason and name != BEYOND_PYDICOM]


@pytest.mark.filterwarnings("ignore:The pixel data is 8320 bytes long")
@pytest.mark.parametrize("name", DECODED)
def test_real_file_equals_pydicom(name, shared_data, real_files):
    path = shared_data / "dicom" / name
    header = pydicom.dcmread(path)
    stored = header.pixel_array  # by whichever of gdcm, pylibjpeg and pyjpegls can: not ours
    kind, shape, lowest, highest = re.fullmatch(
        r">?([a-z]+\d+)\[([\d, ]+)\] (-?\d+)\.\.(-?\d+)|>?(i2)\[.*",
        real_files[name]["pydicom_result"].replace(">i2", "int16"),
    ).groups()[:4]
    assert stored.dtype.newbyteorder("=") == np.dtype(kind)
    assert stored.shape == tuple(int(side) for side in shape.split(","))
    assert (stored.min(), stored.max()) == (int(lowest), int(highest))

    pixels = decode.read_image(path, options=OPTIONS)

    assert pixels.dtype == np.uint16
    assert pixels.flags.c_contiguous
    np.testing.assert_array_equal(pixels, steps(stored, header))


@pytest.mark.filterwarnings("ignore:The pixel data is 8320 bytes long")
@pytest.mark.parametrize("name", DECODED)
def test_real_file_in_its_first_window_equals_pydicom(name, shared_data):
    """VOI LUT before window, as pydicom's apply_voi_lut has it; computed in float64."""
    header = pydicom.dcmread(shared_data / "dicom" / name)
    if not header.get("VOILUTSequence") and header.get("WindowCenter") is None:
        pytest.skip("no window in this file")
    stored = header.pixel_array
    modality = apply_modality_lut(stored, header)
    values = apply_voi_lut(modality, header).astype(np.float64)
    if header.get("VOILUTSequence"):
        low, high = 0, 2 ** header.VOILUTSequence[0].LUTDescriptor[2] - 1
    else:
        bits, signed = header.BitsStored, header.PixelRepresentation == 1
        ends = np.array([0, 2**bits - 1]) - (2 ** (bits - 1) if signed else 0)
        low, high = apply_modality_lut(ends, header)
    wanted = np.rint((values - low) / (high - low) * 65535)
    if header.PhotometricInterpretation == "MONOCHROME1":
        wanted = np.rint((high - values) / (high - low) * 65535)
    if "PixelPaddingValue" in header:
        limit = header.get("PixelPaddingRangeLimit", header.PixelPaddingValue)
        wanted[(stored >= header.PixelPaddingValue) & (stored <= limit)] = 0
    pixels = decode.read_image(
        shared_data / "dicom" / name, options=Options(max_pixels=LIMIT, window="first")
    )
    difference = np.abs(pixels - wanted)
    assert difference.max() <= 1  # a half, rounded from another order of operations
    assert np.mean(difference > 0) < 1e-3


@pytest.mark.parametrize(
    ("name", "reason"), [(name, reason) for name, reason in REAL_FILES.items() if reason]
)
def test_real_file_is_rejected_with_its_reason(name, reason, shared_data):
    with pytest.raises(UnusableImage) as caught:
        decode.read_image(shared_data / "dicom" / name, options=OPTIONS)
    assert caught.value.reason == reason
    assert str(caught.value) == f"{reason}: {caught.value.detail}"


@pytest.mark.parametrize("number", range(8))
def test_real_image_equals_pydicoms_own_rle_decoder(number, cbis_images):
    path = sorted(cbis_images.glob("*/*.dcm"))[number]
    wanted = pixel_array(path, decoding_plugin="pydicom")  # 16 bits, MONOCHROME2: as stored
    np.testing.assert_array_equal(decode.read_image(path, options=OPTIONS), wanted)


SYNTAXES = {
    "explicit": {"syntax": ExplicitVRLittleEndian},
    "implicit": {"syntax": ImplicitVRLittleEndian},
    "big_endian": {"syntax": ExplicitVRBigEndian},
    "deflated": {"syntax": DeflatedExplicitVRLittleEndian},
    "rle": {"rle": True},
}


def stored_values(bits: int, signed: bool, shape: tuple[int, int] = (7, 5)) -> np.ndarray:
    """Values of an image: extremes, zero, and noise in between."""
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    values = np.random.default_rng(bits).integers(low, high + 1, shape)
    values.flat[:4] = low, high, 0, low + 1
    return values.astype(f"{'i' if signed else 'u'}{1 if bits == 8 else 2}")


@pytest.mark.parametrize("how", SYNTAXES)
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 15, 16])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_stored_values_on_full_scale(photometric, bits, signed, how, make_dicom):
    stored = stored_values(bits, signed)
    data = make_dicom(
        stored, photometric=photometric, bits_stored=bits, signed=signed, **SYNTAXES[how]
    )
    pixels = read_data(data)
    assert pixels.shape == (7, 5)
    assert pixels.dtype == np.dtype("=u2")
    np.testing.assert_array_equal(
        pixels, full_scale(stored, bits=bits, signed=signed, photometric=photometric)
    )


TWELVE_BITS = [[0, 16, 32776], [65519, 65535, 256]]  # 65535 / 4095 = 16.0037


@pytest.mark.parametrize(
    ("photometric", "signed", "stored", "wanted"),
    [
        ("MONOCHROME2", False, [[0, 1, 2048], [4094, 4095, 16]], TWELVE_BITS),
        ("MONOCHROME1", False, [[4095, 4094, 2047], [1, 0, 4079]], TWELVE_BITS),
        ("MONOCHROME2", True, [[-2048, -2047, 0], [2046, 2047, -2032]], TWELVE_BITS),
    ],
    ids=["unsigned", "inverted", "signed"],
)
def test_twelve_bits_by_hand(photometric, signed, stored, wanted, make_dicom):
    pixels = np.array(stored, np.int16 if signed else np.uint16)
    data = make_dicom(pixels, photometric=photometric, bits_stored=12, signed=signed)
    assert read_data(data).tolist() == wanted


def test_every_value_of_every_depth_is_rounded_right(make_dicom):
    for bits in range(9, 16):
        stored = np.arange(2**bits, dtype=np.uint16).reshape(2, -1)
        pixels = read_data(make_dicom(stored, bits_stored=bits))
        np.testing.assert_array_equal(pixels, full_scale(stored, bits=bits), err_msg=f"{bits} bits")


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
def test_unused_high_bits_are_ignored(signed, make_dicom):
    clean = stored_values(12, signed)
    dirty = (clean.view(np.uint16) & 0x0FFF) | 0x5000  # an old overlay in bits 12 and 14
    dirty = make_dicom(dirty.view(clean.dtype), bits_stored=12, signed=signed)
    np.testing.assert_array_equal(read_data(dirty), full_scale(clean, bits=12, signed=signed))


def test_padding_of_an_odd_number_of_bytes(make_dicom):
    stored = stored_values(8, False, (5, 3))
    np.testing.assert_array_equal(
        read_data(make_dicom(stored, bits_stored=8)), stored.astype(np.uint16) * 257
    )


def reason_of(data: bytes, max_pixels: int = LIMIT) -> str:
    with pytest.raises(UnusableImage) as caught:
        decode.decode(data, options=Options(max_pixels=max_pixels))
    return caught.value.reason


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("rle", [False, True], ids=["uncompressed", "rle"])
def test_no_half_image_comes_out_of_a_cut_file(rle, make_dicom):
    """Cut anywhere: all pixels (the tail holds none) or none at all."""
    stored = stored_values(16, False, (9, 13))
    data = make_dicom(stored, rle=rle)
    reasons = set()
    for length in range(len(data)):
        try:
            pixels = read_data(data[:length])
        except UnusableImage as unusable:
            reasons.add(unusable.reason)
        else:
            np.testing.assert_array_equal(pixels, stored, err_msg=f"cut at {length}")
            assert length > len(data) - 16
    assert {"empty_file", "not_an_image", "no_pixels"} <= reasons, reasons
    assert "truncated" in reasons


@pytest.mark.filterwarnings("ignore:End of file reached")
@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9, 0.999])
def test_a_real_image_cut_short_is_rejected(fraction, cbis_images):
    data = min(cbis_images.glob("*/*.dcm"), key=lambda path: path.stat().st_size).read_bytes()
    assert reason_of(data[: int(fraction * len(data))]) == "truncated"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty_file"),
        (b"P_00001,2,LEFT,CC\n" * 50, "not_an_image"),
        (random.Random(0).randbytes(5000), "not_an_image"),
        (b"\x89PNG\r\n\x1a\n" + bytes(200), "damaged_header"),
        (b"P6 2 1 255\n" + bytes(range(6)), "not_an_image"),
        (bytes(128) + b"DICM", "damaged_header"),
        (bytes(128) + b"DICM" + random.Random(0).randbytes(500), "damaged_header"),
    ],
    ids=["empty", "text", "random", "png", "colour_ppm", "only_preamble", "preamble_and_noise"],
)
def test_what_is_no_image(data, reason):
    assert reason_of(data) == reason


IMAGE = np.arange(6, dtype=np.uint16).reshape(2, 3)


@pytest.mark.parametrize(
    ("changes", "reason", "detail"),
    [
        ({"PixelData": None}, "no_pixels", "absent or empty"),
        ({"PixelData": b""}, "no_pixels", "absent or empty"),
        ({"Rows": 0}, "no_pixels", "0x3"),
        ({"Columns": 0}, "no_pixels", "2x0"),
        ({"Rows": None}, "damaged_header", "Rows"),
        ({"BitsAllocated": None}, "damaged_header", "AttributeError"),
        ({"PhotometricInterpretation": None}, "damaged_header", "AttributeError"),
        ({"Rows": 60000, "Columns": 60000}, "too_large", "60000x60000 is more than 100000000"),
        ({"Rows": 3}, "truncated", "12 of 18 bytes"),
        ({"Columns": 65535, "Rows": 1500}, "truncated", "12 of 196605000 bytes"),
        ({"NumberOfFrames": 2}, "not_one_frame", "2 frames"),
        ({"SamplesPerPixel": 3}, "not_greyscale", "3 samples"),
        ({"PhotometricInterpretation": "RGB"}, "not_greyscale", "1 samples"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "not_greyscale", "palette"),
        ({"BitsAllocated": 32}, "unsupported_bits", "16 stored in 32"),
        ({"BitsAllocated": 12, "BitsStored": 12}, "unsupported_bits", "12 stored in 12"),
        ({"BitsStored": 0}, "unsupported_bits", "0 stored in 16"),
        ({"BitsStored": 17}, "unsupported_bits", "17 stored in 16"),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else None,
)
def test_headers_that_make_no_image(changes, reason, detail, make_dicom):
    with pytest.raises(UnusableImage, match=detail) as caught:
        read_data(make_dicom(IMAGE, **changes))
    assert caught.value.reason == reason


@pytest.mark.parametrize("rle", [False, True], ids=["uncompressed", "rle"])
def test_no_memory_is_taken_for_what_a_header_claims(rle, make_dicom):
    data = make_dicom(IMAGE, rle=rle, Rows=60000, Columns=60000)
    tracemalloc.start()
    assert reason_of(data) == "too_large"
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000


def test_max_pixels_is_inclusive(make_dicom):
    data = make_dicom(IMAGE)
    np.testing.assert_array_equal(decode.decode(data, options=Options(max_pixels=6)), IMAGE)
    assert reason_of(data, max_pixels=5) == "too_large"
    assert reason_of(b"P5 3 2 255\n" + bytes(range(6)), max_pixels=5) == "too_large"


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_one_grey_level(photometric, make_dicom):
    data = make_dicom(np.full((4, 3), 77, np.uint16), photometric=photometric)
    assert reason_of(data) == "one_grey_level"


def test_a_pixel_over_the_rle_image_is_rejected(make_dicom):
    """The header says one row more than the RLE segments hold."""
    data = make_dicom(stored_values(16, False), rle=True, Rows=8)
    assert reason_of(data) == "damaged_pixels"


def test_a_segment_of_the_wrong_length_is_damage(make_dicom):
    """The second segment begins a byte early, so a run of the first is read as its own."""
    noise = np.random.default_rng(0).integers(0, 60000, (7, 5))
    whole = make_dicom(noise.astype(np.uint16), rle=True)
    frame = whole.index(b"\2\0\0\0\x40\0\0\0")  # two segments, the first after 64 bytes
    for entry, value in ((0, 3), (4, 60), (8, 63), (8, 2**31), (8, 0)):
        damaged = bytearray(whole)
        damaged[frame + entry : frame + entry + 4] = value.to_bytes(4, "little")
        assert reason_of(bytes(damaged)) == "damaged_pixels"


def pgm(pixels: np.ndarray, maximum: int, header: str = "P5\n{w} {h}\n{m}\n") -> bytes:
    height, width = pixels.shape
    kind = "u1" if maximum < 256 else ">u2"
    return header.format(w=width, h=height, m=maximum).encode() + pixels.astype(kind).tobytes()


@pytest.mark.parametrize("maximum", [1, 100, 255, 256, 1000, 4095, 65535])
def test_pgm_on_full_scale(maximum):
    stored = np.random.default_rng(maximum).integers(0, maximum + 1, (5, 7))
    stored.flat[:2] = 0, maximum
    wanted = np.rint(stored * 65535 / maximum)
    np.testing.assert_array_equal(read_data(pgm(stored, maximum)), wanted)


@pytest.mark.parametrize("maximum", range(162, 5000, 397))
def test_every_value_of_a_pgm_is_rounded_right(maximum):
    stored = np.arange(2 * (maximum // 2 + 1)).reshape(2, -1).clip(0, maximum)
    np.testing.assert_array_equal(
        read_data(pgm(stored, maximum)), np.rint(stored * 65535 / maximum)
    )


@pytest.mark.parametrize(
    "header",
    [
        "P5 {w} {h} {m} ",
        "P5\r\n{w}\r{h}\t{m}\n",
        "P5\n# made by hand\n{w} {h}\n{m}\n",
        "P5 # one\n# two 9 9 9\n{w}# three\n {h} #\n#\n{m}\n",
    ],
    ids=["one_line", "odd_gaps", "comment", "comments_everywhere"],
)
def test_pgm_headers(header):
    stored = np.array([[10, 35, 10], [32, 0, 255]])  # 10 and 35 are a line's end and a hash
    assert read_data(pgm(stored, 255, header)).tolist() == (stored * 257).tolist()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"P5", "damaged_header"),
        (b"P5\n3 2\n", "damaged_header"),
        (b"P5\n3 two\n255\n" + bytes(6), "damaged_header"),
        (b"P5\n-3 2\n255\n" + bytes(6), "damaged_header"),
        (b"P5\n0 2\n255\n" + bytes(6), "damaged_header"),
        (b"P5\n3 2\n0\n" + bytes(6), "damaged_header"),
        (b"P5\n3 2\n65536\n" + bytes(12), "damaged_header"),
        (b"P53 2 255\n" + bytes(6), "damaged_header"),
        (b"P5\n3 2\n255\n" + bytes(5), "truncated"),
        (b"P5\n3 2\n256\n" + bytes(11), "truncated"),
        (b"P5\n99999 99999\n255\n" + bytes(5), "too_large"),
        (b"P5\n3 2\n255\n" + bytes(6), "one_grey_level"),
    ],
)
def test_damaged_pgm(data, reason):
    assert reason_of(data) == reason


def test_pgm_values_over_its_maximum_are_damage():
    with pytest.raises(UnusableImage, match="a pixel of 101, the header says 100") as caught:
        read_data(b"P5 3 1 100\n" + bytes([0, 100, 101]))
    assert caught.value.reason == "damaged_pixels"


def test_mini_mias_image_is_its_bytes(mini_mias_folder):
    data = (mini_mias_folder / "mdb001.pgm").read_bytes()
    wanted = np.frombuffer(data[-1024 * 1024 :], np.uint8).reshape(1024, 1024)
    np.testing.assert_array_equal(read_data(data), wanted * np.uint16(257))


def test_unreadable_file(tmp_path):
    with pytest.raises(UnusableImage, match="No such file") as caught:
        decode.read_image(tmp_path / "SMITH.dcm", options=OPTIONS)
    assert caught.value.reason == "unreadable"
    assert "SMITH" not in caught.value.detail


def test_unusable_image_survives_pickle():
    before = UnusableImage("truncated", "5 of 6 bytes")
    after = pickle.loads(pickle.dumps(before))
    assert (after.reason, after.detail, str(after)) == ("truncated", "5 of 6 bytes", str(before))


SECRET = "SMITH^JANE"


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "changes",
    [
        {"PixelData": None},
        {"Rows": 0},
        {"Rows": 9},
        {"SamplesPerPixel": 3},
        {"PhotometricInterpretation": SECRET},
        {"NumberOfFrames": 7},
        {"BitsStored": 30},
        {"SOPInstanceUID": SECRET, "BitsAllocated": None},
    ],
    ids="+".join,
)
def test_detail_has_no_text_from_the_file(changes, make_dicom):
    data = make_dicom(IMAGE, patient_id=SECRET, PatientName=SECRET, **changes)
    assert SECRET.encode() in data
    with pytest.raises(UnusableImage) as caught:
        read_data(data)
    assert "SMITH" not in str(caught.value)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "syntax", [SECRET.ljust(19, "1"), "1.2.840.10008.1.2.9", "1.2.826.0.1.3680043"]
)
def test_a_transfer_syntax_nobody_knows(syntax, make_dicom):
    known = ExplicitVRLittleEndian.encode()
    assert len(known) == 19
    data = make_dicom(IMAGE, PatientName=SECRET).replace(known, syntax.encode().ljust(19, b"\0"), 1)
    with pytest.raises(UnusableImage, match="unsupported_compression") as caught:
        read_data(data)
    assert "SMITH" not in str(caught.value)
    assert syntax not in str(caught.value)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("rle", [False, True], ids=["uncompressed", "rle"])
@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    edits=st.lists(
        st.tuples(
            st.sampled_from(["flip", "cut", "insert", "zero"]),
            st.floats(0, 1, exclude_max=True),
            st.binary(min_size=1, max_size=8),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_damage_gives_a_image_or_a_reason(rle, edits, make_dicom):
    """Whatever happens to the bytes: an image of the stated kind, or UnusableImage."""
    data = bytearray(make_dicom(stored_values(12, False, (6, 4)), rle=rle, bits_stored=12))
    for kind, where, new in edits:
        # the preamble and the file's identity matter less than header and pixels
        at = 128 + int(where * max(len(data) - 128, 0))
        if kind == "flip":
            data[at : at + len(new)] = bytes(
                a ^ b for a, b in zip(data[at : at + len(new)], new, strict=False)
            )
        elif kind == "cut":
            del data[at : at + new[0]]
        elif kind == "insert":
            data[at:at] = new
        else:
            data[at : at + len(new)] = bytes(len(data[at : at + len(new)]))
    try:
        pixels = decode.decode(bytes(data), options=Options(max_pixels=10_000))
    except UnusableImage:
        return
    assert pixels.dtype == np.uint16
    assert pixels.ndim == 2
    assert 0 < pixels.size <= 10_000
    header = pydicom.dcmread(io.BytesIO(bytes(data)))
    assert pixels.shape == (header.Rows, header.Columns)


@settings(max_examples=200, deadline=None)
@given(header=st.text("P5 \n#0123456789-x", max_size=30), body=st.binary(max_size=40))
def test_any_pgm_gives_a_image_or_a_reason(header, body):
    try:
        pixels = decode.decode(b"P5" + header.encode() + body, options=Options(max_pixels=10_000))
    except UnusableImage:
        return
    assert pixels.dtype == np.uint16
    assert pixels.ndim == 2


@pytest.mark.parametrize(
    "data", [b"", b"text", bytes(128) + b"DICM" + bytes(9)], ids=["empty", "text", "damaged"]
)
def test_what_is_not_dicom_is_nobody(data, tmp_path):
    path = tmp_path / "image.dcm"
    path.write_bytes(data)
    assert dicom_file.read_identity(path) == dicom_file.NOBODY


def test_identity_needs_no_pixels(tmp_path, make_dicom):
    data = make_dicom(IMAGE, series_uid="1.2.3")
    path = tmp_path / "cut.dcm"
    path.write_bytes(data[:-8])
    assert dicom_file.read_identity(path).series_uid == "1.2.3"


def test_identity_of_a_file_that_can_not_be_read(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        dicom_file.read_identity(tmp_path / "gone.dcm")
