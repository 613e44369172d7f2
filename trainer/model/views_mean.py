"""Mean of views: the network of one image on every view, its probabilities averaged."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from flags.training_config import TrainingConfig
from trainer.model import head, several_views


def add(
    features: keras.KerasTensor,
    present: keras.KerasTensor,
    config: TrainingConfig,
    *,
    kind: str,
    fractions: Sequence[float],
) -> keras.KerasTensor:
    """Adds the head, and the mean over the views that are there.

    Args:
        features: [batch * views, height, width, channels] of the base.
        present: [batch, views] bool.
        config: which head.
        kind: as for `head.add`.
        fractions: the same.

    Returns:
        [batch, outputs] float32 probabilities.
    """
    output = head.add(features, config, kind=kind, fractions=fractions)
    there = keras.ops.expand_dims(keras.ops.cast(present, output.dtype), -1)
    summed = keras.ops.sum(several_views.fold(output, present) * there, axis=1)
    return summed / keras.ops.maximum(keras.ops.sum(there, axis=1), 1.0)
