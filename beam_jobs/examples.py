"""A film's row and pixels -> the bytes of a tf.train.Example, by the table in flags.schema."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from beam_jobs.sources.film import Film
from flags import schema


def encode(film: Film, image: np.ndarray, original: tuple[int, int]) -> bytes:
    """Serializes one record, the same bytes for the same input.

    Args:
        film: what the tables say.
        image: [height, width, 1] uint16.
        original: (rows, columns) of the film before the recipe.
    """
    assert image.dtype == np.uint16, image.dtype
    values = {
        **film.clinical(),
        "image": image.astype("<u2", copy=False).tobytes(),
        "original_height": original[0],
        "original_width": original[1],
    }
    example = tf.train.Example()
    for feature in schema.FEATURES:
        value = values[feature.key]
        entry = example.features.feature[feature.key]
        if isinstance(value, int):
            entry.int64_list.value.append(value)
        else:
            entry.bytes_list.value.append(value if isinstance(value, bytes) else value.encode())
    return example.SerializeToString(deterministic=True)
