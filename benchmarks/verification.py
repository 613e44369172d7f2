"""The verification against a bare read and a bare SHA-256 of the same shards.

    python -m benchmarks.verification DIR

DIR is a folder of records; make one larger than the processor's caches.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import hashlib
import io
import os
import pathlib
import statistics
import sys
import time

from absl import app

from beam_jobs.verify import __main__
from benchmarks import machine

ROUNDS = 3


def main(arguments: list[str]) -> None:
    print(machine.describe())
    directory = pathlib.Path(arguments[1])
    paths = sorted(directory.glob("*.tfrecord-*"))
    size = sum(path.stat().st_size for path in paths)
    print(f"{len(paths)} shards, {size / 1e9:.2f} GB, in the page cache; median of {ROUNDS}")
    for threads in (1, os.cpu_count() or 1):
        rates = {
            name: size
            / statistics.median(_clock(task, paths, threads) for _ in range(ROUNDS))
            / 1e9
            for name, task in (("read", _read), ("SHA-256", _digest), ("verify", _verify))
        }
        said = ", ".join(f"{name} {rate:.2f} GB/s" for name, rate in rates.items())
        print(
            f"{threads} threads: {said}; verify / SHA-256 {rates['verify'] / rates['SHA-256']:.2f}"
        )


def _clock(task, paths: list[pathlib.Path], threads: int) -> float:  # type: ignore[no-untyped-def]
    start = time.perf_counter()
    task(paths, threads)
    return time.perf_counter() - start


def _read(paths: list[pathlib.Path], threads: int) -> None:
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda path: len(path.read_bytes()), paths))


def _digest(paths: list[pathlib.Path], threads: int) -> None:
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda path: hashlib.sha256(path.read_bytes()).digest(), paths))


def _verify(paths: list[pathlib.Path], threads: int) -> None:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert not __main__.check(paths[0].parent, threads=threads).damages


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    app.run(main)
