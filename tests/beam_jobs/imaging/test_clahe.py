"""Tests of CLAHE: OpenCV's 8-bit variety where the two must agree, scikit-image in 16 bits."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.exposure import equalize_adapthist

from beam_jobs.imaging import clahe, decode


@pytest.fixture(scope="module")
def real(cbis_images) -> np.ndarray:
    path = sorted(cbis_images.glob("*/*.dcm"))[1]
    return cv2.resize(
        decode.read_image(path, options=decode.Options(max_pixels=10**8)),
        (240, 320),
        interpolation=cv2.INTER_AREA,
    )


@pytest.mark.parametrize(("clip", "tiles"), [(1.0, 8), (2.0, 8), (4.0, 5), (40.0, 2), (3.0, 1)])
@pytest.mark.parametrize("shape", [(320, 240), (313, 233)], ids=str)
def test_equals_opencv_on_eight_bits(clip, tiles, shape, real):
    """OpenCV rounds its maps to 8 bits, so the two differ by less than one of its levels."""
    eight = (real >> 8).astype(np.uint8)[: shape[0], : shape[1]]
    if (shape[0] % tiles == 0) != (shape[1] % tiles == 0):
        pytest.skip("OpenCV then adds a whole row or column of tiles that it does not need")
    wanted = cv2.createCLAHE(clip, (tiles, tiles)).apply(eight)
    got = clahe.equalise_adaptively(eight.astype(np.uint16) * 257, clip=clip, tiles=tiles)
    assert np.abs(got / 257 - wanted).max() <= 1.01


def test_looks_as_scikit_image_does(real):
    """Its limit and its tiles are others; the pictures agree all the same."""
    got = clahe.equalise_adaptively(real, clip=2.56, tiles=8)
    wanted = equalize_adapthist(real, (40, 30), clip_limit=0.01, nbins=256)
    assert np.corrcoef(got.ravel(), wanted.ravel())[0, 1] > 0.98


def test_levels_between_the_bins_survive(real):
    got = clahe.equalise_adaptively(real, clip=2, tiles=8)
    assert len(np.unique(got)) > 5_000


@pytest.mark.parametrize("size", [(224, 144), (1024, 656)])
def test_means_the_same_at_every_size(size, real):
    """The same image at another size gets the same contrast, which OpenCV's 16 bits do not give."""
    image = cv2.resize(real, size[::-1], interpolation=cv2.INTER_LINEAR)
    one = clahe.equalise_adaptively(image, clip=2, tiles=8)
    other = clahe.equalise_adaptively(real, clip=2, tiles=8)
    assert one.std() == pytest.approx(other.std(), rel=0.03)
    assert one.std() > 1.1 * image.std()


@settings(deadline=None, max_examples=60)
@given(
    hnp.arrays(np.uint16, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=20)),
    st.floats(1, 50),
    st.integers(1, 9),
)
def test_shape_and_range(pixels, clip, tiles):
    got = clahe.equalise_adaptively(pixels, clip=clip, tiles=tiles)
    assert got.shape == pixels.shape
    assert got.dtype == np.uint16


@settings(deadline=None, max_examples=40)
@given(hnp.arrays(np.uint16, (12, 18)), st.floats(1, 50))
def test_one_tile_is_monotone_and_mirrors(pixels, clip):
    got = clahe.equalise_adaptively(pixels, clip=clip, tiles=1)
    order = np.argsort(pixels, axis=None)
    assert (np.diff(got.ravel()[order].astype(int)) >= -1).all()  # float32 weights
    mirrored = clahe.equalise_adaptively(pixels[:, ::-1], clip=clip, tiles=1)
    assert np.abs(mirrored[:, ::-1].astype(int) - got).max() <= 1
