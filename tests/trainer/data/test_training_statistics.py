"""Tests of what is said of images unlike the training images, against SciPy and scikit-learn."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.spatial import distance
from sklearn.covariance import LedoitWolf
from sklearn.model_selection import LeaveOneGroupOut

from trainer.data import training_statistics

SIZE = (2000, 1500)
GREY = [0.3, 0.2, 0.4, 0.0]
DETAIL = [-1.0, -1.3, -1.6, -1.9]


def draw(count: int, seed: int) -> np.ndarray:
    """Figures with tails heavier than normal ones (Student's t, 4 degrees), in [count, 8]."""
    random = np.random.default_rng(seed)
    mix = np.eye(8) + 0.3 * np.random.default_rng(1).standard_normal((8, 8))
    return np.array(GREY + DETAIL) + 0.1 * random.standard_t(4, (count, 8)) @ mix


def known_of(count: int, seed: int = 0) -> dict:
    patients = [f"patient{number // 2}" for number in range(count)]
    return training_statistics.fit(draw(count, seed), patients, [SIZE] * count)


def test_grey_levels_by_hand():
    pixels = np.array([[0, 0, 0, 0], [65535, 65535, 16384, 16384]], np.uint16)[:, :, None]
    mean, spread, black, white, *_ = training_statistics.measure(pixels)
    values = np.array([0] * 4 + [1, 1, 16384 / 65535, 16384 / 65535])
    assert mean == pytest.approx(values.mean(), rel=1e-6)
    assert spread == pytest.approx(np.sqrt(((values - values.mean()) ** 2).mean()), rel=1e-6)
    assert (black, white) == (0.5, 0.25)


def test_detail_is_found_at_its_scale():
    """Stripes of so many pixels have their strongest contrast at the octave of that width."""
    strongest = []
    for width in (2, 4, 8, 16):
        stripes = np.tile(np.repeat([20000, 40000], width), 256 // width)[None].repeat(200, axis=0)
        strongest.append(
            np.argmax(training_statistics.measure(stripes.astype(np.uint16)[:, :, None])[4:])
        )
    assert strongest == [0, 1, 2, 3]


def test_a_larger_copy_of_a_image_has_the_same_figures():
    """Above 512 pixels a side images are measured at 512."""
    small = np.random.default_rng(0).integers(0, 65535, (512, 300), np.uint16)
    large = small.repeat(3, axis=0).repeat(3, axis=1)
    same = [training_statistics.measure(pixels[:, :, None]) for pixels in (small, large)]
    np.testing.assert_allclose(same[1], same[0], rtol=1e-6)


@given(arrays.arrays(np.uint16, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(1))))
def test_figures_are_finite_whatever_the_image(pixels):
    assert np.isfinite(training_statistics.measure(pixels)).all()


def test_distance_and_limit_are_those_of_scipy():
    """Each patient is left out in turn; of 20 images the conformal quantile is the largest."""
    images = draw(20, seed=3)
    patients = [f"patient{number // 2}" for number in range(20)]
    known = training_statistics.fit(images, patients, [SIZE] * 20)

    def distances(training: np.ndarray, asked: np.ndarray) -> list[float]:
        centre, scale = training.mean(axis=0), np.sqrt(training.var(axis=0) + 0.01**2)
        covariance = LedoitWolf().fit((training - centre) / scale).covariance_
        precision = np.linalg.inv(covariance + np.diag(0.01**2 / scale**2))
        origin = np.zeros(8)
        return [
            distance.mahalanobis((image - centre) / scale, origin, precision) for image in asked
        ]

    held_out = []
    for others, these in LeaveOneGroupOut().split(images, groups=patients):
        held_out += distances(images[others], images[these])
    assert known["cloud"]["limit"] == pytest.approx(max(held_out), rel=1e-9)
    asked = draw(1, seed=4)
    found = training_statistics.compare(known, asked[0], SIZE)
    assert found.distance == pytest.approx(distances(images, asked)[0], rel=1e-9)


def test_images_like_the_training_images_are_seldom_called_unlike():
    """Of 2,000 further images from the same source no more than twice the fraction promised."""
    known = known_of(600)
    alarms = [
        bool(training_statistics.compare(known, image, SIZE).reasons)
        for image in draw(2000, seed=9)
    ]
    assert 0 < sum(alarms) < 2 * training_statistics.FALSE_ALARMS * len(alarms)


def test_the_limit_does_not_take_the_furthest_image_where_there_are_many():
    """The (n + 1) * 0.99-th smallest: a hundred and first image may be strange, of 300."""
    images = draw(300, seed=0)
    images[7] += 50
    known = training_statistics.fit(images, [str(number) for number in range(300)], [SIZE] * 300)
    assert training_statistics.compare(known, images[7], SIZE).reasons


@pytest.mark.parametrize(
    ("size", "unlike"),
    [
        ((2000, 1500), False),
        ((2500, 1875), False),
        ((2501, 1500), True),
        ((1600, 1200), False),
        ((2000, 1199), True),
        ((5400, 3000), True),
    ],
)
def test_a_native_size_is_outside_by_a_quarter(size, unlike):
    reasons = training_statistics.compare(known_of(40), np.array(GREY + DETAIL), size).reasons
    assert bool(reasons) == unlike
    if unlike:
        assert reasons == (f"its size is {size[0]}x{size[1]} pixels, theirs all 2000x1500",)


def test_the_furthest_figures_are_named_with_their_range():
    strange = np.array(GREY + DETAIL)
    strange[7] = -0.1
    images = draw(40, seed=0)
    (reason,) = training_statistics.compare(known_of(40), strange, SIZE).reasons
    low, high = 10 ** images[:, 7].min(), 10 ** images[:, 7].max()
    assert f"detail of 16 pixels 0.794 (theirs {low:.3g} to {high:.3g})" in reason
    assert "mean grey" not in reason


def test_images_that_are_all_alike():
    """Records of a recipe that equalises: a hundredth is no news, a tenth is."""
    images = np.tile(np.array(GREY + DETAIL), (30, 1))
    known = training_statistics.fit(images, [str(number) for number in range(30)], [SIZE] * 30)
    json.dumps(known, allow_nan=False)
    assert known["cloud"]["limit"] == pytest.approx(20.090**0.5, abs=1e-4)  # table of chi-square
    assert training_statistics.compare(known, images[0] + 0.01, SIZE).reasons == ()
    assert training_statistics.compare(known, images[0] + 0.1, SIZE).reasons


@pytest.mark.parametrize(("images", "patients"), [(9, 9), (20, 1)])
def test_too_few_images_say_so(images, patients):
    names = [str(number % patients) for number in range(images)]
    known = training_statistics.fit(draw(images, 0), names, [SIZE] * images)
    said = known["cloud"]["not_defined_because"]
    people = "1 patient" if patients == 1 else f"{patients} patients"
    assert said.startswith(f"{images} training images of {people}, at least 10")
    found = training_statistics.compare(known, draw(1, 1)[0], (10, 10))
    assert found.distance is None
    assert len(found.reasons) == 1
