"""Tests of the recipes: every step of the catalogue exists, and `paper` is what the paper says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.transform import downscale_local_mean

from beam_jobs.imaging import decode, recipe
from beam_jobs.imaging.decode import UnusableFilm
from flags import catalogue
from flags.recipe import parse_step
from flags.size import ImageSize
from flags.steps import STEPS


@pytest.mark.parametrize("name", catalogue.RECIPES)
def test_shape_and_type(name):
    film = np.random.default_rng(0).integers(20000, 65536, (50, 31), np.uint16)
    film[:, 20:] = 90
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
    film = film[: film.shape[0] // 3 * 3, : film.shape[1] // 3 * 3]
    size = ImageSize(film.shape[0] // 3, film.shape[1] // 3 + 40)
    image = recipe.prepare(film, "paper", size)[:, :, 0]
    wanted = paper_by_hand(film, 3, (size.height, size.width), left=20)
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


def paper_in_eight_bits(film: np.ndarray, factor: int, size: tuple[int, int], left: int):
    """The published path in uint8: blur, 256 levels, equalisation over the padding, min-max."""
    small = np.rint(downscale_local_mean(film.astype(np.float64), (factor, factor)))
    padded = np.zeros(size)
    padded[:, left : left + small.shape[1]] = small
    blurred = np.rint(ndimage.gaussian_filter(padded, 0.5, mode="mirror", truncate=10))
    eight = np.rint(blurred * 255 / 65535).astype(np.uint8)
    counts = np.bincount(eight.ravel(), minlength=256)
    cumulative = np.cumsum(counts)
    lowest = cumulative[counts > 0][0]
    table = np.rint((cumulative - lowest) * 255 / (eight.size - 1))
    equal = np.clip(table, 0, 255)[eight]
    return (equal - equal.min()) / (equal.max() - equal.min())


def test_paper_in_eight_bits_on_a_real_film(cbis_films):
    path = sorted(cbis_films.glob("*/*.dcm"))[1]
    film = decode.read_film(path, options=decode.Options(max_pixels=100_000_000))
    film = film[: film.shape[0] // 8 * 8, : film.shape[1] // 8 * 8]
    size = ImageSize(film.shape[0] // 8, film.shape[1] // 8 + 40)
    image = recipe.prepare(film, "paper_8bit", size)[:, :, 0]
    wanted = paper_in_eight_bits(film, 8, (size.height, size.width), left=20)
    assert len(np.unique(image)) <= 256
    difference = np.abs(image / 65535 - wanted)
    assert np.mean(difference > 1e-4) < 0.01  # where the blur's last bit decides the rounding
    assert difference.max() < 0.2


SIZES = [ImageSize(24, 17), ImageSize(40, 40), ImageSize(96, 64)]
TEXTS = [
    "paper",
    "plain",
    "clean,resize:pad,hist_eq:breast",
    "clean,crop,resize:pad",
    "clean,orient:left:by=side,pectoral,crop,resize:stretch,lcn:breast",
    "clean,orient:left:by=side,pectoral,crop,resize:crop,gcn",
    "gaussian:sigma=2,resize:pad,unsharp,adaptive_mean,median,percentile",
]


@pytest.mark.parametrize("order", [1, -1], ids=["forwards", "backwards"])
def test_shared_results_change_nothing(order, cbis_films, monkeypatch):
    """A size alone and with others, a recipe alone and with others: the same bytes, less work."""
    path = sorted(cbis_films.glob("*/*.dcm"))[1]
    film = np.ascontiguousarray(
        decode.read_film(path, options=decode.Options(max_pixels=10**8))[::4, ::4]
    )
    before = film.copy()
    shared = recipe.Shared()
    ran = []
    steps = dict(recipe._STEPS)
    for name, step in steps.items():
        monkeypatch.setitem(recipe._STEPS, name, lambda *a, s=step, n=name: ran.append(n) or s(*a))
    options = {"view": "MLO", "side": "right"}
    together = {
        (text, size): recipe.prepare(film, text, size, **options, shared=shared)
        for text in TEXTS[::order]
        for size in SIZES
    }
    assert ran.count("pectoral") == 1
    assert ran.count("orient") == 1
    assert ran.count("clean") <= 3
    assert ran.count("gaussian") == 1 + len(SIZES)  # once on the whole film, once a size in paper
    assert ran.count("resize") == len(SIZES) * (len(TEXTS) - 1)  # paper and plain begin alike
    np.testing.assert_array_equal(film, before)
    for (text, size), image in together.items():
        alone = recipe.prepare(film, text, size, **options)
        np.testing.assert_array_equal(image, alone, err_msg=f"{text} {size}")


def test_view_and_side_reach_their_steps(cbis_films):
    film = decode.read_film(
        sorted(cbis_films.glob("*/*.dcm"))[1], options=decode.Options(max_pixels=10**8)
    )[::4, ::4]
    size = ImageSize(64, 48)
    mlo, cc = (recipe.prepare(film, "pectoral,resize", size, view=view) for view in ("MLO", "CC"))
    assert (mlo != cc).any()
    left, right = (
        recipe.prepare(film, "orient:by=side,resize:stretch", size, side=side)
        for side in ("left", "right")
    )
    assert np.abs(left.astype(int) - right[:, ::-1]).max() <= 1
    with pytest.raises(UnusableFilm, match="side_unknown"):
        recipe.prepare(film, "orient:by=side,resize", size)


def test_every_step_of_the_table_runs(cbis_films):
    film = decode.read_film(
        sorted(cbis_films.glob("*/*.dcm"))[1], options=decode.Options(max_pixels=10**8)
    )[::8, ::8]
    for name, kind in STEPS.items():
        for choice in kind.choices or ("",):
            text = f"{name}:{choice}" if choice else name
            step = parse_step(text, text)
            image = recipe.run_steps(film, [step], recipe.Setting(ImageSize(50, 40), "MLO", "left"))
            assert image.dtype == np.uint16, text
            assert image.max() > image.min(), text
            changed = image.shape != film.shape or (image != film).any()
            assert changed or name in ("orient", "percentile"), text
