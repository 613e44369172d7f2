"""DeLong's covariance and paired tests against their definitions, SciPy and scikit-learn."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from trainer.metrics import significance

COUNTS = st.integers(0, 400)
SHARES = st.floats(0, 1)


@given(COUNTS, COUNTS)
def test_mcnemar_is_the_binomial_test(first, second):
    expected = stats.binomtest(first, first + second).pvalue if first + second else 1.0
    found = significance.mcnemar(first_alone=first, second_alone=second)
    assert found == pytest.approx(expected, rel=0, abs=1e-9)
    assert found == significance.mcnemar(first_alone=second, second_alone=first)


@pytest.mark.parametrize(
    ("first", "second", "published"),
    [
        (9, 2, 0.06543),  # Fay, R Journal 2(1):53-58, 2010: exact McNemar of 21, 9, 2, 12
        (0, 0, 1.0),
        (5, 5, 1.0),
        (0, 6, 0.03125),  # sign test: 2 / 2 ** 6
    ],
    ids=str,
)
def test_mcnemar_worked(first, second, published):
    found = significance.mcnemar(first_alone=first, second_alone=second)
    assert found == pytest.approx(published, rel=0, abs=5e-6)


def test_mcnemar_to_the_last_digit():
    tail = sum(math.comb(11, k) for k in range(3))
    found = significance.mcnemar(first_alone=2, second_alone=9)
    assert found == pytest.approx(2 * tail / 2**11, rel=0, abs=1e-15)


def variance_by_pairs(labels, first, second):
    """Of the difference: spread of each image's mean of (kernel of second - kernel of first)."""
    kernels = [
        np.sign(scores[labels == 1][:, None] - scores[labels == 0]) / 2 + 0.5
        for scores in (first, second)
    ]
    difference = kernels[1] - kernels[0]
    by_positive, by_negative = difference.mean(axis=1), difference.mean(axis=0)
    return difference.mean(), sum(
        fractions.var(ddof=1) / len(fractions) for fractions in (by_positive, by_negative)
    )


@st.composite
def images(draw):
    """Labels of both classes, at least two images each, and the scores of two models with ties."""
    labels = [0, 0, 1, 1, *draw(st.lists(st.integers(0, 1), max_size=30))]
    row = st.lists(st.integers(0, 20), min_size=len(labels), max_size=len(labels))
    return np.array(labels), np.array(draw(row)) / 20, np.array(draw(row)) / 20


@given(images())
def test_delong_is_its_definition(evaluated):
    difference, error, p = significance.delong_difference(*evaluated)
    expected, variance = variance_by_pairs(*evaluated)
    assert difference == pytest.approx(expected, rel=0, abs=1e-12)
    assert error**2 == pytest.approx(variance, rel=0, abs=1e-12)
    if error:
        expected_p = 2 * stats.norm.sf(abs(expected) / math.sqrt(variance))
        assert p == pytest.approx(expected_p, rel=0, abs=1e-9)


@given(images())
def test_delong_swapped(evaluated):
    labels, first, second = evaluated
    difference, error, p = significance.delong_difference(labels, first, second)
    swapped = significance.delong_difference(labels, second, first)
    np.testing.assert_allclose(swapped, (-difference, error, p), rtol=0, atol=1e-12)


@given(images())
def test_a_model_does_not_differ_from_itself(evaluated):
    labels, first, _ = evaluated
    assert significance.delong_difference(labels, first, first) == (0, 0, 1)
    assert significance.delong_difference(labels, first, first * 0.5) == (0, 0, 1)


def test_no_spread_is_no_p():
    """All pairs right against all wrong: nothing varies, so nothing says what chance does."""
    labels = np.array([0, 0, 1, 1])
    difference, error, p = significance.delong_difference(labels, -1.0 * labels, 1.0 * labels)
    assert (difference, error) == (1, 0)
    assert math.isnan(p)


