"""A network cut behind the last layer that never changes, and the digest of the part before."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer.data.records_folder import Records
from trainer.model.network import BASE_LAYER


class NotCacheable(Exception):
    """Why the base has to run every epoch."""


def cut(model: keras.Model) -> tuple[keras.Model, keras.Model]:
    """Cuts a network behind the last of the layers that never change.

    Returns:
        the parts before and after.

    Raises:
        NotCacheable: the base learns, or nothing does.
    """
    if isinstance(model.input, dict):
        raise NotCacheable("the network takes more than the pixels of one image")
    front: list[keras.layers.Layer] = []
    for layer in model.layers:
        if not _is_constant(layer):
            break
        front.append(layer)
    if BASE_LAYER not in [layer.name for layer in front]:
        raise NotCacheable(f"'{layer.name}' learns or draws at or before the base")
    if len(front) == len(model.layers):
        raise NotCacheable("no layer of the network learns")
    between = front[-1].output
    return keras.Model(model.input, between), keras.Model(between, model.output)


def fingerprint(front: keras.Model, records: Records) -> str:
    """Digests all that features depend on: images, layers, their weights and precision."""
    digest = hashlib.sha256()
    about = [
        records.manifest.data_fingerprint,
        str(records.size),
        _describe(front),
        keras.__version__,
        tf.__version__,
    ]
    digest.update(json.dumps(about, sort_keys=True, default=str).encode())
    for weight in front.weights:
        digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(weight)).tobytes())
    return digest.hexdigest()[:16]


def _is_constant(layer: keras.layers.Layer) -> bool:
    """Whether a layer makes the same of the same images, throughout the phase."""
    random = any(variable.name == "seed_generator_state" for variable in layer.variables)
    return not layer.variables or (not layer.trainable and not random)


def _describe(layer: keras.layers.Layer) -> list[Any]:
    """Class and settings of each layer; names depend on what was built before in the process."""
    if isinstance(layer, keras.Model):
        return [_describe(part) for part in layer.layers]
    settings = layer.get_config()
    settings.pop("name")
    return [type(layer).__name__, settings]
