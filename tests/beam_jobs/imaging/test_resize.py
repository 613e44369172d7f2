"""Tests of the padded resize: exact geometry, and means taken by hand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.transform import downscale_local_mean, resize

from beam_jobs.imaging import decode
from beam_jobs.imaging.resize import (
    resize_by_stretching,
    resize_with_cropping,
    resize_with_padding,
)
from records.image_size import ImageSize


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * width).integers(1, 65536, (height, width), np.uint16)


@pytest.mark.parametrize(
    ("shape", "size", "box"),
    [
        ((20, 10), (10, 10), (0, 10, 2, 7)),  # top, bottom, left, right of the image
        ((10, 20), (10, 10), (2, 7, 0, 10)),
        ((20, 10), (10, 5), (0, 10, 0, 5)),
        ((8, 8), (8, 13), (0, 8, 2, 10)),
        ((8, 8), (13, 8), (2, 10, 0, 8)),
        ((10, 10), (40, 30), (5, 35, 0, 30)),
        ((4680, 2576), (64, 64), (0, 64, 14, 49)),  # 64 * 2576 / 4680 = 35.2
        ((4680, 2576), (16, 8), (0, 15, 0, 8)),  # 8 * 4680 / 2576 = 14.53
        ((1, 5000), (8, 8), (3, 4, 0, 8)),
        ((5000, 1), (8, 8), (0, 8, 3, 4)),
        ((3, 1), (9, 12), (0, 9, 4, 7)),
    ],
    ids=str,
)
def test_geometry(shape, size, box):
    top, bottom, left, right = box
    wanted = np.zeros(size, np.uint16)
    wanted[top:bottom, left:right] = 40000
    got = resize_with_padding(np.full(shape, 40000, np.uint16), ImageSize(*size))
    assert got.dtype == np.uint16
    np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize(("factor", "error"), [(2, 0.5), (3, 0.5), (4, 1), (8, 1.5), (16, 2)])
def test_shrinking_averages_blocks(factor, error):
    """Each halving rounds once."""
    image = noise(6 * factor, 9 * factor)
    got = resize_with_padding(image, ImageSize(6, 9))
    wanted = downscale_local_mean(image.astype(np.float64), (factor, factor))
    assert np.abs(got - wanted).max() <= error


@pytest.mark.parametrize("size", [(1024, 662), (512, 331), (224, 145)], ids=str)
def test_shrinking_a_real_image_averages_areas(size, cbis_images):
    """Against OpenCV's area average in one go: closer than images differ from each other."""
    path = sorted(cbis_images.glob("*/*.dcm"))[3]
    image = decode.read_image(path, options=decode.Options(max_pixels=10**8))
    wanted = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA).astype(int)
    error = np.abs(resize_by_stretching(image, ImageSize(*size)) - wanted)
    assert error.mean() < 0.001 * 65535
    assert np.quantile(error, 0.99) < 0.01 * 65535


@given(
    shape=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    sizes=st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=4),
)
def test_halves_shared_among_sizes_change_nothing(shape, sizes):
    image = noise(*shape)
    halves: list[np.ndarray] = []
    for size in sizes:
        alone = resize_by_stretching(image, ImageSize(*size))
        np.testing.assert_array_equal(
            resize_by_stretching(image, ImageSize(*size), halves=halves), alone
        )
        assert alone.shape == size
        assert image.min() <= alone.min() <= alone.max() <= image.max()


def test_block_means_by_hand():
    image = np.array([[0, 10, 100, 200], [20, 30, 300, 400]], np.uint16)
    image = np.kron(image, np.ones((4, 4), np.uint16))  # every block of 8x8 averages four values
    got = resize_with_padding(image, ImageSize(8, 8))
    wanted = np.zeros((8, 8))
    wanted[2:6] = downscale_local_mean(image.astype(np.float64), (2, 2))
    np.testing.assert_array_equal(got, wanted)
    assert got[2].tolist() == [0, 0, 10, 10, 100, 100, 200, 200]


def test_a_fractional_shrink_weighs_pixels_by_their_area():
    got = resize_with_padding(
        np.tile(np.array([[0, 300, 900]], np.uint16), (3, 1)), ImageSize(2, 2)
    )
    # 1.5 columns each: (0 + 300 / 2) / 1.5 and (300 / 2 + 900) / 1.5
    np.testing.assert_array_equal(got, [[100, 700], [100, 700]])


def test_growing_is_linear():
    image = np.tile(np.array([[100, 300]], np.uint16), (2, 1))
    got = resize_with_padding(image, ImageSize(4, 4))
    np.testing.assert_array_equal(got, np.tile([100, 150, 250, 300], (4, 1)))


def test_the_same_size_is_the_same_image():
    image = noise(12, 9)
    np.testing.assert_array_equal(resize_with_padding(image, ImageSize(12, 9)), image)


sides = st.integers(1, 90)


