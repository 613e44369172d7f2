"""Tests of the padded resize: exact geometry, and means taken by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.transform import downscale_local_mean

from beam_jobs.imaging.resize import resize_with_padding
from flags.size import ImageSize


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * width).integers(1, 65536, (height, width), np.uint16)


@pytest.mark.parametrize(
    ("shape", "size", "box"),
    [
        ((20, 10), (10, 10), (0, 10, 2, 7)),  # top, bottom, left, right of the film
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


@pytest.mark.parametrize("factor", [(2, 2), (3, 3), (4, 4), (7, 7)], ids=str)
def test_shrinking_averages_blocks(factor):
    film = noise(6 * factor[0], 9 * factor[1])
    got = resize_with_padding(film, ImageSize(6, 9))
    wanted = downscale_local_mean(film.astype(np.float64), factor)
    assert np.abs(got - wanted).max() <= 0.5


def test_block_means_by_hand():
    film = np.array([[0, 10, 100, 200], [20, 30, 300, 400]], np.uint16)
    film = np.kron(film, np.ones((4, 4), np.uint16))  # every block of 8x8 averages four values
    got = resize_with_padding(film, ImageSize(8, 8))
    wanted = np.zeros((8, 8))
    wanted[2:6] = downscale_local_mean(film.astype(np.float64), (2, 2))
    np.testing.assert_array_equal(got, wanted)
    assert got[2].tolist() == [0, 0, 10, 10, 100, 100, 200, 200]


def test_a_fractional_shrink_weighs_pixels_by_their_area():
    got = resize_with_padding(
        np.tile(np.array([[0, 300, 900]], np.uint16), (3, 1)), ImageSize(2, 2)
    )
    # 1.5 columns each: (0 + 300 / 2) / 1.5 and (300 / 2 + 900) / 1.5
    np.testing.assert_array_equal(got, [[100, 700], [100, 700]])


def test_growing_is_linear():
    film = np.tile(np.array([[100, 300]], np.uint16), (2, 1))
    got = resize_with_padding(film, ImageSize(4, 4))
    np.testing.assert_array_equal(got, np.tile([100, 150, 250, 300], (4, 1)))


def test_the_same_size_is_the_same_film():
    film = noise(12, 9)
    np.testing.assert_array_equal(resize_with_padding(film, ImageSize(12, 9)), film)


sides = st.integers(1, 90)


@settings(deadline=None, max_examples=200)
@given(height=sides, width=sides, target_height=st.integers(8, 60), target_width=st.integers(8, 60))
def test_laws(height, width, target_height, target_width):
    film = noise(height, width)
    film[film < 1000] = 1000
    got = resize_with_padding(film, ImageSize(target_height, target_width))
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
    # black around, and nothing darker or brighter than the film inside
    assert not got[:top].any()
    assert not got[bottom:].any()
    assert not got[:, :left].any()
    assert not got[:, right:].any()
    assert got[top:bottom, left:right].min() >= film.min()
    assert got.max() <= film.max()


def test_mean_of_a_real_film_is_kept(cbis_films):
    from beam_jobs.imaging import decode

    film = decode.read_film(
        sorted(cbis_films.glob("*/*.dcm"))[0], options=decode.Options(max_pixels=100_000_000)
    )
    height, width = 512, round(512 * film.shape[1] / film.shape[0])
    got = resize_with_padding(film, ImageSize(512, 512))
    left = (512 - width) // 2
    assert not got[:, :left].any()
    assert got[:, left : left + width].mean() == pytest.approx(film.mean(), rel=1e-3)
    assert got.shape[0] == height
