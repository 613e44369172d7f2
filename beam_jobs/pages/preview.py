"""preview.png: images before and after the recipe, to check with one's own eyes."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from beam_jobs import shards
from beam_jobs.imaging import decode, recipe, resize
from beam_jobs.imaging.unusable import UnusableImage
from beam_jobs.output_folder import Output
from beam_jobs.shards import Shard
from beam_jobs.sources.source_row import SourceRow
from beam_jobs.storage import Folder
from records.printable import printable

IMAGES = 6
_NAME = 45
_LONGEST_SIDE = 700


def write(
    path: Folder, written: Sequence[SourceRow], output: Output, planned: Sequence[Shard]
) -> None:
    """Draws up to six of the images written, taking turns among labels.

    Args:
        path: PNG file to write.
        written: images that went into records.
        output: whose recipe and size are shown.
        planned: the job's shards; they know where the images lie.
    """
    chosen = _choose(written)
    columns = max(len(chosen), 1)
    figure = Figure(figsize=(2.6 * columns, 8.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    figure.suptitle(
        f"{output.size} {output.directory.name}: above as decoded, below as stored",
        fontsize=11,
        parse_math=False,
    )
    for column, image in enumerate(chosen):
        path_of_image = planned[0].data_dir / image.path
        try:
            options = shards.options_of(image, planned[0].options)
            decoded = decode.open_image(path_of_image, options=options)
            pixels = resize.restore_aspect(decoded.pixels, decoded.aspect)
            array = recipe.prepare(
                pixels, output.recipe, output.size, view=image.view, side=image.side
            )[:, :, 0]
        except UnusableImage as gone:  # it was there when its shard was written
            _title(axes[0, column], f"{gone.reason} now", image)
            continue
        for axis, shown in zip(axes[:, column], (pixels, array), strict=True):
            axis.imshow(_shrink(shown), cmap="gray", vmin=0, vmax=65535)
        said = f"{image.side} {image.view}, {image.label}, {image.split}"
        _title(axes[0, column], said, image)
    if not chosen:
        axes[0, 0].text(0.5, 0.5, "no image was written", ha="center")
    with path.open("wb") as file, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # the font has no emoji
        figure.savefig(file, format="png", dpi=100, metadata={"Software": None})


def _title(axes: Axes, said: str, image: SourceRow) -> None:
    """Writes an image's name, whatever letters it is made of, and what is said of it."""
    name = printable(image.image_id)
    short = name if len(name) <= _NAME else f"\u2026{name[-_NAME:]}"
    axes.set_title(f"{short}\n{printable(said)}", fontsize=8, parse_math=False)


def _choose(written: Sequence[SourceRow]) -> list[SourceRow]:
    by_label: dict[str, list[SourceRow]] = {}
    for image in sorted(written, key=lambda image: image.image_id):
        by_label.setdefault(image.label, []).append(image)
    turns = itertools.zip_longest(*(images for _, images in sorted(by_label.items())))
    return [image for turn in turns for image in turn if image is not None][:IMAGES]


def _shrink(pixels: np.ndarray) -> np.ndarray:
    scale = _LONGEST_SIDE / max(pixels.shape)
    if scale >= 1:
        return pixels
    return cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
