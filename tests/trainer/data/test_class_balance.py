"""Images of an epoch counted with NumPy, weights against the published ones."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from flags.targets import TARGETS
from flags.training_config import TrainingConfig
from records.errors import CallerError
from trainer.data import class_balance

PATHOLOGY = TARGETS["pathology"]


def copies(labels, kind, *, seed=1, epoch=0):
    return class_balance.copies_of_epoch(
        labels, sampling=kind, seed=seed, epoch=tf.constant(epoch, tf.int64)
    ).numpy()


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.sampled_from(["under", "over"]))
def test_every_class_has_as_many_images(labels, kind):
    times = copies(labels, kind)
    counts = np.bincount(labels)
    wanted = counts[counts > 0].min() if kind == "under" else counts.max()
    for label in set(labels):
        own = times[np.array(labels) == label]
        assert own.sum() == wanted
        assert own.max() - own.min() <= 1  # as evenly as can be
    assert times.sum() == class_balance.epoch_size(labels, kind)
    assert class_balance.epoch_size(labels, "none") == len(labels)


def test_the_draw_depends_on_seed_and_epoch_alone():
    labels = [0] * 30 + [1] * 7
    first = copies(labels, "under")
    np.testing.assert_array_equal(first, copies(labels, "under"))
    assert (first != copies(labels, "under", epoch=1)).any()
    assert (first != copies(labels, "under", seed=2)).any()
    drawn = sum(copies(labels, "under", epoch=epoch)[:30] for epoch in range(100))
    assert drawn.min() > 100 * 7 / 30 * 0.4  # every image has its turn
    assert (copies(labels, "under")[30:] == 1).all()


def weights(text, labels=(0, 1), target=PATHOLOGY, **options):
    config = TrainingConfig(class_weights=text, **options)
    return class_balance.choose_class_weights(config, labels, target)


def test_balanced_weights_are_the_published_ones():
    """Jaamour et al. 2023: 1010 benign and 823 malignant images give 0.90743 and 1.11361."""
    labels = (0,) * 1010 + (1,) * 823
    assert weights("balanced", labels) == pytest.approx((0.90743, 1.11361), abs=5e-6)
    assert weights("none", labels) == (1, 1)
    assert weights("1.0:1.5", labels) == (1, 1.5)


def test_weights_of_several_classes():
    labels = (0,) * 6 + (1,) * 3 + (2,) * 1
    assert weights("balanced", labels, TARGETS["three_class"]) == pytest.approx(
        (10 / 18, 10 / 9, 10 / 3)
    )
    assert weights("1:2:3", labels, TARGETS["three_class"]) == (1, 2, 3)
    assert weights("none", labels, TARGETS["three_class"]) == (1, 1, 1)


def test_sampled_classes_are_balanced_already():
    assert weights("balanced", (0, 0, 1), sampling="over") == (1, 1)
    assert weights("1:2", (0, 0, 1), sampling="over") == (1, 2)


def test_too_few_weights_are_refused():
    with pytest.raises(CallerError, match=r"has 2 weights, the images have 3 classes: normal, ben"):
        weights("1:2", (0, 1, 2), TARGETS["three_class"])
