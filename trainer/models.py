"""Networks: stored pixels -> [0, 1] -> three channels -> base -> head -> probability.

Scaling and channels are layers, so a saved model takes what a record holds. All layers are Keras's
own: the file opens without this program.
"""

from __future__ import annotations

import dataclasses
import pathlib
import warnings

import keras
import numpy as np
from absl import logging

from flags import catalogue, schema
from flags.errors import CallerError
from flags.size import ImageSize
from flags.training import TrainingConfig
from trainer import augment

# [0, 1] -> what the weights of a base were trained on, by channel: (factor, offset).
# keras.applications.imagenet_utils.preprocess_input, modes tf, caffe (BGR, means of ImageNet) and
# torch; a grey film has three equal channels, so their order does not matter.
_TF = ((2.0,) * 3, (-1.0,) * 3)
_CAFFE = ((255.0,) * 3, (-103.939, -116.779, -123.68))
_TORCH_DEVIATION = (0.229, 0.224, 0.225)
_TORCH = (
    tuple(1 / d for d in _TORCH_DEVIATION),
    tuple(-m / d for m, d in zip((0.485, 0.456, 0.406), _TORCH_DEVIATION, strict=True)),
)
SCALING = {
    "mobilenetv2": _TF,
    "vgg19": _CAFFE,
    "resnet50": _CAFFE,
    "inceptionv3": _TF,
    "densenet121": _TORCH,
}
BASE_LAYER = "base"
# Keras's bases average batch statistics over 1,000 steps, more than a small set of films has
_MOMENTUM_FROM_RANDOM = 0.9


@dataclasses.dataclass(frozen=True)
class BaseWeights:
    """Where the weights of the base really came from.

    Attributes:
        name: for the report.
        pretrained: False if random.
        warning: what the user must hear, or None.
    """

    name: str
    pretrained: bool
    warning: str | None = None


def build(config: TrainingConfig, size: ImageSize) -> tuple[keras.Model, BaseWeights]:
    """Builds the network of a configuration for films of one size.

    Returns:
        model of [batch, height, width, 1] uint16 -> [batch, 1] float32 probability of label 1, and
        where its base's weights came from.

    Raises:
        CallerError: the weights can't be had or do not fit, or the size is too small for the base.
    """
    base, weights = _build_base(config, size)
    base.name = BASE_LAYER
    pixels = keras.Input((size.height, size.width, 1), dtype="uint16", name="pixels")
    grey = keras.layers.Rescaling(1 / schema.FULL_SCALE, name="to_unit_range")(pixels)
    for layer in augment.layers(config):
        grey = layer(grey)
    channels = keras.layers.Concatenate(name="to_three_channels")([grey, grey, grey])
    factor, offset = SCALING[config.base]
    scaled = keras.layers.Rescaling(list(factor), list(offset), name="to_base_range")(channels)
    features = base(scaled)
    if config.head == "gap":
        features = keras.layers.GlobalAveragePooling2D(name="pool")(features)
    else:
        features = keras.layers.Flatten(name="flatten")(features)
    hidden = keras.layers.Dropout(config.dropout, name="dropout")(features)
    hidden = keras.layers.Dense(512, activation="relu", name="dense_512")(hidden)
    hidden = keras.layers.Dense(32, activation="relu", name="dense_32")(hidden)
    output = keras.layers.Dense(1, activation="sigmoid", dtype="float32", name="probability")(
        hidden
    )
    return keras.Model(pixels, output, name=config.base), weights


def freeze_base(model: keras.Model) -> None:
    """Phase 1: the base is a constant function, its batch normalisation in inference mode."""
    model.get_layer(BASE_LAYER).trainable = False


def unfreeze_base(model: keras.Model, *, pretrained: bool) -> None:
    """Phase 2: every layer learns.

    Batch normalisation of a pretrained base stays in inference mode: batches of two films would
    ruin its statistics.
    """
    base = model.get_layer(BASE_LAYER)
    base.trainable = True
    if pretrained:
        for layer in _batch_normalisations(base):
            layer.trainable = False


def _build_base(config: TrainingConfig, size: ImageSize) -> tuple[keras.Model, BaseWeights]:
    constructor = getattr(keras.applications, catalogue.BASES[config.base])
    options = {"include_top": False, "input_shape": (size.height, size.width, 3)}
    if config.base == "mobilenetv2":
        options["alpha"] = config.alpha
    try:
        base = constructor(weights=None, **options)
    except ValueError as error:
        raise CallerError(f"--base={config.base} at {size}: {_first_line(error)}") from error
    if config.weights in ("auto", "imagenet"):
        try:
            return constructor(weights="imagenet", **options), BaseWeights("ImageNet", True)
        except Exception as error:  # Keras raises a bare Exception where a download fails
            said = f"ImageNet weights of {config.base} can't be had ({_first_line(error)})"
            if config.weights == "imagenet":
                raise CallerError(
                    f"{said}; give a local file with --weights=PATH, or --weights=random"
                ) from error
            warning = f"{said}; this run starts from RANDOM weights"
            logging.warning("%s", warning)
            weights = BaseWeights("random", False, warning)
    elif config.weights == "random":
        weights = BaseWeights("random", False)
    else:
        path = pathlib.Path(config.weights)
        _load(base, path, config)
        weights = BaseWeights(path.name, True)
    if not weights.pretrained:
        for layer in _batch_normalisations(base):
            layer.momentum = _MOMENTUM_FROM_RANDOM
    return base, weights


def _load(base: keras.Model, path: pathlib.Path, config: TrainingConfig) -> None:
    """Loads a file into the base and makes sure that it set every weight."""
    if not path.is_file():
        raise CallerError(
            f"--weights={path} is not a file; give a .weights.h5 file, imagenet, auto or random"
        )
    for variable in base.weights:
        variable.assign(np.full(variable.shape, np.nan, np.float32))
    with warnings.catch_warnings():
        # Keras 3.15 says so of every file an older Keras wrote; what is loaded is checked below
        warnings.filterwarnings("ignore", "Skipping nested container")
        try:
            base.load_weights(path)
        except (ValueError, OSError, KeyError) as error:
            raise CallerError(_misfit(path, config, _first_line(error))) from error
    empty = sum(bool(np.isnan(keras.ops.convert_to_numpy(v)).any()) for v in base.weights)
    if empty:
        raise CallerError(_misfit(path, config, f"{empty} of {len(base.weights)} arrays unset"))


def _misfit(path: pathlib.Path, config: TrainingConfig, why: str) -> str:
    return (
        f"--weights={path} does not hold the weights of {config.base}"
        f"{f' alpha {config.alpha:g}' if config.base == 'mobilenetv2' else ''} without top ({why})"
    )


def _batch_normalisations(base: keras.Model) -> list[keras.layers.Layer]:
    return [layer for layer in base.layers if isinstance(layer, keras.layers.BatchNormalization)]


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
