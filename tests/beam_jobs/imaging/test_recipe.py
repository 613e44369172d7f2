"""Tests of the recipes: every step of the catalogue exists, and `paper` is what the paper says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.transform import downscale_local_mean

from beam_jobs.imaging import decode, recipe
from beam_jobs.imaging.decode import UnusableFilm
from flags import catalogue
from flags.size import ImageSize


@pytest.mark.parametrize("name", catalogue.RECIPES)
def test_every_step_of_the_catalogue_is_implemented(name):
    assert len(recipe.steps_of(name)) == 1 + catalogue.RECIPES[name].count(",")


@pytest.mark.parametrize("name", catalogue.RECIPES)
def test_shape_and_type(name):
    film = np.random.default_rng(0).integers(0, 65536, (50, 31), np.uint16)
    image = recipe.prepare(film, name, ImageSize(24, 17))
    assert image.shape == (24, 17, 1)
    assert image.dtype == np.uint16


def equalise_and_stretch(pixels: np.ndarray) -> np.ndarray:
    values, inverse, counts = np.unique(pixels, return_inverse=True, return_counts=True)
    cumulative = np.cumsum(counts) - counts[0]
    equal = np.rint(cumulative / (pixels.size - 1) * 65535)[inverse].reshape(pixels.shape)
    assert values.size > 1
    return np.rint((equal - equal.min()) / (equal.max() - equal.min()) * 65535)


def paper_by_hand(film: np.ndarray, factor: int, size: tuple[int, int], left: int) -> np.ndarray:
    """Padded resize by a whole factor, Gaussian, equalisation over the padding too, min-max."""
    small = np.rint(downscale_local_mean(film.astype(np.float64), (factor, factor)))
    padded = np.zeros(size)
    padded[:, left : left + small.shape[1]] = small
    blurred = np.rint(ndimage.gaussian_filter(padded, 0.5, mode="mirror", truncate=10))
    return equalise_and_stretch(blurred)


def test_paper_is_its_steps_by_hand():
    """Grey levels far apart, so that a rounding in the blur changes hardly anybody's rank."""
    rows, columns = np.mgrid[:20, :12]
    film = np.kron(3000 + 2900 * rows + 233 * columns, np.ones((3, 3)))
    image = recipe.prepare(film.astype(np.uint16), "paper", ImageSize(20, 18))[:, :, 0]
    wanted = paper_by_hand(film, 3, (20, 18), left=3)
    assert wanted.min() == 0
    assert wanted.max() == 65535
    assert np.mean(np.abs(image - wanted) > 1) <= 0.06
    assert np.abs(image - wanted).mean() <= 15


def test_paper_on_a_real_film(cbis_films):
    path = sorted(cbis_films.glob("*/*.dcm"))[0]
    film = decode.read_film(path, options=decode.Options(max_pixels=100_000_000))
    film = film[: film.shape[0] // 8 * 8, : film.shape[1] // 8 * 8]
    size = ImageSize(film.shape[0] // 8, film.shape[1] // 8 + 40)
    image = recipe.prepare(film, "paper", size)[:, :, 0]
    wanted = paper_by_hand(film, 8, (size.height, size.width), left=20)
    # the blur's last bit moves pixels by a rank or two, many where the histogram is steep
    difference = np.abs(image - wanted)
    assert difference.mean() <= 1
    assert np.quantile(difference, 0.999) <= 20


def test_plain_changes_no_value():
    film = np.random.default_rng(0).integers(0, 65536, (24, 10), np.uint16)
    image = recipe.prepare(film, "plain", ImageSize(24, 17))[:, :, 0]
    np.testing.assert_array_equal(image[:, 3:13], film)
    assert not image[:, :3].any()
    assert not image[:, 13:].any()


def test_a_film_that_shrinks_to_one_grey_level():
    film = np.zeros((800, 800), np.uint16)
    film[0, 0] = 1
    with pytest.raises(UnusableFilm, match="one_grey_level"):
        recipe.prepare(film, "paper", ImageSize(8, 8))
