"""Which devices train: flag value -> tf.distribute strategy."""

from __future__ import annotations

import tensorflow as tf


def make(name: str) -> tf.distribute.Strategy:
    """Makes the strategy of a name in `flags.training.STRATEGIES`.

    `mirrored` takes every GPU; without one, every logical CPU device.
    """
    if name == "default":
        return tf.distribute.get_strategy()
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])
