"""The calibration error against scikit-learn's curve and exact binomial chances."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.calibration import calibration_curve

from trainer.metrics import calibration_error
from trainer.metrics.intervals import Bootstrap
from trainer.metrics.prediction_arrays import PredictionArrays

DRAWS = Bootstrap(resamples=50)


def evaluated(labels, probabilities):
    patients = np.array([f"p{index}" for index in range(len(labels))])
    return PredictionArrays(
        np.asarray(labels),
        np.stack([1 - np.asarray(probabilities), probabilities], axis=1),
        patients,
        ("no", "yes"),
    )


@pytest.mark.parametrize("count", [50, 120, 640])
def test_value_is_that_of_scikit_learns_bins_of_equal_mass(count):
    rng = np.random.default_rng(count)
    probabilities = rng.random(count)
    labels = (rng.random(count) < probabilities**2).astype(int)
    fraction, mean = calibration_curve(labels, probabilities, n_bins=10, strategy="quantile")
    found = calibration_error.score(evaluated(labels, probabilities), DRAWS)
    assert found.value == pytest.approx(np.mean(np.abs(fraction - mean)), abs=1e-12)
    assert (found.low, found.high) == (None, None)
    assert "see by_chance" in found.interval_not_defined_because


@settings(deadline=None)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=60))
def test_images_that_tie_fraction_a_bin_and_bins_go_up(scores):
    bins = calibration_error.bins_of(np.array(scores) / 20)
    assert all((bins >= 0) & (bins < 10))
    for place, score in enumerate(scores):
        below, same = sum(s < score for s in scores), scores.count(score)
        assert bins[place] == 10 * (2 * below + same) // (2 * len(scores))


def test_chance_is_that_of_coins():
    """All probabilities 1/2: one bin, and its error the distance of heads from half."""
    found = calibration_error.score(evaluated([0, 1] * 50, [0.5] * 100), Bootstrap(resamples=4000))
    heads = np.arange(101)
    chances, distances = stats.binom.pmf(heads, 100, 0.5), np.abs(heads - 50) / 100
    mean, spread = chances @ distances, np.sqrt(chances @ distances**2)
    assert found.value == 0
    assert found.by_chance.mean == pytest.approx(mean, abs=4 * spread / np.sqrt(4000))
    assert found.by_chance.high in (0.09, 0.1, 0.11)  # of 0.1: 96.5 % are at most that
    assert stats.binom.cdf(59, 100, 0.5) - stats.binom.cdf(40, 100, 0.5) < 0.95


def test_an_error_beyond_chance_is_seen():
    rng = np.random.default_rng(2)
    probabilities = rng.random(400)
    right = (rng.random(400) < probabilities).astype(int)
    too_sure = (rng.random(400) < 0.25 + probabilities / 2).astype(int)
    found = [
        calibration_error.score(evaluated(one, probabilities), DRAWS) for one in (right, too_sure)
    ]
    assert found[0].value < found[0].by_chance.high
    assert found[1].value > found[1].by_chance.high


def test_of_several_classes_it_is_the_mean_of_one_against_the_rest():
    rng = np.random.default_rng(4)
    labels = rng.integers(3, size=90)
    probabilities = rng.dirichlet([1, 2, 3], 90)
    patients = np.array([f"p{index}" for index in range(90)])
    found = calibration_error.score(PredictionArrays(labels, probabilities, patients, "abc"), DRAWS)
    each = [
        calibration_error.score(evaluated(labels == k, probabilities[:, k]), DRAWS).value
        for k in range(3)
    ]
    assert found.value == pytest.approx(np.mean(each), abs=1e-12)


def test_few_images_have_none():
    found = calibration_error.score(evaluated([0, 1] * 24, [0.5] * 48), DRAWS)
    assert found.not_defined_because == "too few images for 10 bins: 48, wanted 50"
    assert found.value is None