@given(st.lists(st.integers(-3, 3), min_size=39, max_size=120))
def test_bootstrap_p_inverts_the_interval(values):
    """Below alpha = 0.05 exactly where the interval of sorted counts leaves 0 out."""
    differences = np.array(values, np.float64)
    p = significance.bootstrap_p(differences)
    ordered = np.sort(differences)
    left_out = math.floor(0.05 * (len(values) + 1) / 2 + 1e-9)  # on either side, one of B + 1
    low, high = ordered[left_out - 1], ordered[len(values) - left_out]
    assert (p <= 0.05) == (low > 0 or high < 0)
    assert 2 / (len(values) + 1) <= p <= 1
    assert p == significance.bootstrap_p(-differences)


def test_bootstrap_p_worked():
    assert significance.bootstrap_p(np.zeros(99)) == 1
    assert significance.bootstrap_p(np.ones(99)) == 2 / 100
    assert significance.bootstrap_p(np.array([1.0] * 97 + [-1.0] * 2)) == 6 / 100


@given(st.lists(SHARES, min_size=1, max_size=6))
def test_holm_is_closed_testing_with_bonferroni(values):
    """Marcus, Peritz & Gabriel 1976: a hypothesis falls if all sets that hold it fall."""
    numbers = range(len(values))
    subsets = [s for size in numbers for s in itertools.combinations(numbers, size + 1)]
    expected = [
        max(min(1, len(s) * min(values[n] for n in s)) for s in subsets if number in s)
        for number in numbers
    ]
    np.testing.assert_allclose(significance.holm(values), expected, rtol=0, atol=1e-12)


def test_holm_worked():
    """The usual example of four p values: sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1."""
    np.testing.assert_allclose(
        significance.holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02]
    )
    assert significance.holm([]) == []


def by_definition(labels, scores):
    """Equations 3 to 7 of DeLong et al. 1988, with a loop over every pair of images."""
    positive, negative = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    m, n, k = len(positive), len(negative), len(scores)
    kernel = np.zeros((k, m, n))
    for r in range(k):
        for i, one in enumerate(positive):
            for j, other in enumerate(negative):
                x, y = scores[r, one], scores[r, other]
                kernel[r, i, j] = 1.0 if x > y else 0.5 if x == y else 0.0
    areas = [kernel[r].sum() / (m * n) for r in range(k)]
    covariance = np.zeros((k, k))
    for r in range(k):
        for s in range(k):
            s10 = sum(
                (kernel[r, i].mean() - areas[r]) * (kernel[s, i].mean() - areas[s])
                for i in range(m)
            ) / (m - 1)
            s01 = sum(
                (kernel[r, :, j].mean() - areas[r]) * (kernel[s, :, j].mean() - areas[s])
                for j in range(n)
            ) / (n - 1)
            covariance[r, s] = s10 / m + s01 / n
    return np.array(areas), covariance


@st.composite
def evaluated(draw):
    """Labels of both classes and scores of some models, with many ties."""
    negatives, positives = draw(st.integers(2, 12)), draw(st.integers(2, 12))
    labels = draw(st.permutations([0] * negatives + [1] * positives))
    row = st.lists(st.integers(0, 8), min_size=len(labels), max_size=len(labels))
    k = draw(st.integers(1, 3))
    scores = draw(st.lists(row, min_size=k, max_size=k))
    return np.array(labels), np.array(scores) / 8


@given(evaluated())
def test_areas_and_covariance_are_those_of_the_definition(images):
    labels, scores = images
    areas, covariance = significance.delong_covariance(labels, scores)
    expected_areas, expected_covariance = by_definition(labels, scores)
    np.testing.assert_allclose(areas, expected_areas, rtol=0, atol=1e-12)
    np.testing.assert_allclose(covariance, expected_covariance, rtol=0, atol=1e-12)


def test_areas_are_those_of_scikit_learn():
    random = np.random.default_rng(5)
    labels = random.integers(0, 2, 641)
    scores = np.round(random.normal(labels, 1.3, (2, 641)), 2)
    areas, _ = significance.delong_covariance(labels, scores)
    expected = [roc_auc_score(labels, row) for row in scores]
    np.testing.assert_allclose(areas, expected, rtol=0, atol=1e-12)


