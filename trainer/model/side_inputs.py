"""Columns of the record beside the pixels: encoded, and joined before the last layer.

A value that is not stated has an indicator of its own; one that no training image has counts as
not stated. In training one value in ten is hidden, so that the network learns to do without.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from trainer.data.side_columns import Names, Numbers
from trainer.model import network_input

_HIDDEN = 0.1
_ENCODER, _JOINED = "side", "with_side"


def join(model: keras.Model, stated: Mapping[str, Numbers | Names]) -> keras.Model:
    """Makes a network that also takes columns, with a new last layer.

    Args:
        model: its layer `probability` is the last.
        stated: what the training images have in each column.

    Returns:
        model of a dict: what the one given takes, and `side_COLUMN` [batch, 1] of each column:
        float32, NaN where not stated, or strings, "" where not stated.
    """

    def new_inputs() -> dict[str, keras.KerasTensor]:
        dtypes = {Numbers: "float32", Names: "string"}
        return {
            name: keras.Input((1,), dtype=dtypes[type(one)], name=name)
            for column, one in stated.items()
            for name in [f"{network_input.SIDE}{column}"]
        }

    within, inputs = new_inputs(), new_inputs()
    parts = [
        _encode_number(values, one) if isinstance(one, Numbers) else _encode_name(values, one, name)
        for (name, values), one in zip(within.items(), stated.values(), strict=True)
    ]
    encoder = keras.Model(within, keras.ops.concatenate(parts, axis=-1), name=_ENCODER)
    last = model.layers[-1]
    joined = keras.layers.Concatenate(dtype="float32", name=_JOINED)([last.input, encoder(inputs)])
    output = keras.layers.Dense.from_config(last.get_config())(joined)
    return keras.Model({**network_input.as_dict(model.input), **inputs}, output, name=model.name)


def columns_of(model: keras.Model) -> dict[str, tuple[str, ...] | None]:
    """Names the columns a network takes, each with the values it knows; None of numbers."""
    if not isinstance(model.input, dict):
        return {}
    return {
        name.removeprefix(network_input.SIDE): tuple(
            model.get_layer(_ENCODER).get_layer(f"{name}_names").get_vocabulary(False)
        )
        if tensor.dtype == "string"
        else None
        for name, tensor in model.input.items()
        if name.startswith(network_input.SIDE)
    }


def vectors_of(model: keras.Model) -> keras.KerasTensor:
    """Returns what goes into the last layer, without the columns."""
    joined = [layer.input[0] for layer in model.layers if layer.name == _JOINED]
    return joined[0] if joined else model.layers[-1].input


def complete(model: keras.Model, inputs: Any, rows: Sequence[Mapping[str, str]]) -> Any:
    """Adds the columns a network takes to a batch of images.

    Args:
        model: the network.
        inputs: what it takes of the images.
        rows: column -> value of each image; what is missing is not stated.
    """
    columns = columns_of(model)
    if not columns:
        return inputs
    added = {}
    for column, known in columns.items():
        texts = [row.get(column, "") for row in rows]
        values = texts if known else [float(text or "nan") for text in texts]
        added[f"{network_input.SIDE}{column}"] = keras.ops.convert_to_tensor(
            [[value] for value in values], dtype="string" if known else "float32"
        )
    return network_input.as_dict(inputs) | added


def not_stated(columns: Mapping[str, tuple[str, ...] | None], row: Mapping[str, str]) -> list[str]:
    """Names the columns that count as not stated for an image, and why."""
    return [
        f"{column} {text!r} is in no training image" if text else f"{column} is not stated"
        for column, known in columns.items()
        for text in [row.get(column, "")]
        if not text or (known and text not in known)
    ]


def is_side(layer: keras.layers.Layer) -> bool:
    """Whether a layer handles columns, not images."""
    return layer.name in (_ENCODER, _JOINED) or layer.name.startswith(network_input.SIDE)


def _encode_number(values: keras.KerasTensor, one: Numbers) -> keras.KerasTensor:
    stated = keras.ops.isfinite(values)
    known = keras.ops.cast(stated, "float32") * _shown(keras.ops.ones_like(values))
    filled = keras.ops.where(stated, values, one.mean)
    standard = keras.layers.Normalization(mean=one.mean, variance=one.variance, dtype="float32")
    return keras.ops.concatenate([standard(filled) * known, 1 - known], axis=-1)


def _encode_name(values: keras.KerasTensor, one: Names, name: str) -> keras.KerasTensor:
    lookup = keras.layers.StringLookup(
        vocabulary=list(one.values), output_mode="one_hot", name=f"{name}_names"
    )
    found = keras.ops.cast(lookup(values), "float32")  # the first: not stated, or not known
    known = _shown(keras.ops.ones_like(found[:, :1])) * (1 - found[:, :1])
    return keras.ops.concatenate([1 - known, found[:, 1:] * known], axis=-1)


def _shown(ones: keras.KerasTensor) -> keras.KerasTensor:
    """Makes 0 of a tenth of the ones, in training."""
    kept = keras.layers.Dropout(_HIDDEN, dtype="float32")(ones)
    return keras.ops.cast(kept > 0, "float32")
