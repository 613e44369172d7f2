"""Flag value -> tf.distribute strategy, and what makes Keras's fit work with it.

A batch is split among the devices; its loss and gradient are those one device would have.
"""

from __future__ import annotations

import json
import os
from typing import Any

import keras
import tensorflow as tf

from records.errors import CallerError


def make(name: str) -> tf.distribute.Strategy:
    """Makes the strategy of a name in `flags.optimization_config.STRATEGIES`.

    `mirrored` takes every GPU; without one, every logical CPU device.

    Raises:
        CallerError: TF_CONFIG can't be used, or there is no TPU.
    """
    if name == "default":
        return tf.distribute.get_strategy()
    if name == "multi_worker":
        _check_cluster()
        return tf.distribute.MultiWorkerMirroredStrategy()
    if name == "tpu":
        return _find_tpu()
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def is_chief(devices: tf.distribute.Strategy) -> bool:
    """Whether this process writes the run folder: the first worker, or the only one."""
    cluster = devices.cluster_resolver if _has_workers(devices) else None
    return cluster is None or (cluster.task_type, cluster.task_id) in (("chief", 0), ("worker", 0))


def wait_for_all(devices: tf.distribute.Strategy) -> None:
    """Waits until every worker has come here."""
    any_worker(devices, here=False)


def any_worker(devices: tf.distribute.Strategy, *, here: bool) -> bool:
    """Whether a condition holds on any worker; waits until every worker has come here."""
    if not _has_workers(devices):
        return here

    @tf.function
    def count() -> tf.Tensor:
        counted = devices.run(lambda: tf.constant([1.0, float(here)]))
        return devices.reduce(tf.distribute.ReduceOp.SUM, counted, axis=None)

    came, holding = count().numpy()
    assert came == devices.num_replicas_in_sync
    return bool(holding)


def distribute(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Distributes batches: every worker reads all of them and takes its part of each.

    Dividing the shards instead would give workers different numbers of images, and other batches
    than one device sees.
    """
    options = tf.data.Options()
    policy = tf.data.experimental.AutoShardPolicy.DATA
    options.experimental_distribute.auto_shard_policy = policy
    return batches.with_options(options)


@keras.saving.register_keras_serializable(package="mammograms")
class MeanOverBatch(keras.losses.Loss):
    """A loss whose gradient is that of the mean over the whole batch, however it is split.

    Keras takes the mean of the means of the devices, in which the images of an uneven last batch
    count differently. The values stay those of the images: Keras weights them by their number.
    """

    def __init__(self, loss: keras.losses.Loss) -> None:
        super().__init__(name=loss.name)
        self._loss = loss

    def get_config(self) -> dict[str, Any]:
        """Returns what makes it anew: an augmented network is copied without its augmentation."""
        return {"loss": keras.saving.serialize_keras_object(self._loss)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> MeanOverBatch:
        """Makes it anew."""
        return cls(keras.saving.deserialize_keras_object(config["loss"]))

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """Returns a value for each image of this device: [images] float32."""
        values = self._loss.call(y_true, y_pred)
        replica = tf.distribute.get_replica_context()
        if replica is None:
            return values
        here = tf.cast(tf.shape(values)[0], values.dtype)
        everywhere = replica.all_reduce(tf.distribute.ReduceOp.SUM, here)
        scaled = values * (here * replica.num_replicas_in_sync / everywhere)
        return scaled + tf.stop_gradient(values - scaled)


def prepare(model: keras.Model, devices: tf.distribute.Strategy, batch: Any) -> None:
    """Makes Keras's fit work on several devices and machines.

    Keras 3.15 averages a first batch over the devices to learn its shape, which fails where it does
    not divide evenly and on several machines; so shapes are set here. On several machines it
    reduces the scalars a step returns along an axis, so they are made vectors.

    Args:
        model: compiled.
        devices: strategy it was built under.
        batch: (images, labels) as the dataset gives them, of any number of images.
    """
    if devices.num_replicas_in_sync == 1:
        return
    with devices.scope():
        model._symbolic_build(data_batch=batch)
    model._maybe_symbolic_build = lambda **_: None
    if not _has_workers(devices):
        return
    for name in ("train_step", "test_step"):
        step = getattr(type(model), name)

        def as_vectors(data: Any, step: Any = step) -> dict[str, tf.Tensor]:
            return {key: tf.reshape(value, [1]) for key, value in step(model, data).items()}

        setattr(model, name, as_vectors)


def _has_workers(devices: tf.distribute.Strategy) -> bool:
    return isinstance(devices, tf.distribute.MultiWorkerMirroredStrategy)


def _check_cluster() -> None:
    text = os.environ.get("TF_CONFIG", "")
    example = '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'
    try:
        stated = json.loads(text)
        task = stated["task"]
        _ = stated["cluster"][task["type"]][int(task["index"])]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise CallerError(
            f"--strategy=multi_worker needs the variable TF_CONFIG, as {example}, with another "
            f"index for every worker; it is {text or 'not set'}"
        ) from error


def _find_tpu() -> tf.distribute.Strategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect()
    except (ValueError, tf.errors.OpError, OSError) as error:
        line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CallerError(
            f"--strategy=tpu finds no TPU here ({line}); take default, mirrored or multi_worker"
        ) from error
    return tf.distribute.TPUStrategy(resolver)
