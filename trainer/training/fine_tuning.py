"""Phase 2: layers of the base that learn, at which rates, and with which batch normalisation."""

from __future__ import annotations

import math

import keras

from flags import transfer_config
from flags.fields import closest
from flags.training_config import TrainingConfig
from records.errors import CallerError
from trainer.data.run_json import BaseBatchNorm, RunDescription
from trainer.model import backbones, network

_LEFT = 0.01
"""Fraction of ImageNet's statistics that is left after an epoch."""
_MOMENTA = (0.5, 0.99)
"""Bounds of the momentum: a mean of two batches at least, and Keras's default."""


def choose_batch_norm(
    config: TrainingConfig,
    model: keras.Model,
    *,
    pretrained: bool,
    devices: int,
    batches: int,
    begun: RunDescription | None = None,
) -> BaseBatchNorm | None:
    """Decides whether the base's batch normalisation learns in phase 2, and its momentum.

    With `--ema` the moving statistics are averaged over as many steps as the weights they belong
    to: the mean of what layers give is, to first order, what the mean of their weights gives.

    Args:
        config: the run's.
        model: its network.
        pretrained: whether the base is; from random weights it has to learn.
        devices: that share a batch.
        batches: of an epoch.
        begun: run.json of a run that is resumed; what was decided then holds.

    Returns:
        None if the base has none.
    """
    layers = backbones.batch_normalisations(model.get_layer(network.BASE_LAYER))
    if not layers:
        return None
    batch = max(1, config.batch_size // devices)
    if not pretrained:
        return BaseBatchNorm(True, batch, devices, layers[0].momentum)
    frozen = BaseBatchNorm(False, batch, devices)
    if begun is not None:  # an earlier version, which states nothing, froze it
        return begun.base_batch_norm or frozen
    enough = batch >= transfer_config.LEARNING_BATCH
    if not {"auto": enough, "frozen": False, "learn": True}[config.base_batch_norm]:
        return frozen
    return BaseBatchNorm(True, batch, devices, max(_fit_momentum(batches), config.ema))


def _fit_momentum(batches: int) -> float:
    """Returns the momentum at which an epoch of so many batches forgets ImageNet's statistics."""
    low, high = _MOMENTA
    return round(min(high, max(low, _LEFT ** (1 / batches))), 4)


def unfreeze(
    model: keras.Model, config: TrainingConfig, batch_norm: BaseBatchNorm | None = None
) -> None:
    """Phase 2: the layers of the base from --unfreeze_from on learn, and all of the head."""
    if batch_norm is None:
        network.unfreeze_base(model)
    else:
        network.unfreeze_base(model, batch_norm=batch_norm.learns, momentum=batch_norm.momentum)
    layers = backbones.layers_of(model.get_layer(network.BASE_LAYER))
    for layer in layers[: first_trained(model, config)]:
        layer.trainable = False


def first_trained(model: keras.Model, config: TrainingConfig) -> int:
    """Returns the index of the first layer of the base that phase 2 trains.

    Raises:
        CallerError: the base has no such layer.
    """
    if config.unfreeze_from is None:
        return 0
    layers = backbones.layers_of(model.get_layer(network.BASE_LAYER))
    fraction = transfer_config.unfreeze_fraction(config)
    if fraction is not None:
        weighted = [index for index, layer in enumerate(layers) if layer.weights]
        return weighted[-math.ceil(fraction * len(weighted))]
    names = [layer.name for layer in layers]
    if config.unfreeze_from not in names:
        hint = closest(config.unfreeze_from, names) or f"; it has {names[1]} to {names[-1]}"
        raise CallerError(
            f"--unfreeze_from={config.unfreeze_from} is no layer of {config.base}{hint}"
        )
    return names.index(config.unfreeze_from)


def rates(model: keras.Model, decay: float) -> list[tuple[keras.Variable, float]]:
    """Lists variables of the base with what --layer_decay multiplies their learning rate by."""
    base = model.get_layer(network.BASE_LAYER)
    layers = [layer for layer in backbones.layers_of(base) if layer.weights]
    return [
        (variable, decay ** (1 - number / len(layers)))
        for number, layer in enumerate(layers)
        for variable in layer.trainable_variables
        if decay < 1
    ]
