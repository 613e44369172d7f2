"""Tests of the noise filters, against SciPy and scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage, signal
from skimage.filters import unsharp_mask

from beam_jobs.imaging import decode, enhance

images = hnp.arrays(
    np.uint16,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=14),
    elements=st.one_of(st.integers(0, 65535), st.sampled_from([0, 1, 65534, 65535])),
)


@pytest.fixture(scope="module")
def real(cbis_images) -> np.ndarray:
    path = sorted(cbis_images.glob("*/*.dcm"))[1]
    return np.ascontiguousarray(
        decode.read_image(path, options=decode.Options(max_pixels=10**8))[::6, ::5]
    )


@pytest.mark.parametrize("kernel", [3, 5])
def test_median(kernel, real):
    got = enhance.take_median(real, kernel=kernel)
    np.testing.assert_array_equal(got, ndimage.median_filter(real, kernel, mode="nearest"))


@settings(deadline=None, max_examples=60)
@given(images, st.sampled_from([3, 5]))
def test_median_of_anything(pixels, kernel):
    got = enhance.take_median(pixels, kernel=kernel)
    np.testing.assert_array_equal(got, ndimage.median_filter(pixels, kernel, mode="nearest"))


def adaptive_by_scipy(pixels: np.ndarray, kernel: int) -> tuple[np.ndarray, float]:
    exact = pixels.astype(np.float64)
    mean = ndimage.uniform_filter(exact, kernel, mode="mirror")
    variance = ndimage.uniform_filter(exact**2, kernel, mode="mirror") - mean**2
    variance = np.maximum(variance, 0)
    noise = variance.mean()
    weight = np.divide(
        variance - noise, variance, out=np.zeros_like(variance), where=variance > noise
    )
    return np.rint(mean + weight * (exact - mean)), noise


@pytest.mark.parametrize("kernel", [3, 5, 9])
def test_adaptive_mean(kernel, real):
    got = enhance.average_adaptively(real, kernel=kernel)
    wanted, noise = adaptive_by_scipy(real, kernel)
    assert got.dtype == np.uint16
    assert np.abs(got - wanted).max() <= 1
    inner = (slice(kernel, -kernel),) * 2  # SciPy's own Wiener filter sees zeros beyond the edge
    wiener = signal.wiener(real.astype(np.float64), kernel, noise)
    assert np.abs(got - wiener)[inner].max() <= 1


@settings(deadline=None, max_examples=60)
@given(hnp.arrays(np.uint16, st.tuples(st.integers(5, 14), st.integers(5, 12))))
def test_adaptive_mean_stays_in_range(pixels):
    got = enhance.average_adaptively(pixels, kernel=3)
    assert got.min() >= ndimage.minimum_filter(pixels, 3, mode="mirror").min()
    assert got.max() <= ndimage.maximum_filter(pixels, 3, mode="mirror").max()
    mirrored = enhance.average_adaptively(pixels[:, ::-1], kernel=3)[:, ::-1]
    assert np.abs(mirrored.astype(int) - got).max() <= 1


def test_adaptive_mean_of_a_flat_image_and_an_edge():
    flat = np.full((9, 7), 777, np.uint16)
    np.testing.assert_array_equal(enhance.average_adaptively(flat, kernel=3), flat)
    edge = np.zeros((20, 30), np.uint16)
    edge[:, 15:] = 60000  # no noise but the edge itself, which stays steep
    got = enhance.average_adaptively(edge, kernel=3)
    assert got[:, :14].max() == 0
    assert got[:, 16:].min() == 60000
    assert got[10, 15] - got[10, 14] > 50000


@pytest.mark.parametrize(("sigma", "amount"), [(2.0, 1.0), (1.0, 0.5), (4.0, 3.0)])
def test_unsharp(sigma, amount, real):
    got = enhance.sharpen(real, sigma=sigma, amount=amount)
    wanted = unsharp_mask(real.astype(np.float64), sigma, amount, preserve_range=True)
    inner = (slice(int(5 * sigma), -int(5 * sigma)),) * 2  # edges are mirrored differently
    difference = np.abs(got - np.clip(wanted, 0, 65535))[inner]
    assert difference.max() <= 4 + 4 * amount  # kernels are cut at 4 sigma, weights have 16 bits


@settings(deadline=None, max_examples=60)
@given(images, st.floats(0.3, 3), st.floats(0, 5))
def test_laws_of_unsharp(pixels, sigma, amount):
    got = enhance.sharpen(pixels, sigma=sigma, amount=amount)
    assert got.shape == pixels.shape
    assert got.dtype == np.uint16
    np.testing.assert_array_equal(enhance.sharpen(pixels, sigma=sigma, amount=0), pixels)
    mirrored = enhance.sharpen(pixels[:, ::-1], sigma=sigma, amount=amount)[:, ::-1]
    assert np.abs(mirrored.astype(int) - got).max() <= 1 + amount
