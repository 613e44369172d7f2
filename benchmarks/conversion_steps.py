"""Milliseconds of each step of the conversion, one thread, beside what the memory alone would take.

The floor of a step is the bytes it has to read and write at least once, over the speed at which
this machine copies an array too large for its caches.
"""

from __future__ import annotations

import hashlib
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from beam_jobs import statistics as pixel_statistics
from beam_jobs.imaging import decode, enhance, resize
from beam_jobs.sources.source_row import SourceRow
from benchmarks import images
from records import example, tfrecord
from records.image_size import ImageSize

ROUNDS = 3


class _Clock:
    """Collects milliseconds and megabytes by step."""

    def __init__(self) -> None:
        self.spent: dict[str, list[float]] = {}
        self.touched: dict[str, list[float]] = {}

    def time(
        self, name: str, function: Callable[[], Any], *, reads: float, writes: float | None = None
    ) -> Any:
        """Calls a function; without `writes` it writes what it returns."""
        start = time.perf_counter()
        result = function()
        self.spent.setdefault(name, []).append(1e3 * (time.perf_counter() - start))
        touched = reads + (result.nbytes if writes is None else writes)
        self.touched.setdefault(name, []).append(touched)
        return result


def report(files: Sequence[pathlib.Path], size: str) -> None:
    """Prints a table: milliseconds, fraction of the whole, floor."""
    cv2.setNumThreads(1)
    bandwidth = _measure_bandwidth()
    clock = _Clock()
    for path in list(files)[:8] * ROUNDS:
        _convert(path, ImageSize.parse(size), clock)
    medians = {name: statistics.median(times) for name, times in clock.spent.items()}
    total = sum(medians.values())
    print(f"copying memory: {bandwidth / 1e9:.1f} GB/s read and written, one thread")
    print(f"an image takes {total:.0f} ms of one core at {size} paper:")
    print("    step             ms   part    floor ms   times the floor")
    for name, spent in medians.items():
        floor = 1e3 * statistics.mean(clock.touched[name]) / bandwidth
        print(f"    {name:13s} {spent:5.1f}   {spent / total:5.0%}", end="")
        print(f"   {floor:8.1f}   {spent / floor:.1f}")


def _convert(path: pathlib.Path, size: ImageSize, clock: _Clock) -> None:
    """Does what `shards.write` does for one image. The bytes count reads and writes of a step."""
    length = path.stat().st_size
    data = clock.time("read file", path.read_bytes, reads=length, writes=length)
    image = clock.time("decode", lambda: decode.decode(data, options=images.OPTIONS), reads=length)
    pixels = clock.time(
        "resize", lambda: resize.resize_with_padding(image, size), reads=image.nbytes
    )
    out = pixels.nbytes
    pixels = clock.time(
        "gaussian", lambda: enhance.blur_gaussian(pixels, kernel=11, sigma=0.5), reads=out
    )
    # both read once for the histogram or range, then once more to map
    pixels = clock.time("equalisation", lambda: enhance.equalise_histogram(pixels), reads=2 * out)
    pixels = clock.time("min-max", lambda: enhance.stretch_range(pixels), reads=2 * out)
    pixels = pixels[:, :, np.newaxis]
    row = SourceRow("f", "p", "left", "CC", "benign")
    record = clock.time(
        "record", lambda: example.encode(row.clinical(), pixels, image.shape), reads=out, writes=out
    )
    parts = clock.time("CRC", lambda: list(tfrecord.frame_record(record)), reads=out, writes=0)
    clock.time(
        "SHA-256",
        lambda: [hashlib.sha256(part).digest() for part in parts],
        reads=out,
        writes=0,
    )
    clock.time("statistics", lambda: pixel_statistics.measure(pixels), reads=out, writes=0)
    with tempfile.TemporaryFile() as file:
        clock.time(
            "write file", lambda: [file.write(part) for part in parts], reads=out, writes=out
        )


def _measure_bandwidth() -> float:
    """Returns bytes a second, read and written together, of copying 512 MiB."""
    source = np.ones(2**26)
    target = np.zeros_like(source)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        np.copyto(target, source)
        times.append(time.perf_counter() - start)
    return 2 * source.nbytes / min(times)
