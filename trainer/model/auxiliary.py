"""Columns that a network learns beside its target: their losses in training, how well it does.

The main output, its loss and its metrics are what they would be; validation is of the target alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np

from trainer.data.run_json import AlsoPredicted
from trainer.data.side_columns import Names
from trainer.metrics import ranking
from trainer.model import network_input


@keras.saving.register_keras_serializable(package="mammograms")
class Auxiliary(keras.layers.Layer):
    """Passes vectors on, and in training adds the loss of a column predicted from them.

    Takes vectors [batch, channels] and classes [batch, 1], -1 where not stated.

    Args:
        classes: how many there are.
        weight: of the loss, which is the mean cross-entropy of the records that state the column.
        **options: those of Keras's layers.
    """

    def __init__(self, classes: int, weight: float, **options: Any) -> None:
        super().__init__(**{"dtype": "float32", **options})
        self._weight = weight
        # a name of its own: Keras's would be that of a hidden layer, dense_32, sooner or later
        self.dense = keras.layers.Dense(
            classes, activation="softmax", dtype="float32", name=f"{self.name}_classes"
        )

    def build(self, shapes: list[tuple[int, ...]]) -> None:
        """Makes the weights."""
        self.dense.build(shapes[0])

    def call(self, inputs: list[Any], training: bool = False) -> Any:
        """Returns the vectors."""
        vectors, classes = inputs
        if training:
            stated = keras.ops.cast(classes[:, 0] >= 0, "float32")
            losses = keras.losses.sparse_categorical_crossentropy(
                keras.ops.maximum(classes[:, 0], 0), self.dense(vectors)
            )
            count = keras.ops.maximum(keras.ops.sum(stated), 1)
            self.add_loss(self._weight * keras.ops.sum(losses * stated) / count)
        return vectors


def join(
    model: keras.Model, also: Mapping[str, Names], weights: Mapping[str, float]
) -> keras.Model:
    """Makes a network for training that also takes classes to learn, `also_COLUMN` [batch, 1].

    Args:
        model: its layer `probability` is the last.
        also: column -> its values.
        weights: column -> the weight of its loss.
    """
    last, inputs = model.layers[-1], network_input.as_dict(model.input)
    vectors = last.input
    for column, names in also.items():
        name = f"{network_input.ALSO}{column}"
        inputs = {**inputs, name: keras.Input((1,), dtype="float32", name=name)}
        learned = Auxiliary(len(names.values), weights[column], name=f"learn_{column}")
        vectors = learned([vectors, inputs[name]])
    output = keras.layers.Dense.from_config(last.get_config())(vectors)
    return keras.Model(inputs, output, name=model.name)


def evaluate(
    model: keras.Model, also: Mapping[str, Names], batches: Iterable[Any]
) -> dict[str, AlsoPredicted]:
    """Predicts the columns of the validation images, those that state them.

    Args:
        model: the network in training.
        also: as for `join`.
        batches: of (what it takes, labels).
    """
    layers = {column: model.get_layer(f"learn_{column}") for column in also}
    outputs = {column: layer.dense(layer.input[0]) for column, layer in layers.items()}
    predictor = keras.Model(model.input, outputs)
    found: dict[str, list[Any]] = {column: [] for column in also}
    for inputs, _ in batches:
        said = predictor.predict_on_batch(inputs)
        for column in also:
            classes = np.asarray(inputs[f"{network_input.ALSO}{column}"])[:, 0].astype(int)
            found[column].append((classes[classes >= 0], said[column][classes >= 0]))
    return {
        column: _evaluate_one(names, *map(np.concatenate, zip(*found[column], strict=True)))
        for column, names in also.items()
    }


def _evaluate_one(names: Names, classes: np.ndarray, said: np.ndarray) -> AlsoPredicted:
    if not len(classes):
        return AlsoPredicted(names.values, 0)
    once = np.ones((1, len(classes)))
    areas = [
        ranking.measure((classes == one).astype(int), said[:, one], once, names=("auc",))["auc"][0]
        for one in range(len(names.values))
    ]
    defined = [float(area) for area in areas if np.isfinite(area)]
    return AlsoPredicted(
        values=names.values,
        images=len(classes),
        accuracy=float(np.mean(said.argmax(axis=1) == classes)),
        majority=float(np.bincount(classes).max() / len(classes)),
        auc=float(np.mean(defined)) if defined else None,
    )
