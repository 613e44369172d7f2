"""Tests of compressed pixels: every syntax, made here, against what went in and pydicom."""

from __future__ import annotations

import io
import struct

import cv2
import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom import uid
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.pixels import get_decoder

from beam_jobs.imaging import decode
from beam_jobs.imaging.decode import Options
from beam_jobs.imaging.unusable import UnusableImage
from records.image_size import ImageSize

LIMIT = 100_000_000


def smooth(bits: int, shape: tuple[int, int] = (61, 47)) -> np.ndarray:
    """An image of so many bits, both extremes in it."""
    noise = np.random.default_rng(bits).normal(size=shape)
    values = cv2.GaussianBlur(noise, (0, 0), 2)
    values = (values - values.min()) / (values.max() - values.min()) * (2**bits - 1)
    return np.rint(values).astype(np.uint8 if bits <= 8 else np.uint16)


def jpeg_lossless(predictor: int):
    def encode(pixels: np.ndarray, bits: int) -> bytes:
        return imagecodecs.jpeg8_encode(
            pixels, lossless=True, predictor=predictor, bitspersample=bits
        )

    return encode


def jpeg2000(pixels: np.ndarray, bits: int) -> bytes:
    return imagecodecs.jpeg2k_encode(
        pixels, level=0, codecformat="J2K", reversible=True, bitspersample=bits
    )


ENCODERS = {
    "jpeg_lossless_57": (uid.JPEGLossless, jpeg_lossless(6)),
    "jpeg_lossless_70": (uid.JPEGLosslessSV1, jpeg_lossless(1)),
    "jpeg_ls_80": (uid.JPEGLSLossless, lambda pixels, _: imagecodecs.jpegls_encode(pixels)),
    "jpeg_2000_90": (uid.JPEG2000Lossless, jpeg2000),
    "htj2k_201": (
        uid.HTJ2KLossless, lambda pixels, _: imagecodecs.htj2k_encode(pixels, reversible=True),
    ),
    "htj2k_202": (
        uid.HTJ2KLosslessRPCL, lambda pixels, _: imagecodecs.htj2k_encode(pixels, reversible=True),
    ),
}  # fmt: skip


def image_of(make_dicom, pixels, streams, syntax, *, bits, **tags) -> bytes:
    return make_dicom(
        pixels,
        bits_stored=bits,
        syntax=syntax,
        **{"PixelData": encapsulate([bytes(stream) for stream in streams]), **tags},
    )


def read(data: bytes, **options) -> np.ndarray:
    return decode.decode(data, options=Options(max_pixels=LIMIT, **options))


def reason_of(data: bytes, **options) -> str:
    with pytest.raises(UnusableImage) as caught:
        read(data, **options)
    return caught.value.reason


def full_scale(values: np.ndarray, bits: int) -> np.ndarray:
    return np.rint(values * (65535 / (2.0**bits - 1)))


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("name", ENCODERS)
def test_lossless_syntaxes_give_what_went_in(name, bits, make_dicom):
    syntax, encode = ENCODERS[name]
    pixels = smooth(bits)
    data = image_of(make_dicom, pixels, [encode(pixels, bits)], syntax, bits=bits)
    np.testing.assert_array_equal(read(data), full_scale(pixels, bits))


LOSSY = {
    "jpeg_baseline_50": (
        uid.JPEGBaseline8Bit, 8, lambda pixels: imagecodecs.jpeg8_encode(pixels, level=90),
    ),
    "jpeg_extended_51_8bit": (
        uid.JPEGExtended12Bit, 8, lambda pixels: imagecodecs.jpeg8_encode(pixels, level=90),
    ),
    "jpeg_ls_81": (uid.JPEGLSNearLossless, 12, lambda p: imagecodecs.jpegls_encode(p, level=3)),
    "jpeg_2000_91": (
        uid.JPEG2000, 12, lambda p: imagecodecs.jpeg2k_encode(
            p, level=60, codecformat="J2K", reversible=False, bitspersample=12
        ),
    ),
    "htj2k_203": (uid.HTJ2K, 16, lambda p: imagecodecs.htj2k_encode(p, level=0.001)),
}  # fmt: skip


