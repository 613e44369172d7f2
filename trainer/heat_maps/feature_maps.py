"""Feature maps: the channels of one layer for an image -> a grid of small pictures."""

from __future__ import annotations

import difflib
import pathlib

import keras
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from records.errors import CallerError
from records.printable import printable
from records.version import NOTICE
from trainer.heat_maps import overlay
from trainer.model.network import BASE_LAYER

CHANNELS = 64
"""Drawn at most: those that differ most over the image."""
_COLUMNS = 8


def watch(model: keras.Model, layer: str) -> keras.Model:
    """Builds a network whose output is a layer of another one, or of its base.

    Args:
        model: [batch, height, width, 1] uint16 -> probabilities.
        layer: name of one that makes pictures, [batch, rows, columns, channels].

    Raises:
        CallerError: there is no such layer.
    """
    base = model.get_layer(BASE_LAYER)
    outer = _pictures(model)
    inner = _pictures(base)
    if layer in outer:
        return keras.Model(model.inputs[0], outer[layer].output)
    if layer in inner:
        place = [one.name for one in model.layers].index(BASE_LAYER)
        seen = model.layers[place - 1].output
        return keras.Model(model.inputs[0], keras.Model(base.inputs[0], inner[layer].output)(seen))
    known = [*outer, *inner]
    near = difflib.get_close_matches(layer, known, n=5, cutoff=0.4) or known[-5:]
    raise CallerError(
        f"--layer={layer} is no layer of the network that makes pictures; did you mean "
        f"{', '.join(near)}? It has {len(known)}"
    )


def _pictures(model: keras.Model) -> dict[str, keras.layers.Layer]:
    """Lists the layers of a network whose output has rows and columns, by name."""
    return {
        layer.name: layer
        for layer in model.layers
        if not isinstance(layer, keras.layers.InputLayer) and len(layer.output.shape) == 4
    }


def draw(path: pathlib.Path, values: NDArray[np.float32], *, title: str) -> None:
    """Draws channels side by side, each from its least value (black) to its largest (white).

    Args:
        path: of the PNG, which appears whole or not at all.
        values: [rows, columns, channels].
        title: line above.
    """
    count = values.shape[2]
    spread = values.std(axis=(0, 1))
    shown = np.sort(np.argsort(-spread, kind="stable")[:CHANNELS])
    rows = -(-len(shown) // _COLUMNS)
    columns = min(_COLUMNS, len(shown))
    tall = 1.2 * values.shape[0] / values.shape[1]
    figure = Figure(figsize=(1.25 * columns, (tall + 0.2) * rows + 0.5), layout="constrained")
    places = figure.subplots(rows, columns, squeeze=False).flat
    for axes, channel in zip(places, shown, strict=False):
        axes.imshow(values[:, :, channel], cmap="gray")
        low, high = values[:, :, channel].min(), values[:, :, channel].max()
        axes.set_title(f"{channel}: {low:.2g} to {high:.2g}", fontsize=5, pad=2)
    for axes in figure.axes:
        axes.set_axis_off()
    dead = int((spread == 0).sum())
    caption = f"{len(shown)} of {count} channels" + (
        f", {dead} the same everywhere" if dead else ""
    )
    figure.suptitle(printable(f"{title}: {caption}"), fontsize=8, parse_math=False)
    figure.supxlabel(NOTICE, fontsize=6)
    overlay.save(figure, path)
