"""Bases: networks of keras.applications without top, or one's own; weights, range of pixels."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import warnings
from typing import Any

import keras
import numpy as np
from absl import logging

from flags import network_config, own_base
from flags.network_config import Network
from records.errors import CallerError
from records.image_size import ImageSize
from trainer.model import own_backbone

_MISFITS = (ValueError, OSError, KeyError, TypeError, AttributeError)
"""What Keras raises at a file of other weights."""
Scaling = tuple[tuple[float, ...], tuple[float, ...]]

# Mean and deviation of ImageNet's channels in [0, 1] (keras.applications.imagenet_utils)
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)

# [0, 1] -> what the weights of a base were trained on, by channel: (factor, offset).
# keras.applications.imagenet_utils.preprocess_input, modes tf, caffe (BGR, means of ImageNet) and
# torch; a grey image has three equal channels, so their order does not matter.
_TF: Scaling = ((2.0,) * 3, (-1.0,) * 3)
_CAFFE: Scaling = ((255.0,) * 3, (-103.939, -116.779, -123.68))
_TORCH: Scaling = (
    tuple(1 / d for d in _DEVIATION),
    tuple(-m / d for m, d in zip(_MEAN, _DEVIATION, strict=True)),
)
_PIXELS: Scaling = ((255.0,) * 3, (0.0,) * 3)
# EfficientNet subtracts the mean and divides by the deviation itself, but its ImageNet weights were
# trained with a further division by the deviation's square root. Keras adds a layer for that to
# models it gave the weights itself, not to those that load a file; so it is made up for here.
_EFFICIENTNET: Scaling = (
    tuple(255 / d**0.5 for d in _DEVIATION),
    tuple(255 * m * (1 - 1 / d**0.5) for m, d in zip(_MEAN, _DEVIATION, strict=True)),
)
SCALING: dict[str, Scaling] = {
    "mobilenet": _TF,
    "mobilenetv2": _TF,
    "inceptionv3": _TF,
    "inceptionresnetv2": _TF,
    "xception": _TF,
    "nasnetmobile": _TF,
    "nasnetlarge": _TF,
    "resnet50v2": _TF,
    "resnet101v2": _TF,
    "resnet152v2": _TF,
    "vgg16": _CAFFE,
    "vgg19": _CAFFE,
    "resnet50": _CAFFE,
    "resnet101": _CAFFE,
    "resnet152": _CAFFE,
    "densenet121": _TORCH,
    "densenet169": _TORCH,
    "densenet201": _TORCH,
    **dict.fromkeys((f"efficientnetb{number}" for number in range(8)), _EFFICIENTNET),
    **dict.fromkeys(
        (
            n
            for n in network_config.BASES
            if n.startswith(("convnext", "efficientnetv2", "mobilenetv3"))
        ),
        _PIXELS,
    ),
}
# Keras's bases average batch statistics over 1,000 steps, more than a small set of images has
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


def build(config: Network, size: ImageSize) -> tuple[keras.Model, BaseWeights]:
    """Builds a base for images of a size, with three channels, and gives it its weights.

    Returns:
        model of [batch, height, width, 3] float32 in the range of `scaling` -> features, and where
        its weights came from.

    Raises:
        CallerError: the weights can't be had or do not fit, the size is too small for the base, or
            one's own makes no features.
    """
    build_it = _build_own if own_base.is_own(config.base) else _build_known
    base, weights = build_it(config, size)
    if not weights.pretrained:
        for layer in batch_normalisations(base):
            layer.momentum = _MOMENTUM_FROM_RANDOM
    return base, weights


def scaling(config: Network) -> Scaling:
    """Returns by channel the factor and the offset that bring [0, 1] to the range of a base."""
    if config.input_range is None:
        return SCALING[config.base]
    limits = own_base.check_range(config.input_range)
    if limits is None:
        return _TORCH
    return (limits[1] - limits[0],) * 3, (limits[0],) * 3


def batch_normalisations(base: keras.Model) -> list[keras.layers.Layer]:
    """Lists the batch normalisations of a base, also those within its layers."""
    inner = base._flatten_layers()
    return [layer for layer in inner if isinstance(layer, keras.layers.BatchNormalization)]


def layers_of(model: keras.Model) -> list[keras.layers.Layer]:
    """Lists the layers of a base in order; a model within it is the layers it has."""
    found: list[keras.layers.Layer] = []
    for layer in model.layers:
        found += layers_of(layer) if isinstance(layer, keras.Model) else [layer]
    return found


def _build_own(config: Network, size: ImageSize) -> tuple[keras.Model, BaseWeights]:
    given = config.weights not in ("auto", "imagenet", "random")
    if given:
        _check_file(pathlib.Path(config.weights))
    base = own_backbone.build(config, size)
    if given:
        warning = own_backbone.check_weights(base, config)
        return base, BaseWeights(pathlib.Path(config.weights).name, True, warning)
    if config.weights == "imagenet":
        return base, BaseWeights("ImageNet", True)
    warning = None
    if config.weights == "auto":
        warning = (
            f"--base={config.base} starts from RANDOM weights; its function gets --weights=PATH.h5 "
            "or imagenet where they are given"
        )
        logging.warning("%s", warning)
    return base, BaseWeights("random", False, warning)


def _build_known(config: Network, size: ImageSize) -> tuple[keras.Model, BaseWeights]:
    constructor = getattr(keras.applications, network_config.BASES[config.base])
    options: dict[str, Any] = {"include_top": False}
    if config.base in network_config.ALPHAS:
        options["alpha"] = config.alpha
    try:
        # of other than the usual size Keras warns that weights are not made for it; they are not
        # tied to any
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`input_shape` is undefined or non-square")
            base = constructor(weights=None, input_shape=(size.height, size.width, 3), **options)
    except ValueError as error:
        sets = config.downsample_sets
        halved = f" (--downsample_sets={sets})" if sets != "0" else ""
        raise CallerError(
            f"--base={config.base} at {size}{halved}: {_first_line(error)}"
        ) from error
    return base, _give_weights(base, config, constructor, options)


def _give_weights(
    base: keras.Model, config: Network, constructor: Any, options: dict[str, Any]
) -> BaseWeights:
    if config.weights == "random":
        return BaseWeights("random", False)
    if config.weights not in ("auto", "imagenet"):
        path = pathlib.Path(config.weights)
        _load(base, path, config)
        return BaseWeights(path.name, True)
    try:
        # at its own size, because NASNet takes ImageNet weights at no other
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`input_shape` is undefined or non-square")
            donor = constructor(weights="imagenet", **options)
    except Exception as error:  # Keras raises a bare Exception where a download fails
        problem = f"ImageNet weights of {config.base} can't be had ({_first_line(error)})"
        if config.weights == "imagenet":
            raise CallerError(
                f"{problem}; give a local file with --weights=PATH, or --weights=random"
            ) from error
        warning = f"{problem}; this run starts from RANDOM weights"
        logging.warning("%s", warning)
        return BaseWeights("random", False, warning)
    base.set_weights(donor.get_weights())
    return BaseWeights("ImageNet", True)


def _load(base: keras.Model, path: pathlib.Path, config: Network) -> None:
    """Loads a file into the base and makes sure that it set every weight."""
    _check_file(path)
    # Normalization's count of images is a whole number, which can't be NaN
    weights = [variable for variable in base.weights if "float" in variable.dtype]
    for variable in weights:
        variable.assign(np.full(variable.shape, np.nan, np.float32))
    with warnings.catch_warnings():
        # Keras 3.15 warns so of every file an older Keras wrote; what is loaded is checked below
        warnings.filterwarnings("ignore", "Skipping nested container")
        try:
            base.load_weights(path)
        except _MISFITS as error:
            raise CallerError(_misfit(path, config, _first_line(error))) from error
    empty = sum(bool(np.isnan(keras.ops.convert_to_numpy(v)).any()) for v in weights)
    if empty:
        raise CallerError(_misfit(path, config, f"{empty} of {len(weights)} arrays unset"))


def _check_file(path: pathlib.Path) -> None:
    if not path.is_file():
        raise CallerError(
            f"--weights={path} is not a file; give a .weights.h5 file, imagenet, auto or random"
        )


def _misfit(path: pathlib.Path, config: Network, why: str) -> str:
    width = f" alpha {config.alpha:g}" if config.base in network_config.ALPHAS else ""
    said = f"--weights={path} does not hold the weights of {config.base}{width} without top ({why})"
    alpha = _find_alpha(path, config)
    return said if alpha is None else f"{said}; they are those of --alpha={alpha:g}"


def _find_alpha(path: pathlib.Path, config: Network) -> float | None:
    """Finds the width of the base that a file holds the weights of; None if of none."""
    constructor = getattr(keras.applications, network_config.BASES[config.base])
    for alpha in network_config.ALPHAS.get(config.base, ()):
        base = constructor(weights=None, include_top=False, input_shape=(96, 96, 3), alpha=alpha)
        with warnings.catch_warnings(), contextlib.suppress(*_MISFITS):
            warnings.filterwarnings("ignore", "Skipping nested container")
            base.load_weights(path)
            return alpha
    return None


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