def test_variance_by_hand():
    """Two images of each class, one pair in the wrong order: shares below 1, 1/2; above 1/2, 1."""
    areas, covariance = significance.delong_covariance(
        np.array([0, 0, 1, 1]), np.array([[0.1, 0.5, 0.4, 0.9]])
    )
    assert areas.tolist() == [0.75]
    assert covariance.tolist() == [[1 / 8]]  # (1/2 - 1)^2 / 2 = 1/8 in each class, over 2 images


@given(evaluated())
def test_only_the_order_of_scores_counts(images):
    labels, scores = images
    areas, covariance = significance.delong_covariance(labels, scores)
    other_areas, other_covariance = significance.delong_covariance(labels, np.exp(3 * scores) - 7)
    assert other_areas.tolist() == areas.tolist()
    assert other_covariance.tolist() == covariance.tolist()


@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 0, 0], [1, 1, 0]], ids=str)
def test_a_class_of_fewer_than_two_images_is_refused(labels):
    with pytest.raises(ValueError, match="wanted at least 2 of each"):
        significance.delong_covariance(np.array(labels), np.array([[0.1, 0.2, 0.3]]))


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="wanted"):
        significance.delong_covariance(np.array([0, 1, 0, 1]), np.array([0.1, 0.2, 0.3, 0.4]))


# 49 patients with ovarian cancer: albumin, total protein, K-G score, whether surgery helped. The
# data of DeLong et al. 1988 as the SAS/STAT manual prints them (LOGISTIC, Comparing ROC Curves)
OVARIAN = """
3.0 5.8 10 0  3.2 6.3 5 1  3.9 6.8 3 1  2.8 4.8 6 0  3.2 5.8 3 1  0.9 4.0 5 0  2.5 5.7 8 0
1.6 5.6 5 1  3.8 5.7 5 1  3.7 6.7 6 1  3.2 5.4 4 1  3.8 6.6 6 1  4.1 6.6 5 1  3.6 5.7 5 1
4.3 7.0 4 1  3.6 6.7 4 0  2.3 4.4 6 1  4.2 7.6 4 0  4.0 6.6 6 0  3.5 5.8 6 1  3.8 6.8 7 1
3.0 4.7 8 0  4.5 7.4 5 1  3.7 7.4 5 1  3.1 6.6 6 1  4.1 8.2 6 1  4.3 7.0 5 1  4.3 6.5 4 1
3.2 5.1 5 1  2.6 4.7 6 1  3.3 6.8 6 0  1.7 4.0 7 0  3.7 6.1 5 1  3.3 6.3 7 1  4.2 7.7 6 1
3.5 6.2 5 1  2.9 5.7 9 0  2.1 4.8 7 1  2.8 6.2 8 0  4.0 7.0 7 1  3.3 5.7 6 1  3.7 6.9 5 1
3.6 6.6 5 1
"""


def test_the_worked_example_of_the_paper():
    """Areas, standard errors, differences to the K-G score and their p, to the digits printed."""
    albumin, protein, score, helped = np.array(OVARIAN.split(), float).reshape(-1, 4).T
    rows = {"albumin": albumin, "K-G score": 10 - score, "total protein": protein}
    areas, covariance = significance.delong_covariance(
        helped.astype(int), np.stack(list(rows.values()))
    )
    np.testing.assert_allclose(areas, [0.7366, 0.7258, 0.6478], rtol=0, atol=5e-5)
    errors = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(errors, [0.0927, 0.1028, 0.1000], rtol=0, atol=5e-5)
    for name, printed in (
        ("albumin", (0.0108, 0.0953, 0.9102)),
        ("total protein", (-0.0780, 0.1046, 0.4561)),
    ):
        found = significance.delong_difference(helped.astype(int), rows["K-G score"], rows[name])
        np.testing.assert_allclose(found, printed, rtol=0, atol=6e-5)
