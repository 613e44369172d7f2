"""Tests of the enhancement, against SciPy and against the formulas written out."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from skimage.exposure import rescale_intensity

from beam_jobs.imaging import decode, enhance
from beam_jobs.imaging.unusable import UnusableImage

images = hnp.arrays(
    np.uint16,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12),
    elements=st.one_of(st.integers(0, 65535), st.sampled_from([0, 1, 65534, 65535])),
)


@pytest.fixture(scope="module")
def real_images(cbis_images) -> list[np.ndarray]:
    """Parts of two real images: background, skin line and tissue."""
    paths = sorted(cbis_images.glob("*/*.dcm"))
    images = [
        decode.read_image(path, options=decode.Options(max_pixels=100_000_000))
        for path in (paths[0], paths[6])
    ]
    return [image[::6, ::5] for image in images]


def blur_by_scipy(pixels: np.ndarray) -> np.ndarray:
    """Kernel 11: five pixels to either side, that is ten times sigma 0.5."""
    return ndimage.gaussian_filter(pixels.astype(np.float64), 0.5, mode="mirror", truncate=10)


def equalise_by_hand(pixels: np.ndarray) -> np.ndarray:
    """The authors' formula in exact fractions, ties to even."""
    values, counts = np.unique(pixels, return_counts=True)
    total, span, table = 0, max(pixels.size - 1, 1), {}
    lowest = int(counts[0])
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        total += count
        table[value] = round(Fraction((total - lowest) * 65535, span))
    return np.vectorize(table.__getitem__, otypes=[np.uint16])(pixels)


def stretch_by_hand(pixels: np.ndarray) -> np.ndarray:
    low, high = int(pixels.min()), int(pixels.max())
    return np.vectorize(
        lambda value: round(Fraction((int(value) - low) * 65535, high - low)), otypes=[np.uint16]
    )(pixels)


def test_blur_of_a_point():
    """The Gaussian itself: exp(-d**2 / (2 * 0.25)), normed over eleven pixels."""
    point = np.zeros((13, 15), np.uint16)
    point[6, 8] = 65535
    weights = np.exp(-2.0 * np.arange(-5, 6) ** 2)
    weights /= weights.sum()
    wanted = np.zeros((13, 15))
    wanted[1:12, 3:14] = 65535 * np.outer(weights, weights)
    got = enhance.blur_gaussian(point, kernel=11, sigma=0.5)
    assert got.dtype == np.uint16
    assert np.abs(got - wanted).max() <= 2


@settings(deadline=None, max_examples=100)
@given(images)
def test_blur_equals_scipy(pixels):
    got = enhance.blur_gaussian(pixels, kernel=11, sigma=0.5)
    assert np.abs(got - blur_by_scipy(pixels)).max() <= 3  # OpenCV's weights have 16 bits


def test_blur_mirrors_the_edge():
    """The border pixel itself is not repeated: 0 1 2 continues to the left with 1 2."""
    column = np.zeros((3, 8), np.uint16)
    column[:, 0] = 60000
    weights = np.exp(-2.0 * np.arange(-5, 6) ** 2)
    weights /= weights.sum()
    got = enhance.blur_gaussian(column, kernel=11, sigma=0.5)
    assert got[1, 0] == pytest.approx(60000 * weights[5], abs=2)
    assert got[1, 1] == pytest.approx(60000 * weights[6], abs=2)


@pytest.mark.parametrize("number", [0, 1])
def test_blur_of_a_real_image(number, real_images):
    image = real_images[number]
    got = enhance.blur_gaussian(image, kernel=11, sigma=0.5)
    assert np.abs(got - blur_by_scipy(image)).max() <= 2


@pytest.mark.parametrize(
    ("pixels", "wanted"),
    [
        ([[0, 0, 7], [7, 9, 65535]], [[0, 0, 26214], [26214, 39321, 52428]]),
        ([[5, 4, 3, 2, 1]], [[65535, 49151, 32768, 16384, 0]]),  # 49151.25, 32767.5, 16383.75
        ([[3, 3, 3]], [[0, 0, 0]]),
        ([[9]], [[0]]),
        ([[65535, 65535], [65535, 0]], [[65535, 65535], [65535, 0]]),
    ],
    ids=["copies", "ranks", "constant", "one_pixel", "two_levels"],
)
def test_equalise_by_numbers(pixels, wanted):
    got = enhance.equalise_histogram(np.array(pixels, np.uint16))
    assert got.dtype == np.uint16
    assert got.tolist() == wanted


@settings(deadline=None, max_examples=100)
@given(images)
def test_equalise_equals_the_formula(pixels):
    np.testing.assert_array_equal(enhance.equalise_histogram(pixels), equalise_by_hand(pixels))


@settings(deadline=None, max_examples=100)
@given(images)
def test_equalise_keeps_order(pixels):
    got = enhance.equalise_histogram(pixels).ravel().astype(int)
    order = np.argsort(pixels.ravel(), kind="stable")
    steps_in, steps_out = np.diff(pixels.ravel()[order].astype(int)), np.diff(got[order])
    assert (steps_out >= 0).all()
    assert (steps_out[steps_in == 0] == 0).all()
    assert (steps_out[steps_in > 0] > 0).all()


@pytest.mark.parametrize("number", [0, 1])
def test_equalise_a_real_image(number, real_images):
    image = real_images[number]
    np.testing.assert_array_equal(enhance.equalise_histogram(image), equalise_by_hand(image))


