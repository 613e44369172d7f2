"""Curves are those of scikit-learn, bins and intervals those worked out by hand and by SciPy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn import metrics as reference

from trainer.metrics import curves, intervals
from trainer.metrics.intervals import Floats


def make(count: int = 83, seed: int = 2) -> tuple[NDArray[np.int64], Floats, NDArray[np.str_]]:
    """Labels, probabilities with many ties, and patients of two images each."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=count)
    probabilities = np.clip(np.round(rng.normal(0.4 + 0.2 * labels, 0.2), 1), 0, 1)
    return labels, probabilities, np.array([f"p{image // 2}" for image in range(count)])


def resampled(labels: NDArray[np.int64]) -> Floats:
    """Weights of four resamples, of which the third has one class alone: no curve."""
    weights = np.random.default_rng(3).integers(3, size=(4, len(labels))).astype(np.float64)
    weights[2] *= labels
    return weights


def test_roc_curve_is_that_of_sklearn() -> None:
    labels, probabilities, _ = make()
    weights = resampled(labels)
    found = list(curves.roc_curves(labels, probabilities, weights))
    assert len(found) == 3
    for (across, up), times in zip(found, weights[[0, 1, 3]], strict=True):
        expected = reference.roc_curve(
            labels, probabilities, sample_weight=times, drop_intermediate=False
        )
        ours, theirs = (  # points without weight repeat the one before, scikit-learn drops them
            np.unique(np.round(np.stack(points, axis=1), 12), axis=0)
            for points in ((across, up), expected[:2])
        )
        np.testing.assert_allclose(ours, theirs, atol=1e-11)


def test_precision_recall_curve_is_that_of_sklearn() -> None:
    labels, probabilities, _ = make()
    weights = resampled(labels)
    found = list(curves.precision_recall_curves(labels, probabilities, weights))
    assert len(found) == 3
    for (recall, precision), times in zip(found, weights[[0, 1, 3]], strict=True):
        theirs, at, _ = reference.precision_recall_curve(labels, probabilities, sample_weight=times)
        best = {  # of several thresholds with one recall, the highest has the best precision
            one: max(theirs[np.isclose(at, one)]) for one in np.unique(np.round(at[:-1], 12)) if one
        }
        np.testing.assert_allclose(recall, list(best), atol=1e-11)
        np.testing.assert_allclose(precision, list(best.values()), atol=1e-11)
        area = (np.diff(recall, prepend=0) * precision).sum()
        expected = reference.average_precision_score(labels, probabilities, sample_weight=times)
        assert area == pytest.approx(expected, abs=1e-12)


def test_curves_are_read_between_their_points() -> None:
    roc = (np.array([0.0, 0.5, 1.0]), np.array([0.0, 0.8, 1.0]))
    np.testing.assert_allclose(curves.interpolate(roc, np.array([0.25, 0.75])), [0.4, 0.9])
    steps = (np.array([0.25, 1.0]), np.array([0.9, 0.5]))
    at = np.array([0.0, 0.25, 0.26, 1.0])
    np.testing.assert_array_equal(curves.step(steps, at), [0.9, 0.9, 0.5, 0.5])


@pytest.mark.parametrize(
    ("kind", "read"),
    [(curves.roc_curves, curves.interpolate), (curves.precision_recall_curves, curves.step)],
    ids=["roc", "precision and recall"],
)
def test_a_band_is_that_of_resampled_curves(kind, read) -> None:
    labels, probabilities, patients = make(60)
    at = np.linspace(0, 1, 11)
    low, high = curves.band(kind, read, labels, probabilities, patients, at=at)
    bootstrap = intervals.resample(patients, resamples=intervals.RESAMPLES, seed=intervals.SEED)
    heights = []
    for times in itertools.chain.from_iterable(bootstrap):
        if 0 < times @ labels < times.sum():
            repeated = np.repeat(np.arange(60), times.astype(int))
            once = np.ones((1, len(repeated)))
            heights += [read(c, at) for c in kind(labels[repeated], probabilities[repeated], once)]
    expected = np.percentile(heights, [2.5, 97.5], axis=0)
    np.testing.assert_allclose([low, high], expected, atol=1e-12)
    ((across, up),) = kind(labels, probabilities, np.ones((1, 60)))
    curve = read((across, up), at)
    assert (low <= curve).all()
    assert (curve <= high).all()
    assert (low[2:8] < high[2:8]).all()


def test_bins_by_hand() -> None:
    # 20 images: two in each of ten bins, but the three at 0.05 tie and share the first
    probabilities = np.array([0.05] * 3 + [0.10 + 0.05 * image for image in range(17)])
    truth = np.zeros(20, bool)
    truth[[1, 4, 18, 19]] = True
    patients = np.array([f"p{image // 2}" for image in range(20)])  # images 0, 1 and 2, 3 and so on
    bins = curves.reliability(truth, probabilities, patients)
    assert [one.images for one in bins] == [3, 1, 2, 2, 2, 2, 2, 2, 2, 2]
    assert [one.events for one in bins] == [1, 0, 1, 0, 0, 0, 0, 0, 0, 2]
    first, second, third = bins[:3]
    assert (first.start, first.end) == (0.05, 0.05)
    assert first.probability == pytest.approx(0.05)
    assert first.fraction == pytest.approx(1 / 3)
    assert (second.start, second.end) == (0.10, 0.10)
    assert third.probability == pytest.approx((0.15 + 0.20) / 2)
    # patients p0 and p1 in the first, p2 alone in the third
    for one, people in ((first, 2), (third, 1)):
        assert (one.low, one.high) == pytest.approx(curves.wilson(one.fraction, people))


@pytest.mark.parametrize(("found", "count"), [(0, 7), (3, 7), (7, 7), (1, 1), (81, 263)])
def test_an_interval_is_that_of_scipy(found: int, count: int) -> None:
    expected = binomtest(found, count).proportion_ci(method="wilson")
    assert curves.wilson(found / count, count) == pytest.approx(tuple(expected), abs=1e-12)


@given(
    st.lists(
        st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.35, 0.5, 0.99, 1.0])),
        min_size=1,
        max_size=60,
    )
)
def test_bins_hold_every_image_once(images: list[tuple[bool, float]]) -> None:
    truth, probabilities = (np.array(column) for column in zip(*images, strict=True))
    patients = np.array([f"p{image}" for image in range(len(images))])
    bins = curves.reliability(truth, probabilities, patients)
    assert sum(one.images for one in bins) == len(images)
    assert sum(one.events for one in bins) == truth.sum()
    assert all(one.end < other.start for one, other in itertools.pairwise(bins))
    for one in bins:
        assert one.start - 1e-12 <= one.probability <= one.end + 1e-12
        assert one.low - 1e-12 <= one.fraction <= one.high + 1e-12
