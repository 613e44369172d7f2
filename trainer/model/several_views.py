"""Records of several views in a network: a batch of views, and what stands for an absent one.

No answer depends on the pixels of an absent view, nor does batch normalisation: another view of
the same breast goes through the base in its place, and what comes out is left out or replaced.
"""

from __future__ import annotations

import keras


def unfold(images: keras.KerasTensor, present: keras.KerasTensor) -> keras.KerasTensor:
    """Makes an image of each view, the first that is there in the place of an absent one.

    Args:
        images: [batch, views, height, width, channels].
        present: [batch, views] bool.

    Returns:
        [batch * views, height, width, channels].
    """
    count, *shape = images.shape[1:]
    there = keras.ops.cast(present, images.dtype)
    first = there * keras.ops.cast(keras.ops.cumsum(there, axis=1) == 1, images.dtype)
    weights = keras.ops.reshape(first, (-1, count, 1, 1, 1))
    other = keras.ops.sum(images * weights, axis=1, keepdims=True)
    held = keras.ops.reshape(present, (-1, count, 1, 1, 1))
    return keras.ops.reshape(keras.ops.where(held, images, other), (-1, *shape))


def fold(values: keras.KerasTensor, present: keras.KerasTensor) -> keras.KerasTensor:
    """[batch * views, ...] -> [batch, views, ...]."""
    return keras.ops.reshape(values, (-1, present.shape[1], *values.shape[1:]))


def fill_in(features: keras.KerasTensor, present: keras.KerasTensor) -> keras.KerasTensor:
    """Puts what is learned for each view in the place of an absent one's features.

    Args:
        features: [batch, views, ..., channels].
        present: [batch, views] bool.

    Returns:
        the same shape.
    """
    count, channels = features.shape[1], features.shape[-1]
    ones = (1,) * (len(features.shape) - 3)
    absent = 1 - keras.ops.cast(present, features.dtype)
    learned = keras.layers.EinsumDense(
        "bv,vc->bvc", (count, channels), kernel_initializer="zeros", name="stand_in"
    )(absent)
    held = keras.ops.reshape(present, (-1, count, *ones, 1))
    return keras.ops.where(held, features, keras.ops.reshape(learned, (-1, count, *ones, channels)))
