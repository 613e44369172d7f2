"""A column for CC and one for MLO, each with weights of its own; pooled features joined.

Wu et al., Deep neural networks improve radiologists' performance in breast cancer screening, IEEE
Trans. Medical Imaging 39:1184-1194, 2020: CC of both sides share a column, and so does MLO.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras

from flags.training_config import TrainingConfig
from trainer.model import head, several_views

_COLUMNS = ("cc", "mlo")
"""Order of the views of a side, see `records.schema.VIEWS`."""


def make_columns(base: keras.Model) -> keras.Model:
    """Makes a base of two columns that begin with the same weights.

    Returns:
        model of a batch of CC and one of MLO -> the features of both; its layers are those of the
        columns, so that whatever freezes or slows layers of a base does so in both.
    """
    columns = []
    for name in _COLUMNS:
        column = keras.models.clone_model(base)
        column.set_weights(base.get_weights())
        for operation in column.operations:
            operation.name = f"{operation.name}_{name}"
        columns.append(column)
    return keras.Model(
        [column.inputs[0] for column in columns], [column.outputs[0] for column in columns]
    )


def run_columns(base: keras.Model, images: keras.KerasTensor) -> keras.KerasTensor:
    """Runs each view through its column: [batch * views, height, width, 3] -> features."""
    count = len(_COLUMNS)
    by_view = keras.ops.reshape(images, (-1, count, *images.shape[1:]))
    found = keras.ops.stack(base([by_view[:, place] for place in range(count)]), axis=1)
    return keras.ops.reshape(found, (-1, *found.shape[2:]))


def add(
    features: keras.KerasTensor,
    present: keras.KerasTensor,
    config: TrainingConfig,
    *,
    kind: str,
    fractions: Sequence[float],
) -> keras.KerasTensor:
    """Adds pooling and the head; arguments and result are those of `views_mean.add`."""
    pooled = keras.layers.GlobalAveragePooling2D(name="pool")(features)
    filled = several_views.fill_in(several_views.fold(pooled, present), present)
    joined = keras.ops.reshape(filled, (-1, filled.shape[1] * filled.shape[2]))
    return head.classify(joined, config, kind=kind, fractions=fractions)
