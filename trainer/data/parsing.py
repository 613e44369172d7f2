"""Bytes of records -> tensors, by the table in records.schema."""

from __future__ import annotations

import tensorflow as tf

from flags.targets import Target
from records import schema
from records.image_size import ImageSize

METADATA_KEYS = ("image_id", "patient_id", *schema.TITLES)


def parse_images(serialized: tf.Tensor, size: ImageSize) -> tf.Tensor:
    """Reads pixels as stored: [batch] strings -> [batch, height, width, 1] uint16."""
    raw = _parse(serialized, ("image",))["image"]
    return tf.reshape(tf.io.decode_raw(raw, tf.uint16), [-1, size.height, size.width, 1])


def parse_features(serialized: tf.Tensor, shape: tuple[int, ...], dtype: str) -> tf.Tensor:
    """Reads what `features` put in the place of pixels: [batch] strings -> [batch, *shape]."""
    raw = tf.io.decode_raw(_parse(serialized, ("image",))["image"], tf.uint8)
    kind = tf.as_dtype(dtype)
    return tf.bitcast(tf.reshape(raw, [-1, *shape, kind.size]), kind)


def parse_labels(serialized: tf.Tensor, target: Target) -> tf.Tensor:
    """Reads the classes of a batch: [batch] strings -> [batch] float32, -1 where none applies."""
    value = _parse(serialized, (target.column,))[target.column]
    names = [name for values in target.values for name in values]
    labels = [float(label) for label, values in enumerate(target.values) for _ in values]
    same = tf.equal(value[..., tf.newaxis], tf.constant(names))
    return tf.reduce_max(tf.where(same, tf.constant(labels), -1.0), axis=-1)


def parse_image_ids(serialized: tf.Tensor) -> tf.Tensor:
    """Reads the names of the images of a batch: [batch] strings -> [batch] strings."""
    return _parse(serialized, ("image_id",))["image_id"]


def parse_native_sizes(serialized: tf.Tensor) -> tf.Tensor:
    """Reads sizes before the recipe: [batch] strings -> [batch, 2] int64, rows and columns."""
    keys = ("original_height", "original_width")
    sizes = _parse(serialized, keys)
    return tf.stack([sizes[key] for key in keys], axis=1)


def parse_metadata(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """Reads who is on the images of a batch: METADATA_KEYS -> [batch] strings."""
    return _parse(serialized, METADATA_KEYS)


def _parse(serialized: tf.Tensor, keys: tuple[str, ...]) -> dict[str, tf.Tensor]:
    kinds = {"image": tf.string, "text": tf.string, "integer": tf.int64, "class": tf.int64}
    wanted = {
        feature.key: tf.io.FixedLenFeature([], kinds[feature.kind])
        for feature in schema.FEATURES
        if feature.key in keys
    }
    parsed: dict[str, tf.Tensor] = tf.io.parse_example(serialized, wanted)
    return parsed