@pytest.mark.parametrize("name", LOSSY)
def test_lossy_syntaxes_equal_another_decoder(name, make_dicom):
    syntax, bits, encode = LOSSY[name]
    pixels = smooth(bits)
    data = image_of(make_dicom, pixels, [encode(pixels)], syntax, bits=bits)
    plugin = "pyjpegls" if syntax == uid.JPEGLSNearLossless else "pylibjpeg"
    image = pydicom.dcmread(io.BytesIO(data))
    wanted = get_decoder(syntax).as_array(image, raw=True, decoding_plugin=plugin)[0]
    assert np.abs(wanted.astype(int) - pixels).max() > 0  # it is lossy
    got = np.rint(read(data) * ((2.0**bits - 1) / 65535))
    # the standard lets inverse DCTs (ITU-T T.83) and irreversible wavelets differ by rounding
    wanted = np.clip(wanted, 0, 2**bits - 1)  # a lossy value may overshoot: it stays white
    assert np.abs(got - wanted).max() <= (0 if "ls" in name else 2)


def test_twelve_bit_jpeg_against_tensorflow(make_dicom):
    tfio = pytest.importorskip("tensorflow_io")
    pixels = smooth(12)
    stream = imagecodecs.jpeg8_encode(pixels, level=90, bitspersample=12)
    data = image_of(make_dicom, pixels, [stream], uid.JPEGExtended12Bit, bits=12)
    wanted = tfio.image.decode_dicom_image(data, on_error="strict", scale="preserve").numpy()
    got = np.rint(read(data) * (4095 / 65535))
    assert np.abs(got - wanted[0, :, :, 0]).max() <= 2
    assert np.abs(got - pixels).max() < 200


def test_the_twelve_bit_jpeg_mammogram(shared_data):
    """pydicom's plugins all fail on it; the same image was also stored as lossy JPEG 2000."""
    tfio = pytest.importorskip("tensorflow_io")
    folder = shared_data / "dicom"
    options = Options(max_pixels=LIMIT)
    path = folder / "mg_wg04_jpegext51_12bit_4664x3064.dcm"
    jpeg = decode.read_image(path, options=options)
    wavelet = decode.read_image(folder / "mg_wg04_j2k91_12bit_4664x3064.dcm", options=options)
    assert jpeg.shape == wavelet.shape == (4664, 3064)
    part = (slice(None, None, 7), slice(None, None, 5))
    assert np.corrcoef(jpeg[part].ravel(), wavelet[part].ravel())[0, 1] > 0.999
    second = tfio.image.decode_dicom_image(path.read_bytes(), on_error="strict", scale="preserve")
    stored = np.rint(jpeg * (4095 / 65535))
    assert np.abs(stored - second.numpy()[0, :, :, 0]).max() <= 1


@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("name", ["jpeg_lossless_70", "jpeg_ls_80", "jpeg_2000_90", "signed_j2k"])
def test_signed_values(name, bits, make_dicom):
    """JPEG and JPEG-LS know no sign, JPEG 2000 has its own, which the header overrules."""
    pixels = smooth(bits)
    half = 2 ** (bits - 1)
    signed = (pixels.astype(np.int32) - half).astype(np.int16)
    pattern = signed.view(np.uint16) & (2**bits - 1)
    if name == "signed_j2k":
        syntax, stream = uid.JPEG2000Lossless, jpeg2000(signed, bits)
    else:
        syntax, stream = ENCODERS[name][0], ENCODERS[name][1](pattern, bits)
    data = image_of(make_dicom, signed, [stream], syntax, bits=bits, signed=True)
    np.testing.assert_array_equal(read(data), full_scale(pixels, bits))


