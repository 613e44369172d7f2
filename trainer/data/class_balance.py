"""Class imbalance: sampling of an epoch, class weights, and class priors in the loss."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from flags import data_config
from flags.targets import Target
from records.errors import CallerError

if TYPE_CHECKING:  # slow; a caller's mistakes are found before
    import tensorflow as tf


def epoch_size(labels: Sequence[int], sampling: str) -> int:
    """Counts the images of an epoch, repeated ones as often as they stand in it."""
    counts = collections.Counter(labels)
    return len(labels) if sampling == "none" else len(counts) * _images_a_class(counts, sampling)


def copies_of_epoch(
    labels: Sequence[int], *, sampling: str, seed: int, epoch: tf.Tensor
) -> tf.Tensor:
    """Returns how often each image stands in an epoch; a function of its arguments alone.

    Random under- and over-sampling: every class gets as many images as the smallest, or the
    largest, has. Of a class of n images that is to have m, each stands there m // n times, and
    m % n of them, drawn anew each epoch, once more.

    Args:
        labels: class of each image.
        sampling: under or over.
        seed: of the draws.
        epoch: its number, int64 scalar.

    Returns:
        [images] int64.
    """
    counts = collections.Counter(labels)
    wanted = _images_a_class(counts, sampling)
    import tensorflow as tf

    shuffled = tf.random.stateless_uniform(
        [len(labels)], seed=tf.stack([tf.constant(seed, tf.int64), epoch])
    )
    copies = tf.zeros([len(labels)], tf.int64)
    for label, count in counts.items():
        members = tf.constant(np.flatnonzero(np.array(labels) == label))
        ranks = tf.argsort(tf.argsort(tf.gather(shuffled, members)))
        times = wanted // count + tf.cast(ranks < wanted % count, tf.int64)
        copies = tf.tensor_scatter_nd_update(copies, members[:, tf.newaxis], times)
    return copies


def choose_class_weights(
    config: data_config.Data, labels: Sequence[int], target: Target
) -> tuple[float, ...]:
    """Returns the weight of each class in the loss.

    `balanced` is images / (classes * images of the class), over the images as an epoch shows them:
    1 for every class after under- or over-sampling, which have balanced them already.

    Raises:
        CallerError: as many weights are given as the target has no classes.
    """
    classes = np.arange(len(target.names))
    given = data_config.fixed_class_weights(config)
    if given is not None and len(given) != len(classes):
        raise CallerError(
            f"--class_weights={config.class_weights} has {len(given)} weights, the images have "
            f"{len(classes)} classes: {', '.join(target.names)}"
        )
    if given is not None:
        return given
    if config.class_weights == "none" or config.sampling != "none":
        return (1.0,) * len(classes)
    from sklearn.utils.class_weight import compute_class_weight

    return tuple(map(float, compute_class_weight("balanced", classes=classes, y=list(labels))))


def weighted_fractions(
    config: data_config.Data, labels: Sequence[int], class_weights: Sequence[float]
) -> list[float]:
    """Returns the class prior in the loss: fractions of an epoch, times the class weights."""
    weights = np.asarray(class_weights)
    counts = np.bincount(labels, minlength=len(weights))
    weighed = weights * (counts if config.sampling == "none" else 1)
    return (weighed / weighed.sum()).tolist()


def _images_a_class(counts: collections.Counter[int], sampling: str) -> int:
    return {"under": min, "over": max}[sampling](counts.values())
