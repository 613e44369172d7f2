"""Metrics of order: laws they keep, and published examples."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from trainer.metrics import ranking, significance

NAMES = tuple(ranking.METRICS)


def measure(labels, scores, weights=None):
    labels, scores = np.asarray(labels), np.asarray(scores, np.float64)
    weights = np.ones((1, len(labels))) if weights is None else np.asarray(weights, np.float64)
    return ranking.measure(labels, scores, weights, names=NAMES)


@st.composite
def evaluated(draw):
    """Labels of both classes, and scores with many ties."""
    labels = draw(st.lists(st.integers(0, 1), min_size=2, max_size=30))
    labels[:2] = [0, 1]
    score = st.integers(0, 12)
    return labels, np.array(draw(st.lists(score, min_size=len(labels), max_size=len(labels)))) / 12


@settings(deadline=None)
@given(evaluated())
def test_only_the_order_counts(images):
    labels, scores = images
    once, again = measure(labels, scores), measure(labels, np.exp(5 * scores) - 100)
    assert {name: value.tolist() for name, value in once.items()} == {
        name: value.tolist() for name, value in again.items()
    }


@settings(deadline=None)
@given(evaluated())
def test_other_classes_and_opposite_scores_are_the_mirror_image(images):
    labels, scores = images
    once, mirrored = measure(labels, scores), measure(1 - np.array(labels), -scores)
    assert mirrored["auc"] == pytest.approx(once["auc"], abs=1e-12)
    for percent in (90, 95):
        sensitivity = mirrored[f"sensitivity_at_{percent}_specificity"]
        assert sensitivity == pytest.approx(once[f"specificity_at_{percent}_sensitivity"])
    assert measure(labels, -scores)["auc"] == pytest.approx(1 - once["auc"], abs=1e-12)


@settings(deadline=None)
@given(evaluated(), st.data())
def test_weights_are_repetitions(images, data):
    labels, scores = images
    weight = st.integers(0, 3)
    times = np.array(data.draw(st.lists(weight, min_size=len(labels), max_size=len(labels))))
    weighted = measure(labels, scores, times[None])
    repeated = measure(np.repeat(labels, times), np.repeat(scores, times))
    for name in NAMES:
        assert weighted[name] == pytest.approx(repeated[name], abs=1e-12, nan_ok=True)


@settings(deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.floats(0, 1))
def test_ties_of_all_images_are_chance(negatives, positives, score):
    labels = [0] * negatives + [1] * positives
    found = measure(labels, [score] * len(labels))
    assert found["auc"] == found["partial_auc"] == pytest.approx(0.5)
    assert found["average_precision"] == pytest.approx(positives / len(labels))
    assert found["sensitivity_at_90_specificity"] == found["specificity_at_95_sensitivity"] == 0


def test_nine_of_ten_are_ninety_percent():
    """The best threshold at 90 % lets one of ten negatives through, and both positives above it."""
    labels, scores = [0] * 10 + [1] * 3, [*range(10), 8.5, 9.5, 0.5]
    found = {name: value[0] for name, value in measure(labels, scores).items()}
    assert found["sensitivity_at_90_specificity"] == 2 / 3
    assert found["sensitivity_at_95_specificity"] == 1 / 3
    assert found["specificity_at_90_sensitivity"] == 0.1


# Turck et al., Intensive Care Medicine 36:107-115, 2010, as in the package pROC of R: grade of the
# World Federation of Neurological Surgeons, 1 to 5, of 72 patients with a good outcome and of 41
# with a poor one. Its tests (tests/testthat: var, roc, auc) state these metrics.
WFNS = (37, 20, 3, 8, 4), (2, 12, 1, 8, 18)
# Hanley & McNeil, The meaning and use of the area under a ROC curve, Radiology 143:29-36, 1982,
# table 1: ratings 1 to 5 of 58 normal and 51 abnormal CT images. The area is stated there, standard
# error and interval of DeLong's method in Stata's manual, roctab.
RATINGS = (33, 6, 6, 11, 2), (3, 2, 2, 11, 33)


def expand(table):
    """Counts of five grades of either class -> labels and grades, one for each case."""
    grades = [np.repeat(np.arange(1, 6), counts) for counts in table]
    return np.repeat([0, 1], [len(one) for one in grades]), np.concatenate(grades) / 5


def test_the_area_partial_area_and_variance_that_proc_states():
    labels, scores = expand(WFNS)
    found = measure(labels, scores)
    assert found["auc"] == pytest.approx(0.823678861788618, abs=1e-14)
    assert found["partial_auc"] == pytest.approx(0.649693339038653, abs=1e-14)
    interval = significance.delong_interval(labels, scores)
    assert interval.se**2 == pytest.approx(0.00146991470882363, abs=1e-16)
    assert interval.low == pytest.approx(0.823678861788618 - 1.959963985 * interval.se)


def test_the_area_of_hanley_and_mcneil_and_its_interval():
    labels, scores = expand(RATINGS)
    assert measure(labels, scores)["auc"] == pytest.approx(0.893, abs=5e-4)
    interval = significance.delong_interval(labels, scores)
    found = [round(one, 4) for one in (interval.se, interval.low, interval.high)]
    assert found == [0.0307, 0.8330, 0.9534]


def test_intervals_of_few_or_perfectly_parted_images_say_why():
    for labels, scores in (([0, 1, 1], [0.1, 0.2, 0.3]), ([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4])):
        found = significance.delong_interval(np.array(labels), np.array(scores))
        assert found.not_defined_because
        assert (found.low, found.high, found.se) == (None, None, None)


def test_an_interval_ends_at_one():
    labels, scores = np.array([0, 0, 0, 1, 1, 1]), np.array([0.1, 0.2, 0.5, 0.4, 0.8, 0.9])
    assert significance.delong_interval(labels, scores).high == 1.0


def test_partial_area_between_points_of_the_curve():
    """Nine negatives: the line at 0.1 is crossed within a step."""
    rng = np.random.default_rng(7)
    labels = np.repeat([0, 1], [9, 14])
    scores = np.round(rng.normal(labels, 1), 1)
    assert 0.1 not in roc_curve(labels, scores)[0]
    expected = roc_auc_score(labels, scores, max_fpr=0.1)
    assert measure(labels, scores)["partial_auc"] == pytest.approx(expected, abs=1e-12)
