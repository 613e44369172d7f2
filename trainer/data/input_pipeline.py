"""Shards -> batches on their way to the device, pixels as stored.

Training and evaluation are two short functions. The order of images in an epoch depends on the seed
and the number of the epoch alone, so a run resumed at epoch 7 sees what it would have seen.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from absl import logging

from flags.targets import Target
from records import memory
from records.image_size import ImageSize
from trainer.data import class_balance, parsing
from trainer.data.dataset import Split

AUTOTUNE = tf.data.AUTOTUNE
_SHARDS_AT_A_TIME = 4
_SHUFFLE_BYTES = 256 * 1024**2
_SHUFFLE_IMAGES = 2048
_ALL = 2**31

Parse = Callable[[tf.Tensor], tf.Tensor]
"""Serialized records of a batch, [batch] strings -> what the network takes of them."""


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
    parse: Parse | None = None,
) -> tf.data.Dataset:
    """Streams the epochs first_epoch..last_epoch-1, one after the other.

    Each image stands once in an epoch, or as often as its sampling repeats it. The order does not
    depend on `parse`, which reads something else than pixels from the records.

    Returns:
        dataset of ([batch, height, width, 1] uint16, [batch, 1] float32, the class), where a
        record holds several views of (`pixels` [batch, views, height, width, 1] uint16 and
        `views_present` [batch, views] bool, the class), with columns as `parsing.parse_inputs`
        has them; an epoch is
        ceil(split.epoch_size / batch_size) batches, the last one may be smaller.
    """
    shards = _open(split, cache=cache)
    sample = _sampler(split, seed)
    record_bytes = 2 * size.height * size.width * max(split.views, 1)
    buffer = max(2, min(_SHUFFLE_IMAGES, _SHUFFLE_BYTES // record_bytes))

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        # under the global seed 0, get_seed compares this tensor seed with 0 and fails
        tf.compat.v1.set_random_seed(seed or 1)
        order = {"seed": seed + epoch, "reshuffle_each_iteration": False}
        records = _read(shards.shuffle(len(split.shards), **order), split)
        return sample(records, epoch).shuffle(buffer, **order).batch(batch_size)

    epochs = tf.data.Dataset.range(first_epoch, last_epoch).flat_map(one_epoch)
    count = (last_epoch - first_epoch) * batches_in(split, batch_size)
    return _decode(_count(epochs, count), split, target, size, parse)


def evaluation_batches(
    split: Split,
    target: Target,
    size: ImageSize,
    *,
    batch_size: int,
    cache: bool = False,
    parse: Parse | None = None,
) -> tf.data.Dataset:
    """Streams every image once, in the order of the shards; batches as in training."""
    batches = _read(_open(split, cache=cache), split).batch(batch_size)
    return _decode(_count(batches, batches_in(split, batch_size)), split, target, size, parse)


def described_batches(
    split: Split, target: Target, size: ImageSize, *, batch_size: int
) -> tf.data.Dataset:
    """Streams every image once with all that evaluation needs, batches as `evaluation_batches`.

    Returns:
        dataset of (pixels as above, [batch] float32 labels, METADATA_KEYS -> [batch] strings,
        [batch] paths of shards, [batch] places in them).
    """
    shards = _open(split, cache=False)

    def numbered(shard: tf.Tensor) -> tf.data.Dataset:
        records = tf.data.TFRecordDataset(shard).enumerate()
        return records.map(lambda number, record: (record, shard, number))

    def parse(serialized: tf.Tensor, shard: tf.Tensor, number: tf.Tensor) -> tuple[Any, ...]:
        labels = parsing.parse_labels(serialized, target)
        metadata = parsing.parse_metadata(serialized, split.views)
        inputs = parsing.parse_inputs(serialized, size, split.views, split.side)
        return inputs, labels, metadata, shard, number

    records = _interleave(shards, numbered)
    if split.partial:
        place = _place_of_image(split)
        records = records.filter(lambda record, shard, number: place(record) >= 0)
    batches = _count(records.batch(batch_size), batches_in(split, batch_size))
    return batches.map(parse, num_parallel_calls=AUTOTUNE, deterministic=True).prefetch(AUTOTUNE)


def image_batches(split: Split, size: ImageSize, *, batch_size: int) -> tf.data.Dataset:
    """Streams (pixels as stored, [images, 2] native rows and columns, [images] patient ids).

    They are of a batch of records, with all the views that are there.
    """

    def parse(serialized: tf.Tensor) -> tuple[tf.Tensor, ...]:
        pixels = parsing.parse_images(serialized, size, split.views)
        sizes = parsing.parse_native_sizes(serialized, split.views)
        patients = parsing.parse_metadata(serialized)["patient_id"]
        if not split.views:
            return pixels, sizes, patients
        there = parsing.parse_views_present(serialized, split.views)
        owners = tf.repeat(patients, tf.reduce_sum(tf.cast(there, tf.int32), axis=1))
        return tf.boolean_mask(pixels, there), tf.boolean_mask(sizes, there), owners

    return _read(_open(split, cache=False), split).batch(batch_size).map(parse).prefetch(1)


def batches_in(split: Split, batch_size: int) -> int:
    """Counts the batches of one epoch."""
    return -(-split.epoch_size // batch_size)


def choose_cache(setting: str, split: Split) -> bool:
    """Decides whether the records of a split wait in memory between epochs, and logs why."""
    free = memory.available()
    cache = setting == "memory" or (setting == "auto" and split.bytes < free / 4)
    logging.debug(
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
    records = _interleave(
        shards, tf.data.Dataset.from_tensor_slices if kept else tf.data.TFRecordDataset
    )
    if split.partial:
        place = _place_of_image(split)
        records = records.filter(lambda record: place(record) >= 0)
    return records


def _interleave(
    shards: tf.data.Dataset, read: Callable[[tf.Tensor], tf.data.Dataset]
) -> tf.data.Dataset:
    """Takes a record of each of a few shards in turn, always in the same order."""
    return shards.interleave(
        read, cycle_length=_SHARDS_AT_A_TIME, num_parallel_calls=AUTOTUNE, deterministic=True
    )


def _sampler(split: Split, seed: int) -> Callable[[tf.data.Dataset, tf.Tensor], tf.data.Dataset]:
    """Makes the step that drops and repeats the images of an epoch by the split's sampling."""
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
    batches: tf.data.Dataset, split: Split, target: Target, size: ImageSize, parse: Parse | None
) -> tf.data.Dataset:
    """Parses whole batches: the pixels are copied once, from the record into the batch."""

    def parse_batch(serialized: tf.Tensor) -> tuple[Any, tf.Tensor]:
        labels = parsing.parse_labels(serialized, target)
        if parse is not None:
            return parse(serialized), labels[:, tf.newaxis]
        inputs = parsing.parse_inputs(serialized, size, split.views, split.side, split.also)
        return inputs, labels[:, tf.newaxis]

    parsed = batches.map(parse_batch, num_parallel_calls=AUTOTUNE, deterministic=True)
    return parsed.prefetch(AUTOTUNE)
