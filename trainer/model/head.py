"""Features of the base -> probabilities: pooled or flattened, hidden layers, output."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import numpy as np

from flags import network_config
from flags.network_config import Network
from flags.optimization_config import Optimization
from flags.training_config import TrainingConfig
from records import memory
from records.errors import CallerError

# Numbers of a weight's size that an optimizer keeps of it, without momentum
_MOMENTS = {"adam": 2, "adamw": 2, "rmsprop": 1, "adagrad": 1, "sgd": 0}
MOMENTUM = 0.9
"""Of batch normalisation: Keras's 0.99 averages over more steps than a small set of images has."""


def add(
    features: keras.KerasTensor, config: TrainingConfig, *, kind: str, fractions: Sequence[float]
) -> keras.KerasTensor:
    """Adds the head that a configuration asks for.

    Args:
        features: [batch, height, width, channels] of the base.
        config: which head.
        kind: "binary" (one sigmoid), "classes" (a softmax of K) or "ordinal" (K - 1 sigmoids).
        fractions: fraction of each of the K classes in the loss.

    Returns:
        [batch, outputs] float32 probabilities, of layer `probability`.

    Raises:
        CallerError: the first layer is too large for this machine.
    """
    if config.head == "gap":
        hidden = keras.layers.GlobalAveragePooling2D(name="pool")(features)
    else:
        assert config.head == "flatten", config.head
        count = math.prod(features.shape[1:])
        outputs = len(output_bias(kind, fractions))
        units = (*network_config.hidden_units(config.hidden), outputs)[0]
        check_memory(config, count, units=units, available=memory.available())
        hidden = keras.layers.Flatten(name="flatten")(features)
    return classify(hidden, config, kind=kind, fractions=fractions)


def classify(
    vectors: keras.KerasTensor, config: TrainingConfig, *, kind: str, fractions: Sequence[float]
) -> keras.KerasTensor:
    """Adds the hidden layers and the output to vectors, [batch, channels]; else as `add`."""
    bias = output_bias(kind, fractions)
    units = network_config.hidden_units(config.hidden)
    hidden = keras.layers.Dropout(config.dropout, name="dropout")(vectors)
    for position, width in enumerate(units):
        repeated = units[:position].count(width)
        name = f"dense_{width}" + (f"_{repeated + 1}" if repeated else "")
        hidden = _add_hidden(hidden, width, name, config)
    return keras.layers.Dense(
        len(bias),
        activation="softmax" if kind == "classes" else "sigmoid",
        bias_initializer=keras.initializers.Constant(bias),
        kernel_regularizer=penalty(config),
        dtype="float32",
        name="probability",
    )(hidden)


def output_bias(kind: str, fractions: Sequence[float]) -> list[float]:
    """Returns the output biases at which the probabilities are the class priors.

    Args:
        kind: as for `add`.
        fractions: of the K classes, all above 0, in any scale.
    """
    fraction = np.asarray(fractions, np.float64) / np.sum(fractions)
    assert (fraction > 0).all(), fractions
    assert kind != "binary" or len(fraction) == 2
    if kind == "classes":
        return np.log(fraction).tolist()
    above = 1 - np.cumsum(fraction)[:-1]  # binary is ordinal with two classes
    return np.log(above / (1 - above)).tolist()


def penalty(config: Network) -> keras.regularizers.Regularizer | None:
    """Makes the penalty on kernels of layers that are not the base's."""
    return keras.regularizers.L2(config.l2) if config.l2 else None


def check_memory(config: Optimization, features: int, *, units: int, available: int) -> None:
    """Refuses a first layer whose weights, gradients and optimizer can't all be in memory.

    Args:
        config: which optimizer, and what it averages.
        features: numbers that the flattened base yields.
        units: of the first layer.
        available: bytes.

    Raises:
        CallerError: names how many GB are needed, and what to do.
    """
    copies = 2 + _MOMENTS[config.optimizer]  # the weight and its gradient
    copies += sum([config.momentum > 0, config.accumulate > 1, config.ema > 0])
    needed = 4 * copies * features * units
    if needed > available:
        raise CallerError(
            f"--head=flatten: {features:,} features x {units} units need {needed / 1e9:.1f} GB "
            f"with gradients and what --optimizer={config.optimizer} keeps, {available / 1e9:.1f} "
            "GB are free; take --head=gap, --downsample_sets, smaller images or fewer "
            "--hidden units"
        )


def _add_hidden(
    hidden: keras.KerasTensor, width: int, name: str, config: Network
) -> keras.KerasTensor:
    """Adds a hidden layer; its activation is a layer of its own where something stands before."""
    apart = config.batch_norm or config.activation == "prelu"
    hidden = keras.layers.Dense(
        width,
        activation=None if apart else config.activation,
        kernel_regularizer=penalty(config),
        name=name,
    )(hidden)
    if config.batch_norm:
        hidden = keras.layers.BatchNormalization(momentum=MOMENTUM, name=f"{name}_norm")(hidden)
    if not apart:
        return hidden
    if config.activation == "prelu":
        return keras.layers.PReLU(name=f"{name}_prelu")(hidden)
    return keras.layers.Activation(config.activation, name=f"{name}_{config.activation}")(hidden)
