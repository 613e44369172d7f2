"""The threshold against a search over all cuts, in whole numbers, and scikit-learn."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import recall_score, roc_curve

from trainer.evaluation import threshold


def youden(probabilities, labels, cut) -> Fraction:
    called = [probability > cut for probability in probabilities]
    fractions = []
    for label in (0, 1):
        right = [c == label for c, truth in zip(called, labels, strict=True) if truth == label]
        fractions.append(Fraction(sum(right), len(right)))
    return sum(fractions) - 1


# whole 64ths are exact, so are their midpoints
SIXTYFOURTHS = st.lists(
    st.tuples(st.integers(0, 64), st.integers(0, 1)), min_size=2, max_size=30
).filter(lambda images: len({label for _, label in images}) == 2)


@given(SIXTYFOURTHS)
def test_no_other_cut_is_better(images):
    probabilities = [number / 64 for number, _ in images]
    labels = [label for _, label in images]
    found = threshold.choose(np.array(probabilities), np.array(labels))
    levels = sorted(set(probabilities))
    cuts = [((low + high) / 2, high - low) for low, high in itertools.pairwise(levels)]
    best = max((youden(probabilities, labels, cut) for cut, _ in cuts), default=Fraction(0))
    if best <= 0:
        assert found.value is None
        assert found.not_defined_because.startswith("no threshold parts the validation images")
        return
    equal = [(cut, gap) for cut, gap in cuts if youden(probabilities, labels, cut) == best]
    widest = [cut for cut, gap in equal if gap == max(gap for _, gap in equal)]
    nearest = min(abs(cut - 0.5) for cut in widest)
    assert found.value in widest
    assert abs(found.value - 0.5) == nearest
    called = np.array(probabilities) > found.value
    assert found.sensitivity == pytest.approx(recall_score(labels, called))
    assert found.specificity == pytest.approx(recall_score(labels, called, pos_label=0))


@given(SIXTYFOURTHS, st.integers(0, 2**32 - 1))
def test_rounding_and_order_change_nothing(images, seed):
    """Another machine's probabilities, and images in another order, choose the same cut."""
    probabilities = np.array([number / 64 for number, _ in images])
    labels = np.array([label for _, label in images])
    found = threshold.choose(probabilities, labels).value
    assume(found is not None)
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(images))
    # equal images get equal noise: a network gives equal pixels one answer
    noise = dict(zip(np.unique(probabilities), generator.uniform(-1e-8, 1e-8, 65), strict=False))
    moved = np.clip([p + noise[p] for p in probabilities], 0, 1)
    again = threshold.choose(moved[order], labels[order]).value
    # an exact tie between mirror cuts, 0.5 - x and 0.5 + x, may fall either way
    assert again == pytest.approx(found, abs=1e-7) or again == pytest.approx(1 - found, abs=1e-7)


def test_the_index_is_that_of_the_roc_curve():
    generator = np.random.default_rng(6)
    labels = generator.integers(0, 2, 500)
    probabilities = 1 / (1 + np.exp(-(generator.normal(0, 1, 500) + labels)))
    found = threshold.choose(probabilities, labels)
    false_alarms, found_fraction, _ = roc_curve(labels, probabilities)
    assert found.sensitivity + found.specificity - 1 == pytest.approx(
        (found_fraction - false_alarms).max(), abs=1e-12
    )


def test_a_separated_set_is_cut_in_the_middle_of_its_gap():
    found = threshold.choose(np.array([0.1, 0.2, 0.8, 0.9]), np.array([0, 0, 1, 1]))
    assert found == threshold.Threshold(0.5, threshold.RULE, sensitivity=1.0, specificity=1.0)


def test_probabilities_that_rounding_could_swap_are_not_parted():
    probabilities = np.array([0.5, 0.5 + 1e-8, 0.2, 0.7])
    found = threshold.choose(probabilities, np.array([0, 1, 0, 1]))
    assert found.value == pytest.approx(0.35)  # or 0.6, which finds as much; the gap is wider
