"""Tests of images that are no DICOM: PNG, JPEG and TIFF (PGM is in test_decode.py)."""

from __future__ import annotations

import io
import re
import struct
import zlib

import cv2
import imagecodecs
import numpy as np
import PIL.Image
import pytest
import tifffile

from beam_jobs.imaging import decode
from beam_jobs.imaging.decode import Options
from beam_jobs.imaging.unusable import UnusableImage

GREY8 = np.random.default_rng(0).integers(0, 256, (31, 22)).astype(np.uint8)
GREY16 = np.random.default_rng(1).integers(0, 65536, (31, 22)).astype(np.uint16)
COLOUR = np.random.default_rng(2).integers(0, 256, (31, 22, 3)).astype(np.uint8)


def read(data: bytes, max_pixels: int = 100_000, frame: int | None = None) -> np.ndarray:
    return decode.decode(data, options=Options(max_pixels=max_pixels, frame=frame))


def reason_of(data: bytes, **options) -> str:
    with pytest.raises(UnusableImage) as caught:
        read(data, **options)
    return caught.value.reason


def grey_as_colour(pixels: np.ndarray) -> np.ndarray:
    return np.repeat(pixels[:, :, np.newaxis], 3, axis=2)


def encode(kind: str, pixels: np.ndarray, *settings: int) -> bytes:
    return cv2.imencode(kind, pixels, settings)[1].tobytes()


def tiff(pixels: np.ndarray, **how) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, **{"photometric": "minisblack", "metadata": None, **how})
    return stream.getvalue()


def pillow(pixels: np.ndarray, kind: str, mode: str | None = None, **how) -> bytes:
    stream = io.BytesIO()
    image = PIL.Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(stream, kind, **how)
    return stream.getvalue()


LOSSLESS = {
    "png": lambda pixels: encode(".png", pixels),
    "tiff": lambda pixels: encode(".tiff", pixels, cv2.IMWRITE_TIFF_COMPRESSION, 1),
    "tiff_strips": lambda pixels: tiff(pixels, rowsperstrip=7),
    "tiff_big_endian": lambda pixels: tiff(pixels, byteorder=">"),
    "tiff_tiles": lambda pixels: tiff(pixels, tile=(16, 16)),
    "tiff_lzw": lambda pixels: encode(".tiff", pixels, cv2.IMWRITE_TIFF_COMPRESSION, 5),
    "tiff_deflate": lambda pixels: encode(".tiff", pixels, cv2.IMWRITE_TIFF_COMPRESSION, 8),
    "tiff_packbits": lambda pixels: encode(".tiff", pixels, cv2.IMWRITE_TIFF_COMPRESSION, 32773),
}


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_files_give_what_went_in(name):
    np.testing.assert_array_equal(read(LOSSLESS[name](GREY8)), GREY8 * np.uint16(257))
    np.testing.assert_array_equal(read(LOSSLESS[name](GREY16)), GREY16)


@pytest.mark.parametrize("name", ["png", "tiff"])
def test_three_equal_channels_are_grey(name):
    np.testing.assert_array_equal(read(LOSSLESS[name](grey_as_colour(GREY16))), GREY16)
    nearly = grey_as_colour(GREY16)
    nearly[30, 21, 2] ^= 1
    assert reason_of(LOSSLESS[name](nearly)) == "not_greyscale"


@pytest.mark.parametrize(
    "settings", [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 2)],
    ids=["baseline", "progressive", "restarts"],
)  # fmt: skip
@pytest.mark.parametrize("colour", [False, True], ids=["grey", "three_equal_channels"])
def test_jpeg_equals_opencv(colour, settings):
    data = encode(".jpg", grey_as_colour(GREY8) if colour else GREY8, *settings)
    wanted = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_array_equal(read(data), wanted * np.uint16(257))


@pytest.mark.parametrize(
    "data",
    [
        encode(".jpg", COLOUR),
        encode(".png", COLOUR),
        encode(".png", np.dstack([COLOUR, GREY8])),
        pillow(COLOUR, "PNG", "P"),
        pillow(GREY8, "PNG", "LA"),
        pillow(GREY8, "PNG", transparency=3),
        pillow(COLOUR, "TIFF", "P"),
        pillow(COLOUR, "TIFF", "CMYK"),
        pillow(COLOUR, "JPEG", "CMYK"),
        pillow(COLOUR, "TIFF", "YCbCr"),
        tiff(np.dstack([GREY8, GREY8]), extrasamples=["unassalpha"], planarconfig="contig"),
    ],
    ids=["jpeg", "png", "png_alpha", "png_palette", "png_grey_alpha", "png_transparent",
         "tiff_palette", "tiff_cmyk", "jpeg_cmyk", "tiff_ycbcr", "tiff_alpha"],
)  # fmt: skip
def test_what_is_not_grey(data):
    assert reason_of(data) == "not_greyscale"


@pytest.mark.parametrize(
    "data",
    [
        pillow(GREY8, "PNG", "1"),
        pillow(GREY8, "TIFF", "1"),
        tiff(GREY8.astype(np.int16)),
        tiff(GREY8.astype(np.float32)),
        tiff(GREY8.astype(np.uint32)),
        imagecodecs.jpeg8_encode(GREY16 >> 4, bitspersample=12),
    ],
    ids=["png_1", "tiff_1", "tiff_signed", "tiff_float", "tiff_32", "jpeg_12"],
)
def test_other_bits(data):
    assert reason_of(data) == "unsupported_bits"


