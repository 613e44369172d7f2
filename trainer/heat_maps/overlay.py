"""An image and its heat map -> one PNG."""

from __future__ import annotations

import base64
import pathlib
import textwrap
import warnings
from typing import TYPE_CHECKING

import cv2
import matplotlib
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from numpy.typing import NDArray

from records import files
from records.printable import printable
from records.version import NOTICE

if TYPE_CHECKING:  # it imports TensorFlow, which pages do without
    from trainer.heat_maps.heat_map import Heat

_LETTERS = 11  # of a title, an inch
_NARROWEST = 5.0  # inches, so that titles of strips have room
SIDE = 1200
"""Pixels; larger images are drawn smaller."""
SMALL_SIDE = 420
"""The same of pictures within a page."""
_QUALITY = 88
"""Of JPEGs in a page: 20 images and heat maps take about 1 MB."""
_COLOURS = (255 * matplotlib.colormaps["inferno"](np.linspace(0, 1, 256))[:, :3]).astype(np.uint8)
_OPACITY = 0.7  # of the strongest evidence over an image


def write(
    path: pathlib.Path, image: NDArray[np.uint16], heat: Heat, *, name: str, said: str, of: str
) -> None:
    """Draws the image left, the image under its heat map right, what the colours mean, the notice.

    Args:
        path: of the PNG, which appears whole or not at all.
        image: [height, width] uint16.
        heat: [height, width], 0..1; a map that is all 0 is labelled so.
        name: of the image, the line above both; of a long one the end is shown.
        said: what the network says of it, below its name.
        of: what the heat map shows evidence for.
    """
    small = shrink(image, SIDE)
    height, width = small.shape
    tall = 6.0
    wide = max(_NARROWEST, 2 * tall * width / height + 1.4)
    figure = Figure(figsize=(wide, tall + 0.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.imshow(small, cmap="gray", vmin=0, vmax=255)
    right.imshow(blend(small, heat))
    for axes in (left, right):
        axes.set_axis_off()
    if heat.any():
        bar = figure.colorbar(ScalarMappable(cmap="inferno"), ax=[left, right], ticks=[0, 1])
        bar.ax.set_yticklabels(["none", "most"])
        bar.set_label(f"evidence for {of}, within this image")
    else:
        right.set_title(f"no evidence for {of}", fontsize=10, parse_math=False)
    room = int(_LETTERS * wide)
    name = printable(name)
    shown = name if len(name) <= room else f"\u2026{name[1 - room :]}"
    figure.suptitle("\n".join([shown, *textwrap.wrap(said, room)]), fontsize=10, parse_math=False)
    figure.supxlabel(NOTICE, fontsize=9)
    save(figure, path, dpi=200)


def blend(image: NDArray[np.uint8], heat: Heat) -> NDArray[np.uint8]:
    """Lays a heat map over an image; where there is no evidence the image shows as it is.

    Args:
        image: [height, width] uint8.
        heat: of the same sides, of any number of pixels, 0..1.

    Returns:
        [height, width, 3] uint8, red, green, blue.
    """
    fitting = cv2.resize(heat, image.shape[::-1], interpolation=cv2.INTER_AREA)
    colours = _COLOURS[np.rint(255 * fitting).astype(np.uint8)]
    fraction = (_OPACITY * fitting)[:, :, np.newaxis]
    mixed = (1 - fraction) * image[:, :, np.newaxis] + fraction * colours
    return np.rint(mixed).astype(np.uint8)


def warp_to_image(heat: Heat, matrix: NDArray[np.float64], shape: tuple[int, ...]) -> Heat:
    """Lays the heat map of a record out on the image that it was made from.

    Args:
        heat: [h, w] of the record.
        matrix: [3, 3], (column, row, 1) of the record -> of the image.
        shape: height and width of the image.

    Returns:
        [height, width], 0..1; 0 where the record shows nothing of the image.
    """
    return cv2.warpAffine(
        heat,
        np.linalg.inv(matrix)[:2],
        shape[::-1],
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
    )


def shrink(image: NDArray[np.uint16], side: int) -> NDArray[np.uint8]:
    """Makes an 8-bit picture of an image [height, width], at most `side` pixels high and wide."""
    scale = min(1.0, side / max(image.shape))
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return (small // 256).astype(np.uint8)


def encode(pixels: NDArray[np.uint8], kind: str = ".png", *settings: int) -> bytes:
    """Writes pixels [height, width] or, red first, [height, width, 3] as a PNG."""
    stored = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(kind, stored, settings)
    assert done
    return data.tobytes()


def data_uri(pixels: NDArray[np.uint8]) -> str:
    """Writes the same for use within a page, as a JPEG."""
    data = encode(pixels, ".jpg", cv2.IMWRITE_JPEG_QUALITY, _QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()


def save(figure: Figure, path: pathlib.Path, *, dpi: int = 120) -> None:
    """Writes a figure as PNG so that no reader ever sees half of it."""
    with files.replacing(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # the font has no emoji
        figure.savefig(temporary, format="png", dpi=dpi, metadata={"Software": None})
