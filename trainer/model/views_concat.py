"""Feature maps of all views joined on channels, two MBConv blocks, head.

Petrini and Kim 2025 (and Petrini et al. 2022): the base is shared; blocks as EfficientNet-B0's,
kernel 3, stride 2, expansion 2, squeeze and excitation 0.25, as wide as what they get.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras

from flags.training_config import TrainingConfig
from trainer.model import head, several_views

_BLOCKS = 2
_EXPANSION = 2
_SQUEEZED = 0.25


def add(
    features: keras.KerasTensor,
    present: keras.KerasTensor,
    config: TrainingConfig,
    *,
    kind: str,
    fractions: Sequence[float],
) -> keras.KerasTensor:
    """Adds the blocks and the head; arguments and result are those of `views_mean.add`."""
    maps = several_views.fill_in(several_views.fold(features, present), present)
    _, views, rows, columns, channels = maps.shape
    joined = keras.ops.transpose(maps, (0, 2, 3, 1, 4))
    joined = keras.ops.reshape(joined, (-1, rows, columns, views * channels))
    for number in range(1, _BLOCKS + 1):
        joined = _mb_conv(joined, config, f"joined{number}")
    return head.add(joined, config, kind=kind, fractions=fractions)


def _mb_conv(maps: keras.KerasTensor, config: TrainingConfig, name: str) -> keras.KerasTensor:
    """Expands, convolves channel by channel at stride 2, weights channels, projects."""
    width = maps.shape[-1]
    wide = width * _EXPANSION

    def mix(values: keras.KerasTensor, filters: int, part: str, **how: object) -> keras.KerasTensor:
        layer = keras.layers.Conv2D(
            filters, 1, kernel_regularizer=head.penalty(config), name=f"{name}_{part}", **how
        )
        return layer(values)

    def norm(values: keras.KerasTensor, part: str) -> keras.KerasTensor:
        layer = keras.layers.BatchNormalization(momentum=head.MOMENTUM, name=f"{name}_{part}_norm")
        return layer(values)

    values = keras.ops.silu(norm(mix(maps, wide, "expand", use_bias=False), "expand"))
    depthwise = keras.layers.DepthwiseConv2D(
        3, strides=2, padding="same", use_bias=False, name=f"{name}_depthwise"
    )
    values = keras.ops.silu(norm(depthwise(values), "depthwise"))
    squeezed = keras.layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_squeeze")(values)
    squeezed = mix(squeezed, max(1, int(width * _SQUEEZED)), "reduce", activation="silu")
    values = values * mix(squeezed, wide, "excite", activation="sigmoid")
    return norm(mix(values, width, "project", use_bias=False), "project")
