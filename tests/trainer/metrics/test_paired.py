"""Paired tests against SciPy, worked examples and their definitions."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from trainer.metrics import paired

COUNTS = st.integers(0, 400)
SHARES = st.floats(0, 1)


@given(COUNTS, COUNTS)
def test_mcnemar_is_the_binomial_test(first, second):
    expected = stats.binomtest(first, first + second).pvalue if first + second else 1.0
    found = paired.mcnemar(first_alone=first, second_alone=second)
    assert found == pytest.approx(expected, rel=0, abs=1e-9)
    assert found == paired.mcnemar(first_alone=second, second_alone=first)


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
    found = paired.mcnemar(first_alone=first, second_alone=second)
    assert found == pytest.approx(published, rel=0, abs=5e-6)


def test_mcnemar_to_the_last_digit():
    tail = sum(math.comb(11, k) for k in range(3))
    found = paired.mcnemar(first_alone=2, second_alone=9)
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
    difference, error, p = paired.delong_difference(*evaluated)
    expected, variance = variance_by_pairs(*evaluated)
    assert difference == pytest.approx(expected, rel=0, abs=1e-12)
    assert error**2 == pytest.approx(variance, rel=0, abs=1e-12)
    if error:
        expected_p = 2 * stats.norm.sf(abs(expected) / math.sqrt(variance))
        assert p == pytest.approx(expected_p, rel=0, abs=1e-9)


@given(images())
def test_delong_swapped(evaluated):
    labels, first, second = evaluated
    difference, error, p = paired.delong_difference(labels, first, second)
    swapped = paired.delong_difference(labels, second, first)
    np.testing.assert_allclose(swapped, (-difference, error, p), rtol=0, atol=1e-12)


@given(images())
def test_a_model_does_not_differ_from_itself(evaluated):
    labels, first, _ = evaluated
    assert paired.delong_difference(labels, first, first) == (0, 0, 1)
    assert paired.delong_difference(labels, first, first * 0.5) == (0, 0, 1)


def test_no_spread_is_no_p():
    """All pairs right against all wrong: nothing varies, so nothing says what chance does."""
    labels = np.array([0, 0, 1, 1])
    difference, error, p = paired.delong_difference(labels, -1.0 * labels, 1.0 * labels)
    assert (difference, error) == (1, 0)
    assert math.isnan(p)


@given(st.lists(st.integers(-3, 3), min_size=39, max_size=120))
def test_bootstrap_p_inverts_the_interval(values):
    """Below alpha = 0.05 exactly where the interval of sorted counts leaves 0 out."""
    differences = np.array(values, np.float64)
    p = paired.bootstrap_p(differences)
    ordered = np.sort(differences)
    left_out = math.floor(0.05 * (len(values) + 1) / 2 + 1e-9)  # on either side, one of B + 1
    low, high = ordered[left_out - 1], ordered[len(values) - left_out]
    assert (p <= 0.05) == (low > 0 or high < 0)
    assert 2 / (len(values) + 1) <= p <= 1
    assert p == paired.bootstrap_p(-differences)


def test_bootstrap_p_worked():
    assert paired.bootstrap_p(np.zeros(99)) == 1
    assert paired.bootstrap_p(np.ones(99)) == 2 / 100
    assert paired.bootstrap_p(np.array([1.0] * 97 + [-1.0] * 2)) == 6 / 100


@given(st.lists(SHARES, min_size=1, max_size=6))
def test_holm_is_closed_testing_with_bonferroni(values):
    """Marcus, Peritz & Gabriel 1976: a hypothesis falls if all sets that hold it fall."""
    numbers = range(len(values))
    subsets = [s for size in numbers for s in itertools.combinations(numbers, size + 1)]
    expected = [
        max(min(1, len(s) * min(values[n] for n in s)) for s in subsets if number in s)
        for number in numbers
    ]
    np.testing.assert_allclose(paired.holm(values), expected, rtol=0, atol=1e-12)


def test_holm_worked():
    """The usual example of four p values: sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1."""
    np.testing.assert_allclose(paired.holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    assert paired.holm([]) == []