@pytest.mark.parametrize(
    ("pixels", "wanted"),
    [
        ([[10, 20, 30], [30, 20, 10]], [[0, 32768, 65535], [65535, 32768, 0]]),  # 32767.5
        ([[100, 101], [103, 100]], [[0, 21845], [65535, 0]]),
        ([[0, 65535, 7]], [[0, 65535, 7]]),
        ([[65534, 65535]], [[0, 65535]]),
    ],
    ids=["half", "thirds", "full_range", "neighbours"],
)
def test_stretch_by_numbers(pixels, wanted):
    got = enhance.stretch_range(np.array(pixels, np.uint16))
    assert got.dtype == np.uint16
    assert got.tolist() == wanted


@settings(deadline=None, max_examples=100)
@given(images)
def test_stretch_is_exact(pixels):
    if pixels.min() == pixels.max():
        with pytest.raises(UnusableImage, match="one_grey_level"):
            enhance.stretch_range(pixels)
    else:
        np.testing.assert_array_equal(enhance.stretch_range(pixels), stretch_by_hand(pixels))


def test_stretch_is_exact_for_every_value():
    pixels = np.arange(23029, 53989, dtype=np.uint16).reshape(80, -1)
    np.testing.assert_array_equal(enhance.stretch_range(pixels), stretch_by_hand(pixels))


@pytest.mark.parametrize("number", [0, 1])
def test_stretch_a_real_image(number, real_images):
    image = real_images[number] // 3 + 1000
    np.testing.assert_array_equal(enhance.stretch_range(image), stretch_by_hand(image))


def test_stretch_of_one_grey_level():
    with pytest.raises(UnusableImage, match="every pixel is 77 after the recipe") as caught:
        enhance.stretch_range(np.full((3, 5), 77, np.uint16))
    assert caught.value.reason == "one_grey_level"


@pytest.mark.parametrize("step", [enhance.equalise_histogram, enhance.stretch_range])
def test_steps_leave_their_input_alone(step):
    pixels = np.array([[4, 9], [700, 12]], np.uint16)
    step(pixels)
    assert pixels.tolist() == [[4, 9], [700, 12]]


breasts = images.filter(lambda image: image.any())


@settings(deadline=None, max_examples=100)
@given(breasts)
def test_equalise_the_breast_alone(pixels):
    """The formula over the pixels that are not black, on 1..65535."""
    got = enhance.equalise_histogram(pixels, breast=True)
    inside = pixels > 0
    values, inverse, counts = np.unique(pixels[inside], return_inverse=True, return_counts=True)
    ranks, span = np.cumsum(counts) - counts[0], max(int(inside.sum()) - 1, 1)
    table = [1 + round(Fraction(int(rank) * 65534, span)) for rank in ranks]
    assert got[inside].tolist() == [table[index] for index in inverse.ravel()]
    assert not got[~inside].any()
    assert values.size == len(table)


def test_equalise_the_breast_of_a_black_image():
    with pytest.raises(UnusableImage, match="no_breast_found"):
        enhance.equalise_histogram(np.zeros((3, 4), np.uint16), breast=True)


def percentiles_by_numpy(pixels, low, high, darkest):
    counted = pixels[pixels > 0] if darkest else pixels
    bottom, top = np.percentile(counted, [low, high], method="inverted_cdf").astype(float)
    wanted = np.rint(np.clip((pixels - bottom) / (top - bottom), 0, 1) * (65535 - darkest))
    return np.where((pixels == 0) & bool(darkest), 0, wanted + darkest)


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize(("low", "high"), [(1, 99), (0, 100), (5.5, 97.25)])
@pytest.mark.parametrize("breast", [False, True], ids=["whole", "breast"])
def test_percentiles_of_a_real_image(number, low, high, breast, real_images):
    image = np.where(real_images[number] < 9000, 0, real_images[number])
    got = enhance.stretch_percentiles(image, low=low, high=high, breast=breast)
    assert got.dtype == np.uint16
    np.testing.assert_array_equal(got, percentiles_by_numpy(image, low, high, int(breast)))


def test_percentiles_equal_scikit_image(real_images):
    image = real_images[0]
    low, high = np.percentile(image, [2, 98], method="inverted_cdf")
    wanted = rescale_intensity(image.astype(float), in_range=(low, high), out_range=(0, 65535))
    got = enhance.stretch_percentiles(image, low=2, high=98)
    np.testing.assert_array_equal(got, np.rint(wanted))


@settings(deadline=None, max_examples=100)
@given(images, st.floats(0, 49), st.floats(51, 100), st.booleans())
def test_laws_of_percentiles(pixels, low, high, breast):
    try:
        got = enhance.stretch_percentiles(pixels, low=low, high=high, breast=breast)
    except UnusableImage:  # the tests below
        return
    order = np.argsort(pixels, axis=None)
    assert (np.diff(got.ravel()[order].astype(int)) >= 0).all()
    assert got.max() == 65535
    assert not breast or ((got == 0) == (pixels == 0)).all()


def test_percentiles_that_coincide():
    with pytest.raises(UnusableImage, match="one_grey_level: percentiles 1 and 99 are both 7"):
        enhance.stretch_percentiles(np.full((4, 4), 7, np.uint16), low=1, high=99)


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_round_levels(bits):
    """Every level there is, against exact fractions; twice is once; 8 bits are multiples of 257."""
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    got = enhance.round_levels(levels, bits=bits)
    steps = 2**bits - 1
    wanted = [
        round(Fraction(round(Fraction(v * steps, 65535)) * 65535, steps)) for v in range(65536)
    ]
    assert got.ravel().tolist() == wanted
    assert len(np.unique(got)) == 2**bits
    np.testing.assert_array_equal(enhance.round_levels(got, bits=bits), got)
    assert bits != 8 or not (got % 257).any()
