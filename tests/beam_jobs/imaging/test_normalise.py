"""Tests of contrast normalisation, against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage, stats

from beam_jobs.imaging import clean_and_crop, decode, enhance
from beam_jobs.imaging.unusable import UnusableImage

images = hnp.arrays(
    np.uint16, hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=14)
).filter(lambda image: len(np.unique(image[image > 0])) > 1)


@pytest.fixture(scope="module")
def cleaned(cbis_images) -> np.ndarray:
    path = sorted(cbis_images.glob("*/*.dcm"))[1]
    return np.ascontiguousarray(
        clean_and_crop.clean(decode.read_image(path, options=decode.Options(max_pixels=10**8)))[
            ::7, ::8
        ]
    )


def to_levels(normal: np.ndarray, span: float, darkest: int = 0) -> np.ndarray:
    """-span -> 0, 0 -> the middle, span -> 65535."""
    return np.rint(np.interp(normal, [-span, span], [0, 65535])).clip(darkest, 65535)


@pytest.mark.parametrize("span", [1.0, 3.0])
def test_global(span, cleaned):
    got = enhance.normalise_globally(cleaned, span=span)
    wanted = to_levels(stats.zscore(cleaned.astype(np.float64), axis=None), span)
    assert np.abs(got - wanted).max() <= 1
    inside = cleaned > 0
    got = enhance.normalise_globally(cleaned, span=span, breast=True)
    wanted = to_levels(stats.zscore(cleaned[inside].astype(np.float64)), span, darkest=1)
    assert np.abs(got[inside] - wanted).max() <= 1
    assert not got[~inside].any()
    assert got[inside].min() >= 1


def test_global_by_numbers():
    """Mean 4, deviation 2: one deviation below becomes a third of the lower half lighter."""
    got = enhance.normalise_globally(np.array([[2, 6], [2, 6]], np.uint16), span=2)
    assert got.tolist() == [[16384, 49151], [16384, 49151]]


@settings(deadline=None, max_examples=60)
@given(images, st.floats(0.5, 5), st.booleans())
def test_laws_of_global(pixels, span, breast):
    got = enhance.normalise_globally(pixels, span=span, breast=breast)
    assert got.shape == pixels.shape
    assert got.dtype == np.uint16
    order = np.argsort(pixels, axis=None)
    assert (np.diff(got.ravel()[order].astype(int)) >= 0).all()  # monotone
    mirrored = enhance.normalise_globally(pixels[::-1], span=span, breast=breast)
    np.testing.assert_array_equal(mirrored[::-1], got)
    assert not breast or ((got == 0) == (pixels == 0)).all()


def local_by_scipy(pixels: np.ndarray, sigma: float, inside: np.ndarray) -> np.ndarray:
    def blur(image: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(image, sigma, mode="mirror", truncate=4)

    exact, weight = pixels.astype(np.float64), blur(inside.astype(np.float64))
    centred = (exact - blur(exact * inside) / np.maximum(weight, 1e-6)) * inside
    deviation = np.sqrt(blur(centred**2) / np.maximum(weight, 1e-6))
    return centred / np.maximum(deviation, deviation[inside].mean())


@pytest.mark.parametrize("breast", [False, True], ids=["whole", "breast"])
@pytest.mark.parametrize("sigma", [2.0, 8.0])
def test_local(sigma, breast, cleaned):
    inside = cleaned > 0 if breast else np.ones(cleaned.shape, bool)
    got = enhance.normalise_locally(cleaned, sigma=sigma, span=3, breast=breast)
    wanted = to_levels(local_by_scipy(cleaned, sigma, inside), 3, darkest=int(breast)) * inside
    difference = np.abs(got - wanted)
    assert np.quantile(difference, 0.999) <= 30  # kernels are cut a pixel apart
    assert difference.max() <= 200


@settings(deadline=None, max_examples=60)
@given(images, st.floats(0.5, 4), st.booleans())
def test_laws_of_local(pixels, sigma, breast):
    got = enhance.normalise_locally(pixels, sigma=sigma, span=2, breast=breast)
    assert got.shape == pixels.shape
    assert got.dtype == np.uint16
    assert not breast or ((got == 0) == (pixels == 0)).all()
    mirrored = enhance.normalise_locally(pixels[:, ::-1], sigma=sigma, span=2, breast=breast)
    assert np.abs(mirrored[:, ::-1].astype(int) - got).max() <= 64


def test_local_of_a_flat_image_is_mid_grey():
    got = enhance.normalise_locally(np.full((20, 30), 9999, np.uint16), sigma=2, span=3)
    assert np.abs(got.astype(int) - 32768).max() <= 32  # float32


@pytest.mark.parametrize("value", [0, 5])
def test_one_grey_level(value):
    with pytest.raises(UnusableImage, match="one_grey_level"):
        enhance.normalise_globally(np.full((4, 5), value, np.uint16), span=3)


def test_all_black():
    for step in (
        lambda image: enhance.normalise_globally(image, span=3, breast=True),
        lambda image: enhance.normalise_locally(image, sigma=2, span=3, breast=True),
    ):
        with pytest.raises(UnusableImage, match="no_breast_found"):
            step(np.zeros((4, 5), np.uint16))