@settings(deadline=None, max_examples=200)
@given(height=sides, width=sides, target_height=st.integers(8, 60), target_width=st.integers(8, 60))
def test_laws(height, width, target_height, target_width):
    image = noise(height, width)
    image[image < 1000] = 1000
    got = resize_with_padding(image, ImageSize(target_height, target_width))
    assert got.shape == (target_height, target_width)
    inside = np.argwhere(got)
    (top, left), (bottom, right) = inside.min(0), inside.max(0) + 1
    # one side is filled, the other within half a pixel of the aspect (at least one pixel)
    assert (bottom - top, right - left)[target_width * height < target_height * width] == (
        (target_height, target_width)[target_width * height < target_height * width]
    )
    scale = min(target_height / height, target_width / width)
    assert abs((bottom - top) - max(height * scale, 1)) <= 0.5 + 1e-9
    assert abs((right - left) - max(width * scale, 1)) <= 0.5 + 1e-9
    # centred, an odd pixel to the right and below
    assert target_height - bottom - top in (0, 1)
    assert target_width - right - left in (0, 1)
    # black around, and nothing darker or brighter than the image inside
    assert not got[:top].any()
    assert not got[bottom:].any()
    assert not got[:, :left].any()
    assert not got[:, right:].any()
    assert got[top:bottom, left:right].min() >= image.min()
    assert got.max() <= image.max()


def test_mean_of_a_real_image_is_kept(cbis_images):
    from beam_jobs.imaging import decode

    image = decode.read_image(
        sorted(cbis_images.glob("*/*.dcm"))[0], options=decode.Options(max_pixels=100_000_000)
    )
    height, width = 512, round(512 * image.shape[1] / image.shape[0])
    got = resize_with_padding(image, ImageSize(512, 512))
    left = (512 - width) // 2
    assert not got[:, :left].any()
    assert got[:, left : left + width].mean() == pytest.approx(image.mean(), rel=1e-3)
    assert got.shape[0] == height


@pytest.mark.parametrize("shape", [(24, 30), (7, 90), (90, 7), (5, 5)], ids=str)
def test_stretching_against_scikit_image(shape):
    """Growing is bilinear with pixel centres, each axis for itself."""
    image = noise(5, 6)
    got = resize_by_stretching(image, ImageSize(*shape))
    grown = tuple(map(max, image.shape, shape))
    if grown == shape:
        wanted = resize(image.astype(float), shape, order=1, mode="edge", anti_aliasing=False)
        assert np.abs(got - wanted).max() <= 40  # weights of 11 bits
    assert got.shape == shape
    assert image.min() <= got.min() <= got.max() <= image.max()


def test_stretching_shrinks_one_axis_and_grows_the_other():
    image = noise(60, 8)
    got = resize_by_stretching(image, ImageSize(6, 8))
    wanted = downscale_local_mean(image.astype(float), (10, 1))
    assert np.abs(got - wanted).max() <= 0.5
    both = resize_by_stretching(image, ImageSize(6, 24))
    wanted = resize(np.rint(wanted), (6, 24), order=1, mode="edge", anti_aliasing=False)
    assert np.abs(both - wanted).max() <= 40


@pytest.mark.parametrize(
    ("shape", "size", "kept"),
    [
        ((40, 20), (10, 10), (slice(20, 40), slice(None))),
        ((20, 40), (10, 10), (slice(None), slice(20, 40))),
        ((40, 20), (20, 10), (slice(None), slice(None))),
    ],
    ids=str,
)
def test_cropping_keeps_the_bright_end(shape, size, kept):
    image = noise(*shape) // 8
    image[shape[0] // 2 :, shape[1] // 2 :] += 50000
    got = resize_with_cropping(image, ImageSize(*size))
    wanted = downscale_local_mean(image[kept].astype(float), (2, 2))
    assert np.abs(got - wanted).max() <= 0.5


def test_cropping_an_even_image_keeps_the_middle():
    image = np.full((30, 90), 700, np.uint16)
    image[:, 30:60] = 701  # and now the brightest part is the middle one
    assert (resize_with_cropping(image, ImageSize(30, 30)) == 701).all()
    image = np.tile(np.arange(1, 31, dtype=np.uint16)[:, None], (1, 91))
    np.testing.assert_array_equal(resize_with_cropping(image, ImageSize(30, 30)), image[:, :30])


def test_cropping_keeps_the_aspect(cbis_images):
    image = decode.read_image(
        sorted(cbis_images.glob("*/*.dcm"))[0], options=decode.Options(max_pixels=10**8)
    )
    image = image[: 16 * (image.shape[0] // 16), : 16 * (image.shape[1] // 16)]
    size = ImageSize(image.shape[0] // 16, image.shape[1] // 32)
    got = resize_with_cropping(image, size).astype(float)
    whole = downscale_local_mean(image.astype(float), (16, 16))
    starts = range(whole.shape[1] - size.width + 1)
    errors = [np.abs(got - whole[:, start : start + size.width]).mean() for start in starts]
    best = int(np.argmin(errors))
    assert errors[best] < 0.1 * np.median(errors)  # it is a part of the image, not squeezed
    light = [whole[:, start : start + size.width].sum() for start in starts]
    assert light[best] >= 0.99 * max(light)


@settings(deadline=None, max_examples=60)
@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.integers(1, 30), st.integers(1, 30)),
)
def test_laws_of_stretching_and_cropping(shape, size):
    image = noise(*shape)
    for how in (resize_by_stretching, resize_with_cropping):
        got = how(image, ImageSize(*size))
        assert got.shape == size
        assert got.dtype == np.uint16
        assert image.min() <= got.min() <= got.max() <= image.max()
        assert (how(np.full(shape, 321, np.uint16), ImageSize(*size)) == 321).all()
