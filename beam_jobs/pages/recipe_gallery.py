"""docs/gallery.md: the table of steps, and what each does to a phantom, before and after.

python -m beam_jobs.pages.recipe_gallery docs
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Iterable

import cv2
import numpy as np

from beam_jobs.imaging import recipe
from beam_jobs.imaging.recipe import Setting
from beam_jobs.sources import phantom_image
from flags.recipe_spec import RECIPES, Step, canonical, parse_step
from flags.recipe_steps import STEPS
from records.image_size import ImageSize

_SIZE = ImageSize(288, 192)
# steps are shown as they stand in a recipe: on what these leave (a breast alone, for `breast`)
_BEFORE = {"image": (), "resize": ("clean",), "noise": ("clean", "crop", "resize:pad")}
_BEFORE["contrast"] = _BEFORE["noise"]
_TITLES = {
    "image": "The whole image",
    "resize": "Size",
    "noise": "Noise and sharpness",
    "contrast": "Contrast",
}
# stronger than the defaults where those can't be seen at this size
_SHOWN = {
    "gaussian": "gaussian:sigma=1.5",
    "median": "median:kernel=5",
    "unsharp": "unsharp:sigma=3",
}


def main(folder: pathlib.Path) -> None:
    """Writes gallery.md, and one picture a group of steps under gallery/."""
    image = _draw_phantom()
    pictures = folder / "gallery"
    pictures.mkdir(parents=True, exist_ok=True)
    lines = [
        "# Gallery of steps",
        "",
        "Made by `make gallery`; [recipes.md](recipes.md) says how to use them. The image is a "
        "synthetic phantom.",
        "",
        *_table(),
    ]
    for group, title in _TITLES.items():
        shown = _shown_steps(group)
        _write_picture(pictures / f"{group}.png", image, group, shown)
        names = ", ".join(f"`{text}`" for text in shown)
        lines += [
            "",
            f"## {title}",
            "",
            f"Before, then {names}:",
            "",
            f"![{title}: before and after](gallery/{group}.png)",
        ]
    lines += ["", "## Recipes by name", "", "| name | steps, with all their parameters |"]
    lines += [
        "| --- | --- |",
        *(f"| `{name}` | `{canonical(name)}` |" for name in RECIPES),
    ]
    (folder / "gallery.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _draw_phantom() -> np.ndarray:
    """Returns one MLO image of a right breast with a mass, [height, width] uint16.

    Its top is cut off, so that the muscle reaches the border as it does on real images.
    """
    mass = phantom_image.Lesion("MALIGNANT", 0.9, 80, 0.16, (0.5, 0.4, 0.6))
    image = phantom_image.PhantomImage(1, "RIGHT", "MLO", "mass", "Test", 2, 16, False, (mass,))
    drawn = phantom_image.draw(image, phantom_image.Sample())
    return np.rint(drawn[len(drawn) // 5 :] * 65535).astype(np.uint16)


def _shown_steps(group: str) -> list[str]:
    return [
        _SHOWN.get(name, f"{name}:{choice}" if choice else name)
        for name, kind in STEPS.items()
        if kind.group == group
        for choice in kind.choices or ("",)
    ]


def _write_picture(path: pathlib.Path, image: np.ndarray, group: str, shown: Iterable[str]) -> None:
    setting = Setting(_SIZE, view="MLO", side="right")
    before = recipe.run_steps(image, map(_parse, _BEFORE[group]), setting)
    tiles = [_tile(before, "before")]
    for text in shown:
        tiles.append(_tile(recipe.run_steps(before, [_parse(text)], setting), text))
    rows = -(-len(tiles) // 6)
    columns = -(-len(tiles) // rows)
    tiles += [np.full_like(tiles[0], 255)] * (rows * columns - len(tiles))
    sheet = np.vstack([np.hstack(tiles[row * columns :][:columns]) for row in range(rows)])
    _, data = cv2.imencode(".png", sheet, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    path.write_bytes(data.tobytes())


def _parse(text: str) -> Step:
    return parse_step(text, text)


def _tile(pixels: np.ndarray, title: str) -> np.ndarray:
    """Returns a picture in a frame with its name above, uint8; 64 grey levels keep it small."""
    scale = min(_SIZE.height / pixels.shape[0], _SIZE.width / pixels.shape[1])
    if scale < 1:
        height, width = (max(1, round(side * scale)) for side in pixels.shape)
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    tile = np.full((_SIZE.height + 24, _SIZE.width + 8), 255, np.uint8)
    grey = (pixels >> 10 << 2).astype(np.uint8)
    tile[20 : 20 + grey.shape[0], 4 : 4 + grey.shape[1]] = grey
    cv2.putText(tile, title, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0,), 1, cv2.LINE_AA)
    return tile


def _table() -> list[str]:
    lines = [
        "| step | what it does | parameters: default (range) | after |",
        "| --- | --- | --- | --- |",
    ]
    for name, kind in STEPS.items():
        form = ":".join([name, *(["\\|".join(kind.choices)] if kind.choices else [])])
        given = "; ".join(
            f"`{key}={parameter.default}` ({parameter.range}) {parameter.about}"
            for key, parameter in kind.parameters.items()
        )
        lines.append(f"| `{form}` | {kind.about} | {given} | {kind.source} |")
    return lines


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
