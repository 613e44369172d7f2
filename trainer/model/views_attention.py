"""Gated attention over a bag of views: within each side, then over the sides.

Ilse et al., Attention-based deep multiple instance learning, ICML 2018, equation 9; by side Pathak
et al., Weakly supervised learning on exams of any number of images, arXiv 2310.12677 (ESAttSide).
"""

from __future__ import annotations

from collections.abc import Sequence

import keras

from flags.training_config import TrainingConfig
from trainer.model import head, several_views

_UNITS = 128
_VIEWS_OF_SIDE = 2
_ABSENT = -1e9


def add(
    features: keras.KerasTensor,
    present: keras.KerasTensor,
    config: TrainingConfig,
    *,
    kind: str,
    fractions: Sequence[float],
) -> keras.KerasTensor:
    """Adds pooling, attention and head; arguments and result are those of `views_mean.add`."""
    sides = present.shape[1] // _VIEWS_OF_SIDE
    pooled = keras.layers.GlobalAveragePooling2D(name="pool")(features)
    there = keras.ops.reshape(present, (-1, _VIEWS_OF_SIDE))
    vectors = _attend(several_views.fold(pooled, there), there, "view")
    if sides > 1:
        there = keras.ops.reshape(keras.ops.any(there, axis=1), (-1, sides))
        vectors = _attend(several_views.fold(vectors, there), there, "side")
    return head.classify(vectors, config, kind=kind, fractions=fractions)


def _attend(bag: keras.KerasTensor, there: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """[batch, members, channels] -> [batch, channels], the mean by learned weights."""
    what = keras.layers.Dense(_UNITS, activation="tanh", name=f"{name}_value")(bag)
    gate = keras.layers.Dense(_UNITS, activation="sigmoid", name=f"{name}_gate")(bag)
    score = keras.layers.Dense(1, use_bias=False, dtype="float32", name=f"{name}_score")
    held = keras.ops.expand_dims(there, -1)
    weights = keras.ops.softmax(keras.ops.where(held, score(what * gate), _ABSENT), axis=1)
    return keras.ops.sum(bag * keras.ops.cast(weights, bag.dtype), axis=1)
