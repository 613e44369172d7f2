"""Metrics of probabilities by hand, in closed form and by scikit-learn."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import special
from sklearn.linear_model import LogisticRegression

from trainer.metrics import probability_metrics
from trainer.metrics.probability_metrics import METRICS


def measure(labels, probabilities, weights=None):
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, np.float64)
    weights = np.ones((1, len(labels))) if weights is None else np.asarray(weights, np.float64)
    found = probability_metrics.measure(labels, probabilities, weights, names=tuple(METRICS))
    return {name: value.tolist() for name, value in found.items()}


def test_by_hand():
    found = measure([1, 1, 0, 0], [0.8, 0.4, 0.5, 0.1])
    # probabilistic precision 1.2 / 1.8, recall 1.2 / 2
    assert found["pf1"][0] == pytest.approx(2 / (1.8 / 1.2 + 2 / 1.2), abs=1e-15)
    assert found["brier"][0] == pytest.approx((0.04 + 0.36 + 0.25 + 0.01) / 4, abs=1e-15)
    expected = -np.log(0.8 * 0.4 * 0.5 * 0.9) / 4
    assert found["log_loss"][0] == pytest.approx(expected, abs=1e-15)


@settings(deadline=None)
@given(
    st.tuples(st.floats(0.01, 0.99), st.floats(0.01, 0.99)),
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
)
def test_two_distinct_probabilities_have_a_slope_in_closed_form(given_, negatives, positives):
    """The line goes through the log-odds of the fraction of positives at each of the two."""
    low, high = special.logit(given_)
    assume(abs(high - low) > 0.02)
    table = [(0, given_[0], negatives[0]), (0, given_[1], negatives[1])]
    table += [(1, given_[0], positives[0]), (1, given_[1], positives[1])]
    labels, probabilities, weights = (np.array(column) for column in zip(*table, strict=True))
    first, second = np.log(np.array(positives) / negatives)
    found = measure(labels, probabilities, weights[None])
    expected = (second - first) / (high - low)
    assert found["calibration_slope"][0] == pytest.approx(expected, rel=1e-9, abs=1e-9)


@settings(deadline=None)
@given(st.floats(0.001, 0.999), st.integers(1, 300), st.integers(1, 300))
def test_one_probability_has_an_intercept_in_closed_form_and_no_slope(given_, negatives, positives):
    found = measure([0, 1], [given_] * 2, [[negatives, positives]])
    expected = np.log(positives / negatives) - special.logit(given_)
    assert found["calibration_intercept"][0] == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert np.isnan(found["calibration_slope"][0])


@pytest.mark.parametrize("seed", range(4))
def test_slope_is_that_of_scikit_learns_logistic_regression(seed):
    rng = np.random.default_rng(seed)
    odds = rng.normal(-0.5, 1.5, 400)
    labels = rng.random(400) < special.expit(0.3 + (0.4 + seed / 2) * odds)
    regression = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-13)
    regression.fit(odds[:, None], labels)
    found = measure(labels.astype(int), special.expit(odds))
    assert found["calibration_slope"][0] == pytest.approx(regression.coef_[0, 0], rel=1e-9)


def test_right_probabilities_have_slope_one_and_intercept_zero():
    """Of an image of each tenth, as many times each tenth is positive."""
    tenths = np.arange(1, 10)
    labels, probabilities = np.repeat([1, 0], 9), np.tile(tenths / 10, 2)
    found = measure(labels, probabilities, [np.concatenate([tenths, 10 - tenths])])
    assert found["calibration_slope"][0] == pytest.approx(1, abs=1e-12)
    assert found["calibration_intercept"][0] == pytest.approx(0, abs=1e-12)


@settings(deadline=None)
@given(st.integers(0, 1000), st.floats(0.2, 3), st.floats(-2, 2))
def test_odds_stretched_and_moved_have_the_slope_divided(seed, stretch, shift):
    rng = np.random.default_rng(seed)
    odds = rng.normal(0, 1, 60)
    labels = rng.integers(2, size=60)
    once = measure(labels, special.expit(odds))["calibration_slope"][0]
    again = measure(labels, special.expit(stretch * odds + shift))["calibration_slope"][0]
    assert again == pytest.approx(once / stretch, rel=1e-7, abs=1e-9)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=1, max_size=25), st.data())
def test_weights_are_repetitions_and_nothing_diverges(drawn, data):
    labels, probabilities = (np.array(column) for column in zip(*drawn, strict=True))
    weight = st.integers(0, 3)
    times = np.array(data.draw(st.lists(weight, min_size=len(labels), max_size=len(labels))))
    weighted = measure(labels, probabilities, times[None])
    repeated = measure(np.repeat(labels, times), np.repeat(probabilities, times))
    for name in METRICS:
        expected = pytest.approx(repeated[name], rel=1e-7, abs=1e-9, nan_ok=True)
        assert weighted[name] == expected, name


@settings(deadline=None)
@given(st.integers(0, 1000))
def test_the_other_class_has_the_same_scores_and_the_opposite_intercept(seed):
    rng = np.random.default_rng(seed)
    labels, probabilities = rng.integers(2, size=30), rng.random(30)
    labels[:2] = 0, 1
    once, other = measure(labels, probabilities), measure(1 - labels, 1 - probabilities)
    for name in ("brier", "log_loss", "calibration_slope"):
        assert other[name] == pytest.approx(once[name], rel=1e-8, abs=1e-9, nan_ok=True)
    opposite = -once["calibration_intercept"][0]
    assert other["calibration_intercept"][0] == pytest.approx(opposite, rel=1e-8, abs=1e-9)


@pytest.mark.parametrize(
    ("labels", "probabilities"),
    [
        pytest.param([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], id="parted"),
        pytest.param([1, 1, 0, 0], [0.1, 0.2, 0.3, 0.4], id="parted the wrong way round"),
        pytest.param([0, 0, 1, 1], [0.1, 0.3, 0.3, 0.4], id="parted but for a tie"),
        pytest.param([0, 1, 1, 1], [0.2, 0.2, 0.3, 0.4], id="nothing below the tie"),
        pytest.param([0, 1, 0, 1], [0.5, 0.501, 0.502, 0.5], id="nearly the same"),
        pytest.param([0, 0, 0], [0.1, 0.2, 0.3], id="one class"),
    ],
)
def test_a_slope_without_end_is_not_defined(labels, probabilities):
    assert np.isnan(measure(labels, probabilities)["calibration_slope"][0])


def test_probabilities_of_0_and_1_on_the_wrong_side_have_an_end():
    found = measure([1, 0, 1, 0, 1], [0.0, 1.0, 1.0, 0.0, 0.5])
    assert all(np.isfinite(value[0]) for value in found.values())
