"""Shards -> batches on their way to the device, pixels as stored.

Training and evaluation are two short functions. The order of films in an epoch depends on the seed
and the number of the epoch alone, so a run taken up at epoch 7 sees what it would have seen.
"""

from __future__ import annotations

import os

import tensorflow as tf
from absl import logging

from flags.catalogue import Target
from flags.size import ImageSize
from trainer import examples
from trainer.features import Features
from trainer.records import Split

AUTOTUNE = tf.data.AUTOTUNE
_SHARDS_AT_A_TIME = 4
_SHUFFLE_BYTES = 256 * 1024**2
_SHUFFLE_FILMS = 2048
_ALL = 2**31


def training_batches(
    split: Split,
    target: Target,
    size: ImageSize,
    *,
    batch_size: int,
    seed: int,
    first_epoch: int,
    last_epoch: int,
    cache: bool,
    features: Features | None = None,
) -> tf.data.Dataset:
    """Streams the epochs first_epoch..last_epoch-1, each film once an epoch, one after the other.

    With `features`, which the split's shards then hold, films come in the same order.

    Returns:
        dataset of ([batch, height, width, 1] uint16, [batch, 1] float32 in {0, 1}); an epoch is
        ceil(films / batch_size) batches, the last one may be smaller.
    """
    shards = _open(split, cache=cache)
    buffer = max(2, min(_SHUFFLE_FILMS, _SHUFFLE_BYTES // (2 * size.height * size.width)))

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        order = {"seed": seed + epoch, "reshuffle_each_iteration": False}
        records = _read(shards.shuffle(len(split.shards), **order), split, target)
        return records.shuffle(buffer, **order).batch(batch_size)

    epochs = tf.data.Dataset.range(first_epoch, last_epoch).flat_map(one_epoch)
    count = (last_epoch - first_epoch) * batches_in(split, batch_size)
    return _decode(_count(epochs, count), target, size, features)


def evaluation_batches(
    split: Split,
    target: Target,
    size: ImageSize,
    *,
    batch_size: int,
    cache: bool = False,
    features: Features | None = None,
) -> tf.data.Dataset:
    """Streams every film once, in the order of the shards; batches as in training."""
    batches = _read(_open(split, cache=cache), split, target).batch(batch_size)
    return _decode(_count(batches, batches_in(split, batch_size)), target, size, features)


def metadata_batches(split: Split, target: Target, *, batch_size: int) -> tf.data.Dataset:
    """Streams (metadata, label) in the order of `evaluation_batches`, without pixels."""
    return (
        _read(_open(split, cache=False), split, target)
        .batch(batch_size)
        .map(
            lambda serialized: (
                examples.parse_metadata(serialized),
                examples.parse_labels(serialized, target),
            )
        )
    )


def batches_in(split: Split, batch_size: int) -> int:
    """Counts the batches of one epoch."""
    return -(-len(split.films) // batch_size)


def choose_cache(setting: str, split: Split) -> bool:
    """Decides whether the records of a split wait in memory between epochs, and logs why."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    cache = setting == "memory" or (setting == "auto" and split.bytes < free / 4)
    logging.info(
        "%s films: %.2f GB of records, %.1f GB of memory free, --cache=%s: %s",
        split.name,
        split.bytes / 1e9,
        free / 1e9,
        setting,
        "kept in memory" if cache else "read from disk every epoch",
    )
    return cache


def _open(split: Split, *, cache: bool) -> tf.data.Dataset:
    """Lists the shards that hold records: each its path, or all its records, kept in memory.

    Either way there are as many elements, so that shuffled they come in the same order.
    """
    paths = tf.data.Dataset.from_tensor_slices(
        [shard for shard in split.shards if os.path.getsize(shard)]
    )
    if not cache:
        return paths
    whole = paths.flat_map(lambda path: tf.data.TFRecordDataset(path).batch(_ALL))
    return whole.cache()


def _read(shards: tf.data.Dataset, split: Split, target: Target) -> tf.data.Dataset:
    """Reads serialized records with a label, a few shards at a time, in the order of `shards`."""
    kept = shards.element_spec.shape.rank == 1
    records = shards.interleave(
        tf.data.Dataset.from_tensor_slices if kept else tf.data.TFRecordDataset,
        cycle_length=_SHARDS_AT_A_TIME,
        num_parallel_calls=AUTOTUNE,
        deterministic=True,
    )
    if split.left_out:
        records = records.filter(lambda record: examples.parse_labels(record, target) >= 0)
    return records


def _count(batches: tf.data.Dataset, count: int) -> tf.data.Dataset:
    """Tells Keras how many batches will come; a shard that yields others is an error."""
    return batches.apply(tf.data.experimental.assert_cardinality(count))


def _decode(
    batches: tf.data.Dataset, target: Target, size: ImageSize, features: Features | None
) -> tf.data.Dataset:
    """Parses whole batches: the pixels are copied once, from the record into the batch."""

    def parse(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        labels = examples.parse_labels(serialized, target)
        if features is not None:
            return features.parse(serialized), labels[:, tf.newaxis]
        return examples.parse_images(serialized, size), labels[:, tf.newaxis]

    return batches.map(parse, num_parallel_calls=AUTOTUNE, deterministic=True).prefetch(AUTOTUNE)
