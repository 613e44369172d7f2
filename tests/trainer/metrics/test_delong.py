"""DeLong's covariance against its definition, pair by pair, and against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from trainer.metrics import delong, paired


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
    areas, covariance = delong.covariance(labels, scores)
    expected_areas, expected_covariance = by_definition(labels, scores)
    np.testing.assert_allclose(areas, expected_areas, rtol=0, atol=1e-12)
    np.testing.assert_allclose(covariance, expected_covariance, rtol=0, atol=1e-12)


def test_areas_are_those_of_scikit_learn():
    random = np.random.default_rng(5)
    labels = random.integers(0, 2, 641)
    scores = np.round(random.normal(labels, 1.3, (2, 641)), 2)
    areas, _ = delong.covariance(labels, scores)
    expected = [roc_auc_score(labels, row) for row in scores]
    np.testing.assert_allclose(areas, expected, rtol=0, atol=1e-12)


def test_variance_by_hand():
    """Two images of each class, one pair in the wrong order: shares below 1, 1/2; above 1/2, 1."""
    areas, covariance = delong.covariance(np.array([0, 0, 1, 1]), np.array([[0.1, 0.5, 0.4, 0.9]]))
    assert areas.tolist() == [0.75]
    assert covariance.tolist() == [[1 / 8]]  # (1/2 - 1)^2 / 2 = 1/8 in each class, over 2 images


@given(evaluated())
def test_only_the_order_of_scores_counts(images):
    labels, scores = images
    areas, covariance = delong.covariance(labels, scores)
    other_areas, other_covariance = delong.covariance(labels, np.exp(3 * scores) - 7)
    assert other_areas.tolist() == areas.tolist()
    assert other_covariance.tolist() == covariance.tolist()


@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 0, 0], [1, 1, 0]], ids=str)
def test_a_class_of_fewer_than_two_images_is_refused(labels):
    with pytest.raises(ValueError, match="wanted at least 2 of each"):
        delong.covariance(np.array(labels), np.array([[0.1, 0.2, 0.3]]))


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="wanted"):
        delong.covariance(np.array([0, 1, 0, 1]), np.array([0.1, 0.2, 0.3, 0.4]))


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
    areas, covariance = delong.covariance(helped.astype(int), np.stack(list(rows.values())))
    np.testing.assert_allclose(areas, [0.7366, 0.7258, 0.6478], rtol=0, atol=5e-5)
    errors = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(errors, [0.0927, 0.1028, 0.1000], rtol=0, atol=5e-5)
    for name, printed in (
        ("albumin", (0.0108, 0.0953, 0.9102)),
        ("total protein", (-0.0780, 0.1046, 0.4561)),
    ):
        found = paired.delong_difference(helped.astype(int), rows["K-G score"], rows[name])
        np.testing.assert_allclose(found, printed, rtol=0, atol=6e-5)