def test_tiff_white_is_zero():
    inverted = tiff(GREY16, photometric="miniswhite")
    np.testing.assert_array_equal(read(inverted), 65535 - GREY16)


def test_pages_of_a_tiff():
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        for shift in range(3):
            writer.write(GREY16 >> shift, photometric="minisblack", metadata=None)
    data = stream.getvalue()
    for page in range(3):
        np.testing.assert_array_equal(read(data, frame=page), GREY16 >> page)
    assert reason_of(data) == "not_one_frame"
    assert reason_of(data, frame=3) == "no_such_frame"


def test_tiff_that_is_turned_or_in_a_codec_of_its_own():
    turned = tiff(GREY8, extratags=[(274, 3, 1, 6, True)])
    assert reason_of(turned) == "unsupported_layout"
    assert reason_of(pillow(GREY8, "TIFF", compression="jpeg")) == "unsupported_compression"


def test_a_loop_of_tiff_pages():
    data = bytearray(encode(".tiff", GREY8, cv2.IMWRITE_TIFF_COMPRESSION, 1))
    (first,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * count, first)
    assert reason_of(bytes(data)) == "damaged_header"


FILES = {
    **{name: make(GREY16) for name, make in LOSSLESS.items()},
    "jpeg": encode(".jpg", GREY8),
    "jpeg_progressive": encode(".jpg", GREY8, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
}


@pytest.mark.parametrize("name", FILES)
def test_no_half_image_comes_out_of_a_cut_file(name):
    """OpenCV and libjpeg fill missing rows with grey."""
    data = FILES[name]
    whole = read(data)
    for length in range(0, len(data), 3):
        try:
            pixels = read(data[:length])
        except UnusableImage:
            continue
        np.testing.assert_array_equal(pixels, whole, err_msg=f"cut at {length}")
        assert length > len(data) - 600  # what OpenCV and tifffile write last is no pixel


JPEGS = {
    "baseline": lambda p: pillow(p, "JPEG", quality=90),
    "restarts": lambda p: pillow(p, "JPEG", quality=90, restart_marker_rows=1),
    "progressive": lambda p: pillow(p, "JPEG", quality=90, progressive=True),
    "three_channels": lambda p: pillow(np.stack([p] * 3, axis=-1), "JPEG", quality=90),
}


@pytest.mark.parametrize("name", JPEGS)
@pytest.mark.parametrize("size", [(40, 32), (43, 37)], ids=str)
def test_a_jpeg_cut_in_its_last_row_and_closed_again(name, size):
    """From one byte on: what comes out is the whole image, or nothing."""
    generator = np.random.default_rng(0)
    data = JPEGS[name](generator.integers(0, 256, size, dtype=np.uint8))
    whole, end = read(data), len(data) - 2
    for length in range(end - 400, end):
        try:
            pixels = read(data[:length].removesuffix(b"\xff") + data[end:])
        except UnusableImage:
            continue
        np.testing.assert_array_equal(pixels, whole, err_msg=f"cut at {length} of {end}")
        assert length > end - 8  # of the last byte nothing but its filling bits may be missing


def test_a_progressive_jpeg_without_its_last_scans():
    """Each scan that is there is whole, and so is the file; detail is missing."""
    data = JPEGS["progressive"](np.random.default_rng(0).integers(0, 256, (43, 37), dtype=np.uint8))
    starts = [match.start() for match in re.finditer(rb"\xff\xda", data)]
    assert len(starts) > 4
    for start in starts[1:]:
        assert cv2.imdecode(np.frombuffer(data[:start] + b"\xff\xd9", np.uint8), 0) is not None
        assert reason_of(data[:start] + b"\xff\xd9") == "truncated"


@pytest.mark.parametrize("name", FILES)
def test_max_pixels_is_inclusive(name):
    assert read(FILES[name], max_pixels=31 * 22).shape == (31, 22)
    assert reason_of(FILES[name], max_pixels=31 * 22 - 1) == "too_large"


def test_a_png_bomb_is_not_decoded():
    rows = zlib.compress(bytes(30_000_000))
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 16, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    assert reason_of(data, max_pixels=100_000_000) == "too_large"


def test_one_grey_level():
    assert reason_of(encode(".png", np.full((5, 4), 9, np.uint8))) == "one_grey_level"


def test_animated_png_is_not_one_frame():
    stream = io.BytesIO()
    image = PIL.Image.fromarray(GREY8)
    image.save(stream, "PNG", save_all=True, append_images=[PIL.Image.fromarray(255 - GREY8)])
    assert b"acTL" in stream.getvalue()
    assert reason_of(stream.getvalue()) == "not_one_frame"


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_exif_orientation(kind, order, orientation):
    exif = PIL.Image.Exif()
    exif.endian = order
    exif[0x010F] = "maker"  # stands before it
    exif[0x0112] = orientation
    stream = io.BytesIO()
    PIL.Image.fromarray(GREY8).save(stream, kind, exif=exif)
    assert PIL.Image.open(stream).getexif()[0x0112] == orientation
    if orientation == 1:
        assert read(stream.getvalue()).shape == GREY8.shape
    else:
        assert reason_of(stream.getvalue()) == "unsupported_layout"


def test_pgm_of_several_images():
    image = b"P5\n22 31\n%d\n" % 255 + GREY8.tobytes()
    np.testing.assert_array_equal(read(image + b"\n"), GREY8 * np.uint16(257))
    assert reason_of(image + b"\n" + image) == "not_one_frame"
