"""Shards -> batches on their way to the device, pixels as stored.

Training and evaluation are two short functions. The order of images in an epoch depends on the seed
and the number of the epoch alone, so a run resumed at epoch 7 sees what it would have seen.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import tensorflow as tf
from absl import logging

from flags.catalogue import Target
from records import memory
from records.image_size import ImageSize
from trainer.data import class_balance, parsing
from trainer.data.dataset import Split
from trainer.model.feature_cache import Features

AUTOTUNE = tf.data.AUTOTUNE
_SHARDS_AT_A_TIME = 4
_SHUFFLE_BYTES = 256 * 1024**2
_SHUFFLE_IMAGES = 2048
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
    """Streams the epochs first_epoch..last_epoch-1, one after the other.

    Each image stands once in an epoch, or as often as the split's sampling says.

    With `features`, which the split's shards then hold, images come in the same order.

    Returns:
        dataset of ([batch, height, width, 1] uint16, [batch, 1] float32, the class); an epoch is
        ceil(split.epoch_size / batch_size) batches, the last one may be smaller.
    """
    shards = _open(split, cache=cache)
    sample = _sampler(split, seed)
    buffer = max(2, min(_SHUFFLE_IMAGES, _SHUFFLE_BYTES // (2 * size.height * size.width)))

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        order = {"seed": seed + epoch, "reshuffle_each_iteration": False}
        records = _read(shards.shuffle(len(split.shards), **order), split)
        return sample(records, epoch).shuffle(buffer, **order).batch(batch_size)

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
    """Streams every image once, in the order of the shards; batches as in training."""
    batches = _read(_open(split, cache=cache), split).batch(batch_size)
    return _decode(_count(batches, batches_in(split, batch_size)), target, size, features)


def metadata_batches(split: Split, target: Target, *, batch_size: int) -> tf.data.Dataset:
    """Streams (metadata, label) in the order of `evaluation_batches`, without pixels."""
    return (
        _read(_open(split, cache=False), split)
        .batch(batch_size)
        .map(
            lambda serialized: (
                parsing.parse_metadata(serialized),
                parsing.parse_labels(serialized, target),
            )
        )
    )


def image_batches(split: Split, size: ImageSize, *, batch_size: int) -> tf.data.Dataset:
    """Streams (pixels as stored, [batch, 2] native rows and columns, [batch] patient ids)."""
    return (
        _read(_open(split, cache=False), split)
        .batch(batch_size)
        .map(
            lambda serialized: (
                parsing.parse_images(serialized, size),
                parsing.parse_native_sizes(serialized),
                parsing.parse_metadata(serialized)["patient_id"],
            )
        )
        .prefetch(1)
    )


def batches_in(split: Split, batch_size: int) -> int:
    """Counts the batches of one epoch."""
    return -(-split.epoch_size // batch_size)


def choose_cache(setting: str, split: Split) -> bool:
    """Decides whether the records of a split wait in memory between epochs, and logs why."""
    free = memory.available()
    cache = setting == "memory" or (setting == "auto" and split.bytes < free / 4)
    logging.info(
        "%s images: %.2f GB of records, %.1f GB of memory free, --cache=%s: %s",
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


def _read(shards: tf.data.Dataset, split: Split) -> tf.data.Dataset:
    """Reads the serialized records of a split, a few shards at a time, in the order of `shards`."""
    kept = shards.element_spec.shape.rank == 1
    records = shards.interleave(
        tf.data.Dataset.from_tensor_slices if kept else tf.data.TFRecordDataset,
        cycle_length=_SHARDS_AT_A_TIME,
        num_parallel_calls=AUTOTUNE,
        deterministic=True,
    )
    if split.partial:
        place = _place_of_image(split)
        records = records.filter(lambda record: place(record) >= 0)
    return records


def _sampler(split: Split, seed: int) -> Callable[[tf.data.Dataset, tf.Tensor], tf.data.Dataset]:
    """Makes the step that drops and repeats the images of an epoch as the split's sampling says."""
    if split.sampling == "none":
        return lambda records, _: records
    place = _place_of_image(split)

    def sample(records: tf.data.Dataset, epoch: tf.Tensor) -> tf.data.Dataset:
        copies = class_balance.copies_of_epoch(
            split.labels, sampling=split.sampling, seed=seed, epoch=epoch
        )
        return records.flat_map(
            lambda record: tf.data.Dataset.from_tensors(record).repeat(copies[place(record)])
        )

    return sample


def _place_of_image(split: Split) -> Callable[[tf.Tensor], tf.Tensor]:
    """Makes a function of a record: where its image stands in split.images, -1 if it does not."""
    names = {image["image_id"]: place for place, image in enumerate(split.images)}
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(
            tf.constant(list(names)), tf.constant(list(names.values()), tf.int64)
        ),
        default_value=-1,
    )
    return lambda record: table.lookup(parsing.parse_image_ids(record))


def _count(batches: tf.data.Dataset, count: int) -> tf.data.Dataset:
    """Tells Keras how many batches will come; a shard that yields others is an error."""
    return batches.apply(tf.data.experimental.assert_cardinality(count))


def _decode(
    batches: tf.data.Dataset, target: Target, size: ImageSize, features: Features | None
) -> tf.data.Dataset:
    """Parses whole batches: the pixels are copied once, from the record into the batch."""

    def parse(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        labels = parsing.parse_labels(serialized, target)
        if features is not None:
            return features.parse(serialized), labels[:, tf.newaxis]
        return parsing.parse_images(serialized, size), labels[:, tf.newaxis]

    return batches.map(parse, num_parallel_calls=AUTOTUNE, deterministic=True).prefetch(AUTOTUNE)