@pytest.mark.parametrize("signed_header", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("signed_stream", [False, True], ids=["of_unsigned", "of_signed"])
@pytest.mark.parametrize("precision", [10, 12])
def test_stream_and_header_disagree_as_in_pydicom(
    precision, signed_stream, signed_header, make_dicom
):
    pixels = smooth(precision)
    coded = (pixels.astype(np.int32) - 2 ** (precision - 1)).astype(np.int16)
    stream = jpeg2000(coded if signed_stream else pixels, precision)
    data = image_of(
        make_dicom, pixels, [stream], uid.JPEG2000Lossless, bits=12, signed=signed_header
    )
    image = pydicom.dcmread(io.BytesIO(data))
    wanted = get_decoder(uid.JPEG2000Lossless).as_array(
        image, raw=True, decoding_plugin="pylibjpeg"
    )[0]
    wanted = wanted.astype(np.int64) + (2048 if signed_header else 0)
    np.testing.assert_array_equal(read(data), full_scale(wanted, 12))


def test_eight_bit_stream_in_sixteen_bit_cells(make_dicom):
    pixels = smooth(8)
    data = image_of(
        make_dicom, pixels.astype(np.uint16), [jpeg_lossless(1)(pixels, 8)], uid.JPEGLosslessSV1,
        bits=8,
    )  # fmt: skip
    np.testing.assert_array_equal(read(data), full_scale(pixels, 8))


def test_a_stream_of_larger_values_than_the_header_allows(make_dicom):
    pixels = smooth(12)
    stream = jpeg_lossless(1)(pixels, 12)
    data = image_of(make_dicom, pixels, [stream], uid.JPEGLosslessSV1, bits=10)
    with pytest.raises(UnusableImage, match="damaged_pixels: values of more than 10 bits"):
        read(data)


def test_whole_cells_with_an_old_overlay_above_the_bits_stored(make_dicom):
    pixels = smooth(12)
    stream = jpeg_lossless(1)(pixels | 0x8000, 16)
    data = image_of(make_dicom, pixels, [stream], uid.JPEGLosslessSV1, bits=12)
    np.testing.assert_array_equal(read(data), full_scale(pixels, 12))


@pytest.mark.parametrize("offsets", [True, False], ids=["offset_table", "empty_offset_table"])
@pytest.mark.parametrize("fragments", [1, 2, 5])
def test_fragments_of_one_frame(fragments, offsets, make_dicom):
    pixels = smooth(12)
    syntax, encode = ENCODERS["jpeg_2000_90"]
    data = encapsulate([encode(pixels, 12)], fragments_per_frame=fragments, has_bot=offsets)
    image = make_dicom(pixels, bits_stored=12, syntax=syntax, PixelData=data)
    np.testing.assert_array_equal(read(image), full_scale(pixels, 12))


@pytest.mark.parametrize("table", ["basic", "empty", "extended"])
@pytest.mark.parametrize("index", [0, 1, 2])
def test_frames_of_a_stack(index, table, make_dicom):
    frames = np.stack([smooth(bits, (23, 17)) for bits in (10, 11, 12)])
    streams = [jpeg_lossless(1)(frame, 12) for frame in frames]
    tags = {"PixelData": encapsulate(streams, has_bot=table == "basic")}
    if table == "extended":
        tags["PixelData"], tags["ExtendedOffsetTable"], lengths = encapsulate_extended(streams)
        tags["ExtendedOffsetTableLengths"] = lengths
    data = make_dicom(frames, bits_stored=12, syntax=uid.JPEGLosslessSV1, **tags)
    np.testing.assert_array_equal(read(data, frame=index), full_scale(frames[index], 12))
    assert reason_of(data) == "not_one_frame"
    assert reason_of(data, frame=3) == "no_such_frame"


@pytest.mark.parametrize("offsets", [True, False], ids=["offset_table", "empty_offset_table"])
@pytest.mark.parametrize("name", ["jpeg_lossless_70", "jpeg_ls_80", "jpeg_2000_90"])
def test_a_frame_of_a_cut_stack_is_right_or_rejected(name, offsets, make_dicom):
    syntax, encode = ENCODERS[name]
    frames = np.stack([smooth(12, (23, 17)) // (1 + index) for index in range(3)])
    pixels = encapsulate([bytes(encode(frame, 12)) for frame in frames], has_bot=offsets)
    data = make_dicom(frames, bits_stored=12, syntax=syntax, PixelData=pixels)
    outcomes = set()
    for cut in range(len(data) - len(pixels), len(data), 11):
        for index, frame in enumerate(frames):
            try:
                seen = read(data[:cut], frame=index)
            except UnusableImage:
                outcomes.add("rejected")
                continue
            outcomes.add("right")
            np.testing.assert_array_equal(seen, full_scale(frame, 12))
    assert outcomes == {"right", "rejected"}


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_frames_of_an_uncompressed_stack(kind, syntax, make_dicom):
    bits = 8 * np.dtype(kind).itemsize
    frames = np.random.default_rng(0).integers(0, 2**bits, (3, 7, 6)).astype(kind)
    data = make_dicom(frames, bits_stored=bits, syntax=syntax)
    image = pydicom.dcmread(io.BytesIO(data))
    image["PixelData"].VR = "OW" if bits == 16 else "OB"
    for index in range(3):
        np.testing.assert_array_equal(
            read(data, frame=index), full_scale(image.pixel_array[index], bits)
        )


@pytest.mark.parametrize("columns", [6, 7], ids=["even", "odd"])
def test_eight_bits_in_big_endian_words(columns, make_dicom):
    pixels = np.random.default_rng(0).integers(0, 256, (7, columns)).astype(np.uint8)
    words = np.append(pixels.ravel(), np.zeros(pixels.size % 2, np.uint8)).view("<u2")
    data = make_dicom(
        pixels, bits_stored=8, syntax=uid.ExplicitVRBigEndian,
        PixelData=words.astype(">u2").tobytes(),
    )  # fmt: skip
    data = data.replace(b"\x7f\xe0\x00\x10OB", b"\x7f\xe0\x00\x10OW")
    image = pydicom.dcmread(io.BytesIO(data))
    np.testing.assert_array_equal(image.pixel_array, pixels)
    np.testing.assert_array_equal(read(data), full_scale(pixels, 8))


def test_one_frame_of_real_stacks_equals_pydicom(shared_data):
    for name, frame in (("multiframe_mr_10x64.dcm", 7), ("mg_tomo_j2k90_4frames_128.dcm", 2)):
        path = shared_data / "dicom" / name
        image = pydicom.dcmread(path)
        stored = image.pixel_array[frame]
        wanted = full_scale(stored, image.BitsStored)
        if "PixelPaddingValue" in image:
            wanted[stored <= image.PixelPaddingRangeLimit] = 0
        pixels = decode.read_image(path, options=Options(max_pixels=LIMIT, frame=frame))
        np.testing.assert_array_equal(pixels, wanted)


STREAMS = {
    **{name: (syntax, 12, encode) for name, (syntax, encode) in ENCODERS.items()},
    "jpeg_baseline_50": (uid.JPEGBaseline8Bit, 8, lambda p, _: LOSSY["jpeg_baseline_50"][2](p)),
    "jpeg_extended_51": (
        uid.JPEGExtended12Bit, 12, lambda p, _: imagecodecs.jpeg8_encode(
            p, level=95, bitspersample=12
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("ending", [b"", b"\xff\xd9"], ids=["cut", "cut_and_closed"])
@pytest.mark.parametrize("fraction", [0.14, 0.5, 0.9])
@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_with_a_part_of_its_pixels_is_rejected(name, fraction, ending, make_dicom):
    """Its DICOM file is whole. libjpeg and OpenJPH would fill the rest, without an error."""
    syntax, bits, encode = STREAMS[name]
    pixels = smooth(bits)
    stream = bytes(encode(pixels, bits))
    stream = stream[: int(fraction * len(stream))].rstrip(b"\xff") + ending
    data = image_of(make_dicom, pixels, [stream], syntax, bits=bits)
    assert reason_of(data) in ("truncated", "damaged_pixels")


@pytest.mark.parametrize("name", [name for name in STREAMS if name.startswith("jpeg_lossless")])
def test_a_lossless_stream_cut_in_its_last_row(name, make_dicom):
    syntax, bits, encode = STREAMS[name]
    pixels = smooth(bits)
    stream = bytes(encode(pixels, bits))
    end = stream.rindex(b"\xff\xd9")
    for missing in (2, 5, 20):
        cut = stream[: end - missing].rstrip(b"\xff") + stream[end:]
        assert reason_of(image_of(make_dicom, pixels, [cut], syntax, bits=bits)) == "truncated"


def test_a_black_lower_part_is_no_missing_part(make_dicom):
    """Rows that look like libjpeg's filling, but were stored so."""
    for bits, name in ((12, "jpeg_lossless_57"), (12, "jpeg_lossless_70"), (8, "jpeg_baseline_50")):
        syntax, _, encode = STREAMS[name]
        pixels = smooth(bits)
        pixels[30:] = 0
        data = image_of(make_dicom, pixels, [encode(pixels, bits)], syntax, bits=bits)
        assert not read(data)[45:].any()


def test_a_image_that_pydicom_reads_as_an_empty_data_set(shared_data):
    """Compressed pixels without their end: no error from pydicom, and nothing in it."""
    data = (shared_data / "dicom" / "j2k90_dx_mono1_966_fixed.dcm").read_bytes()[:600_000]
    assert len(pydicom.dcmread(io.BytesIO(data))) == 0
    assert reason_of(data) == "truncated"


def test_a_real_image_with_14_percent_of_its_pixels(shared_data):
    path = shared_data / "dicom" / "jpegLL70_cr_10bit_2140x1760.dcm"
    image = pydicom.dcmread(path)
    (whole,) = pydicom.encaps.generate_frames(image.PixelData, number_of_frames=1)
    cut = whole[: int(0.14 * len(whole))].rstrip(b"\xff") + b"\xff\xd9"
    assert imagecodecs.jpeg8_decode(cut).shape == (2140, 1760)  # a full image, says libjpeg
    image.PixelData = encapsulate([cut])
    stream = io.BytesIO()
    image.save_as(stream)
    assert reason_of(stream.getvalue()) == "truncated"


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((61, 48), "the stream says 61x48, the header 61x47"),
        ((60_000, 60_000), "truncated|damaged_pixels"),
    ],
    ids=["a_column_more", "gigabytes"],
)
@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_of_another_size_is_rejected_unseen(name, size, message, make_dicom):
    """A few bytes that claim 60000 x 60000 pixels take no memory."""
    syntax, bits, encode = STREAMS[name]
    pixels = smooth(bits)
    stream = bytearray(encode(pixels, bits))
    if stream[:4] == b"\xff\x4f\xff\x51":
        stream[8:16] = struct.pack(">II", size[1], size[0])
        stream[24:32] = struct.pack(">II", size[1], size[0])  # one tile
    else:
        at = stream.index(struct.pack(">HH", 61, 47))
        stream[at : at + 4] = struct.pack(">HH", *size)
    data = image_of(make_dicom, pixels, [stream], syntax, bits=bits)
    with pytest.raises(UnusableImage, match=message):
        read(data)


def test_colour_in_the_stream_of_a_grey_image(make_dicom):
    colour = np.random.default_rng(0).integers(0, 256, (61, 47, 3)).astype(np.uint8)
    for syntax, stream in (
        (uid.JPEGBaseline8Bit, imagecodecs.jpeg8_encode(colour)),
        (uid.JPEG2000Lossless, jpeg2000(colour, 8)),
    ):
        assert reason_of(image_of(make_dicom, smooth(8), [stream], syntax, bits=8)) == (
            "not_greyscale"
        )


def test_jpeg_2000_wrapped_in_a_jp2_file(make_dicom):
    pixels = smooth(12)
    stream = imagecodecs.jpeg2k_encode(
        pixels, level=0, codecformat="JP2", reversible=True, bitspersample=12
    )
    assert bytes(stream[4:8]) == b"jP  "
    data = image_of(make_dicom, pixels, [stream], uid.JPEG2000Lossless, bits=12)
    np.testing.assert_array_equal(read(data), full_scale(pixels, 12))


def test_high_bit(make_dicom):
    """Twelve bits stored in bits 4 to 15 of each word (allowed until 2011)."""
    pixels = smooth(12)
    for data in (
        make_dicom(pixels << 4 | 9, bits_stored=12, HighBit=15),
        make_dicom(pixels << 4 | 9, bits_stored=12, HighBit=15, rle=True),
    ):
        np.testing.assert_array_equal(read(data), full_scale(pixels, 12))
    stream = jpeg_lossless(1)(pixels << 4, 16)
    data = image_of(make_dicom, pixels, [stream], uid.JPEGLosslessSV1, bits=12, HighBit=15)
    assert reason_of(data) == "unsupported_bits"
    assert reason_of(make_dicom(pixels, bits_stored=12, HighBit=10)) == "unsupported_bits"
    assert reason_of(make_dicom(pixels, bits_stored=12, HighBit=16)) == "unsupported_bits"


def test_a_deflated_bomb_is_not_inflated(make_dicom):
    data = make_dicom(np.zeros((4000, 4000), np.uint16), syntax=uid.DeflatedExplicitVRLittleEndian)
    assert len(data) < 40_000
    with pytest.raises(UnusableImage, match="too_large: the file inflates to more than"):
        decode.decode(data, options=Options(max_pixels=10_000))


def test_rle_segments_longer_than_the_image(make_dicom):
    """A segment may unpack to 64 times its size; no more than the image's is taken."""
    data = make_dicom(np.zeros((300, 300), np.uint8), rle=True, bits_stored=8, Rows=2)
    assert reason_of(data) == "damaged_pixels"


@pytest.mark.parametrize("stated", [None, 1, 2], ids=["absent", "one", "two"])
@pytest.mark.parametrize("way", ["offsets", "no_offsets", "one_fragment"])
@pytest.mark.parametrize("name", ["jpeg_lossless_70", "jpeg_ls_80", "jpeg_2000_90"])
def test_more_frames_in_a_stream_than_in_the_header(name, way, stated, make_dicom):
    syntax, encode = ENCODERS[name]
    coded = [bytes(encode(smooth(12), 12)) for _ in range(3)]
    coded = [stream + b"\0" * (len(stream) % 2) for stream in coded]
    if way == "one_fragment":
        coded = [b"".join(coded)]
    tags = {"PixelData": encapsulate(coded, has_bot=way == "offsets"), "NumberOfFrames": stated}
    data = make_dicom(np.stack([smooth(12)] * 3), bits_stored=12, syntax=syntax, **tags)
    assert reason_of(data) == "not_one_frame"
    if way != "one_fragment":
        assert reason_of(data, frame=0) == "not_one_frame"


@pytest.mark.parametrize("stated", [None, 1, 2], ids=["absent", "one", "two"])
@pytest.mark.parametrize("rle", [False, True], ids=["raw", "rle"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_more_frames_in_the_pixels_than_in_the_header(kind, rle, stated, make_dicom):
    frames = np.random.default_rng(0).integers(0, 200, (3, 7, 6)).astype(kind)
    data = make_dicom(frames, bits_stored=8 * frames.itemsize, rle=rle, NumberOfFrames=stated)
    assert reason_of(data) == reason_of(data, frame=0) == "not_one_frame"


@pytest.mark.parametrize("name", ["jpeg_lossless_70", "jpeg_2000_90"])
def test_polarity_goes_by_the_bits_of_the_stream(name, make_dicom):
    """MONOCHROME1 of 14 bits in 16 is the negative of its values within 14 bits; MONOCHROME2 is
    as pydicom has it."""
    pixels = smooth(14)
    syntax, encode = ENCODERS[name]
    how = {"bits": 16}
    stream = encode(pixels, 14)
    negative = image_of(make_dicom, pixels, [stream], syntax, photometric="MONOCHROME1", **how)
    np.testing.assert_array_equal(read(negative), full_scale(2**14 - 1 - pixels, 14))
    positive = image_of(make_dicom, pixels, [stream], syntax, **how)
    np.testing.assert_array_equal(read(positive), pixels)


def test_files_from_the_field(shared_cases):
    found = read((shared_cases / "mono1_14_in_16" / "j2k14in16_1.dcm").read_bytes())
    assert (found.min(), found.max()) == (5624, 65535)
    for path in (shared_cases / "three_frames").glob("*.dcm"):
        assert reason_of(path.read_bytes()) == "not_one_frame"


def low_band(pixels: np.ndarray, levels: int) -> np.ndarray:
    """The low band of the reversible 5/3 wavelet, by lifting as ITU-T T.800 F.4.8.1 has it."""

    def lift(rows: np.ndarray) -> np.ndarray:
        even, odd = rows[0::2], rows[1::2]
        after = np.concatenate([even[1:], even[-1:]])[: len(odd)]
        high = odd - ((even[: len(odd)] + after) >> 1)
        before, behind = np.concatenate([high[:1], high]), np.concatenate([high, high[-1:]])
        return even + ((before[: len(even)] + behind[: len(even)] + 2) >> 2)

    values = pixels.astype(np.int64)
    for _ in range(levels):
        values = lift(lift(values).T).T
    return values


@pytest.mark.parametrize("shape", [(161, 97), (160, 98), (163, 101)], ids=str)
@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("name", ["jpeg_2000_90", "htj2k_201"])
def test_a_wavelet_level_is_the_low_band(name, bits, shape, make_dicom):
    syntax, encode = ENCODERS[name]
    pixels = smooth(bits, shape)
    data = image_of(make_dicom, pixels, [encode(pixels, bits)], syntax, bits=bits)
    for levels in range(3):
        smallest = tuple(-(-side // 2**levels) for side in shape)
        got, native = read_low(data, smallest)
        assert (native.height, native.width) == shape
        wanted = np.clip(low_band(pixels, levels), 0, 2**bits - 1)
        np.testing.assert_array_equal(got, full_scale(wanted, bits))
    assert read_low(data, (smallest[0] + 1, 8))[0].shape[0] == -(-shape[0] // 2)


def read_low(data: bytes, at_least: tuple[int, int]) -> tuple[np.ndarray, ImageSize]:
    image = io.BytesIO(data)
    image.read_bytes = image.getvalue  # a file as `decode` wants it
    options = Options(max_pixels=LIMIT, at_least=ImageSize(*at_least))
    decoded = decode.open_image(image, options=options)
    return decoded.pixels, decoded.native


def test_what_is_decoded_whole_all_the_same(make_dicom):
    """Other compressions, samples with a sign, and padding, which would run into the image."""
    pixels = smooth(12)
    jpeg_ls, wavelet = (ENCODERS[name] for name in ("jpeg_ls_80", "jpeg_2000_90"))
    signed = (pixels.astype(np.int32) - 2048).astype(np.int16)
    stream = imagecodecs.jpeg2k_encode(signed, level=0, codecformat="J2K", reversible=True)
    for data in (
        image_of(make_dicom, pixels, [jpeg_ls[1](pixels, 12)], jpeg_ls[0], bits=12),
        image_of(make_dicom, signed, [stream], wavelet[0], bits=12, PixelRepresentation=1),
        image_of(
            *(make_dicom, pixels, [wavelet[1](pixels, 12)], wavelet[0]),
            bits=12,
            PixelPaddingValue=0,
        ),
        make_dicom(pixels, bits_stored=12),
    ):
        np.testing.assert_array_equal(read_low(data, (8, 8))[0], full_scale(pixels, 12))


@pytest.mark.parametrize("cut", [40, 400])
def test_a_cut_wavelet_is_rejected_at_any_level(cut, make_dicom):
    pixels = smooth(12)
    data = image_of(
        make_dicom, pixels, [jpeg2000(pixels, 12)[:-cut]], uid.JPEG2000Lossless, bits=12
    )
    with pytest.raises(UnusableImage):
        read_low(data, (8, 8))


def test_lossy_low_bands_are_near_the_mean(make_dicom):
    """The 9/7 wavelet: against a half-size area average by OpenCV."""
    syntax, bits, encode = LOSSY["jpeg_2000_91"]
    pixels = smooth(bits, (160, 98))
    data = image_of(make_dicom, pixels, [encode(pixels)], syntax, bits=bits)
    got, _ = read_low(data, (80, 49))
    average = cv2.resize(full_scale(pixels, bits), (49, 80), interpolation=cv2.INTER_AREA)
    assert got.shape == (80, 49)
    assert np.abs(got - average).mean() < 0.05 * 65535
