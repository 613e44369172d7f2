"""Bytes of records -> tensors, by the table in records.schema.

`views` is how many a record holds, 0 where it is one image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tensorflow as tf

from flags.column_config import NUMBERS
from flags.targets import Target
from records import schema
from records.image_size import ImageSize

METADATA_KEYS = ("image_id", "patient_id", *schema.TITLES)


def parse_images(serialized: tf.Tensor, size: ImageSize, views: int = 0) -> tf.Tensor:
    """Reads pixels as stored: [batch] strings -> [batch, (views,) height, width, 1] uint16."""
    raw = tf.io.decode_raw(_parse(serialized, ("image",))["image"], tf.uint16)
    axes = [views] if views else []
    return tf.reshape(raw, [-1, *axes, size.height, size.width, 1])


def parse_views_present(serialized: tf.Tensor, views: int) -> tf.Tensor:
    """Reads which views are there: [batch] strings -> [batch, views] bool."""
    return _parse(serialized, ("views_present",), views)["views_present"] > 0


def parse_inputs(
    serialized: tf.Tensor,
    size: ImageSize,
    views: int,
    side: Sequence[str] = (),
    also: Mapping[str, Target] | None = None,
) -> tf.Tensor | dict[str, tf.Tensor]:
    """Reads what a network takes: `pixels`, and of several views also `views_present`.

    Of columns in `side` it also takes `side_COLUMN`, [batch, 1] strings or float32, NaN where not
    stated; in training, of those in `also`, `also_COLUMN`, the class as `parse_labels` reads it.
    """
    inputs = {"pixels": parse_images(serialized, size, views)}
    if views:
        inputs["views_present"] = parse_views_present(serialized, views)
    for column, value in (_parse(serialized, tuple(side)) if side else {}).items():
        inputs[f"side_{column}"] = (_number(value) if column in NUMBERS else value)[:, tf.newaxis]
    for column, target in (also or {}).items():
        inputs[f"also_{column}"] = parse_labels(serialized, target)[:, tf.newaxis]
    return inputs if len(inputs) > 1 else inputs["pixels"]


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


def parse_native_sizes(serialized: tf.Tensor, views: int = 0) -> tf.Tensor:
    """Reads sizes before the recipe: [batch] strings -> [batch, (views,) 2] rows, columns."""
    keys = ("original_height", "original_width")
    sizes = _parse(serialized, keys, views)
    return tf.stack([sizes[key] for key in keys], axis=-1)


def parse_metadata(serialized: tf.Tensor, views: int = 0) -> dict[str, tf.Tensor]:
    """Reads who is on the images of a batch: METADATA_KEYS -> [batch] strings.

    Of several views also `image_ids`, joined by ';' as in units.csv.
    """
    parsed = _parse(serialized, METADATA_KEYS)
    if views:
        names = _parse(serialized, ("image_ids",), views)["image_ids"]
        parsed["image_ids"] = tf.strings.reduce_join(names, axis=1, separator=";")
    return parsed


def _number(value: tf.Tensor) -> tf.Tensor:
    """Reads numbers, NaN of ""."""
    if value.dtype != tf.string:
        return tf.cast(value, tf.float32)
    return tf.strings.to_number(tf.where(value == "", "nan", value))


def _parse(serialized: tf.Tensor, keys: tuple[str, ...], views: int = 0) -> dict[str, tf.Tensor]:
    kinds = {"image": tf.string, "text": tf.string, "integer": tf.int64, "class": tf.int64}
    wanted = {
        feature.key: tf.io.FixedLenFeature(
            [views] if views and feature.per_view else [],
            kinds[feature.kind],
            default_value="" if feature.key in schema.LATER else None,
        )
        for feature in (*schema.FEATURES, *schema.VIEW_FEATURES)
        if feature.key in keys
    }
    parsed: dict[str, tf.Tensor] = tf.io.parse_example(serialized, wanted)
    return parsed
