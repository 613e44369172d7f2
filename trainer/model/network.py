"""Networks: stored pixels -> [0, 1] -> three channels -> base -> head -> probabilities.

Scaling and channels are layers, so a saved model takes what a record holds. All layers are Keras's
own: the file opens without this program. Jaamour et al. 2023, CNN architecture and notes zeta and
eta of its summary table; filters and kernels are those of its public code.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import keras

from flags import network_config, own_base
from flags.network_config import Network
from flags.training_config import TrainingConfig
from records import schema
from records.image_size import ImageSize
from trainer.model import (
    augmentation,
    backbones,
    head,
    network_input,
    several_views,
    views_attention,
    views_cc_mlo,
    views_concat,
    views_mean,
)

_JOINS = {
    "mean": views_mean.add,
    "concat": views_concat.add,
    "attention": views_attention.add,
    "cc_mlo": views_cc_mlo.add,
}
BASE_LAYER = "base"
AFTER = "after"
"""How the names of the layers of --conv_after begin."""
# Sets of (filters, kernel) before the base, each followed by a 2x2 maximum: paper, note zeta
_SETS: dict[int, tuple[tuple[tuple[int, int], ...], ...]] = {
    0: (),
    1: (((64, 5), (32, 5)),),
    2: (((16, 7), (16, 7)), ((32, 5), (32, 5))),
}
# (filters, kernel) of the convolutions after the base: paper, note eta
_AFTER = ((1024, 3), (1024, 3))


def build(
    config: TrainingConfig,
    size: ImageSize,
    *,
    views: Sequence[str] = (),
    kind: str = "binary",
    fractions: Sequence[float] = (0.5, 0.5),
) -> tuple[keras.Model, backbones.BaseWeights]:
    """Builds the network of a configuration for images of one size.

    Args:
        config: which network.
        size: height and width of an image, pixels.
        views: of a record, see `records.schema.VIEWS`; none where it is one image.
        kind: "binary" (one sigmoid), "classes" (a softmax of K) or "ordinal" (K - 1 sigmoids, the
            probabilities of lying above the first, second, ... class).
        fractions: class prior in the loss, [K], all above 0: what a network that has
            seen nothing says.

    Returns:
        model of [batch, height, width, 1] uint16 -> [batch, outputs] float32, and where its base's
        weights came from. Of several views it takes a dict: `pixels` [batch, views, height, width,
        1] uint16 and `views_present` [batch, views] bool.

    Raises:
        CallerError: the weights can't be had or do not fit, the size is too small for the base, or
            the head is too large for this machine.
    """
    sets = downsample_sets(config, size)
    base, weights = backbones.build(config, ImageSize(size.height >> sets, size.width >> sets))
    shape = (*[len(views)] * bool(views), size.height, size.width, 1)
    pixels = keras.Input(shape, dtype="uint16", name=network_input.PIXELS)
    inputs = {network_input.PIXELS: pixels}
    if views:
        inputs[network_input.PRESENT] = keras.Input(
            (len(views),), dtype="bool", name=network_input.PRESENT
        )
    # float32 under any precision: 65535 is infinite in float16
    grey = keras.layers.Rescaling(1 / schema.FULL_SCALE, dtype="float32", name="to_unit_range")(
        pixels
    )
    if views:
        grey = several_views.unfold(grey, inputs[network_input.PRESENT])
    for layer in augmentation.layers(config):
        grey = layer(grey)
    image = keras.layers.Concatenate(dtype="float32", name="to_three_channels")([grey] * 3)
    if not sets:
        image = _scale(image, config)
    elif config.base == "vgg19":
        base = keras.Model(base.get_layer("block1_conv1").output, base.output)
        image = _replace_first_layer(_downsample(image, sets, config), config)
    else:
        image = _scale(_to_base_channels(_downsample(image, sets, config), config), config)
    features = _run(base, image, in_columns=bool(views) and config.views == "cc_mlo")
    if config.conv_after == "1":
        features = _convolve(features, _AFTER, AFTER, config)
    add = head.add
    if views:
        join = _JOINS[network_config.join_of(config.views)]
        add = functools.partial(join, present=inputs[network_input.PRESENT])
    output = add(features, config=config, kind=kind, fractions=fractions)
    given = inputs if views else pixels
    return keras.Model(given, output, name=own_base.short_name(config.base)), weights


def downsample_sets(config: Network, size: ImageSize) -> int:
    """Returns how many sets of convolutions stand before the base."""
    if config.downsample_sets != "auto":
        return int(config.downsample_sets)
    longer = max(size.height, size.width)
    return 0 if longer < 1024 else 1 if longer < 2048 else 2


def freeze_base(model: keras.Model) -> None:
    """Phase 1: the base is a constant function, its batch normalisation in inference mode.

    Sets before it learn all the same: gradients pass through it.
    """
    model.get_layer(BASE_LAYER).trainable = False


def unfreeze_base(
    model: keras.Model, *, batch_norm: bool = True, momentum: float | None = None
) -> None:
    """Phase 2: every layer learns.

    Args:
        model: whole network.
        batch_norm: whether the base's batch normalisation does, or stays in inference mode: batches
            of two images would ruin its statistics.
        momentum: of its moving statistics; None: as it is.
    """
    base = model.get_layer(BASE_LAYER)
    base.trainable = True
    for layer in backbones.batch_normalisations(base):
        layer.trainable = batch_norm
        layer.momentum = layer.momentum if momentum is None else momentum


def _run(base: keras.Model, image: keras.KerasTensor, *, in_columns: bool) -> keras.KerasTensor:
    """Runs the base, or one of its two columns, on each image."""
    if in_columns:
        base = views_cc_mlo.make_columns(base)
    base.name = BASE_LAYER
    return views_cc_mlo.run_columns(base, image) if in_columns else base(image)


def _scale(image: keras.KerasTensor, config: Network) -> keras.KerasTensor:
    if config.input_scaling == "paper":
        return image
    factor, offset = backbones.scaling(config)
    return keras.layers.Rescaling(
        list(factor), list(offset), dtype="float32", name="to_base_range"
    )(image)


def _downsample(image: keras.KerasTensor, sets: int, config: Network) -> keras.KerasTensor:
    for number, layers in enumerate(_SETS[sets], start=1):
        image = _convolve(image, layers, f"set{number}", config)
    return image


def _replace_first_layer(image: keras.KerasTensor, config: Network) -> keras.KerasTensor:
    """Makes of the last set what VGG19's second layer takes, as published.

    The first layer's 64 filters of 3x3, but to be learned: they find the range themselves.
    """
    return keras.layers.Conv2D(
        64,
        3,
        padding="same",
        activation="relu",
        kernel_regularizer=head.penalty(config),
        name="to_base_channels",
    )(image)


def _to_base_channels(image: keras.KerasTensor, config: Network) -> keras.KerasTensor:
    """Mixes the last set into a picture of three channels, so that any pretrained base fits."""
    return keras.layers.Conv2D(
        3, 1, kernel_regularizer=head.penalty(config), name="to_base_channels"
    )(image)


def _convolve(
    image: keras.KerasTensor, layers: Sequence[tuple[int, int]], name: str, config: Network
) -> keras.KerasTensor:
    for number, (filters, kernel) in enumerate(layers, start=1):
        image = keras.layers.Conv2D(
            filters,
            kernel,
            padding="same",
            activation="relu",
            kernel_regularizer=head.penalty(config),
            name=f"{name}_conv{number}",
        )(image)
    return keras.layers.MaxPooling2D(2, name=f"{name}_pool")(image)
