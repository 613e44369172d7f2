"""The Beam job on a Dask cluster of one and of two worker processes, on real images.

    python -m benchmarks.distributed [--images=224] [--rounds=3] [--images_dir=DIR]

Workers have one thread each. They are started, and warmed up by a small job, before the clock is;
it runs from handing over the job to its end. Beside it, as the ceiling of the machine, the same
steps in one and in two processes without Beam or Dask.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import logging
import multiprocessing
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence

import cv2
from absl import app, flags

from beam_jobs import pipeline, shards
from benchmarks import images, machine

IMAGES = flags.DEFINE_integer("images", 224, "Images in one conversion; 16 to a shard.")
ROUNDS = flags.DEFINE_integer("rounds", 3, "Rounds of one and two workers, in turn.")
IMAGES_DIR = flags.DEFINE_string("images_dir", None, "Folder of .dcm files to repeat.")
SIZE = flags.DEFINE_string("size", "2048x1376", "Size of the records.")

_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def main(_: list[str]) -> None:
    for name in ("apache_beam", "distributed"):
        logging.getLogger(name).setLevel(logging.ERROR)
    print(machine.describe())
    files = images.find(IMAGES_DIR.value)
    dask: list[tuple[float, float]] = []
    processes: list[tuple[float, float]] = []
    scheduler = _running("dask_scheduler", "--port=0", says=r"Scheduler at:\s+(tcp://\S+)")
    with scheduler as address:
        on_dask = functools.partial(_run_on_dask, address)
        for number in range(1, 1 + ROUNDS.value):
            dask.append(_compare("Dask", files, on_dask, number))
            processes.append(_compare("plain processes", files, _run_in_processes, number))
    print("speed of two workers / one: median of the rounds; of the fastest of each")
    for name, rounds in (("Dask (aimed at 1.7)", dask), ("plain processes", processes)):
        median = statistics.median(two / one for one, two in rounds)
        ones, twos = zip(*rounds, strict=True)
        print(f"    {name:20s} {median:.2f}   {max(twos) / max(ones):.2f}")


Converter = Callable[[list[shards.Shard]], None]


def _compare(
    name: str,
    files: Sequence[pathlib.Path],
    start: Callable[[int], contextlib.AbstractContextManager[Converter]],
    number: int,
) -> tuple[float, float]:
    """Prints and returns images a second of one worker and of two."""
    seconds = []
    for workers in (1, 2):
        with start(workers) as convert:
            images.measure(convert, files, count=16, sizes=[SIZE.value], images_per_shard=1)
            seconds.append(images.measure(convert, files, count=IMAGES.value, sizes=[SIZE.value]))
    one, two = (IMAGES.value / spent for spent in seconds)
    print(
        f"round {number}: {IMAGES.value} images; {name}, one worker {one:.1f} images/s, two "
        f"{two:.1f}, ratio {two / one:.2f}; {machine.describe_load()}",
        flush=True,
    )
    return one, two


@contextlib.contextmanager
def _run_on_dask(scheduler: str, workers: int) -> Iterator[Converter]:
    """Starts workers; yields what converts on them."""
    with contextlib.ExitStack() as stack:
        for _ in range(workers):
            worker = ("dask_worker", scheduler, "--nthreads=1", "--no-nanny")
            stack.enter_context(_running(*worker, says="(Registered) to"))
        arguments = ["--runner=DaskRunner", f"--dask_client_address={scheduler}"]
        yield lambda planned: pipeline.run(planned, arguments)


@contextlib.contextmanager
def _running(module: str, *arguments: str, says: str) -> Iterator[str]:
    """Starts a part of a cluster; yields what it says once it is up."""
    command = [sys.executable, "-u", "-m", f"distributed.cli.{module}", *arguments]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [*command, "--no-dashboard"],
            stdout=log,
            stderr=log,
            env={**os.environ, **_ONE_THREAD, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        try:
            for _ in range(600):
                log.seek(0)
                said = log.read()
                if match := re.search(says, said):
                    break
                assert process.poll() is None, said
                time.sleep(0.1)
            else:
                raise TimeoutError(said)
            yield match[1]
        finally:
            process.kill()
            process.wait()


@contextlib.contextmanager
def _run_in_processes(workers: int) -> Iterator[Converter]:
    """Starts plain processes; yields what converts in them."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(
        workers, mp_context=context, initializer=cv2.setNumThreads, initargs=(1,)
    ) as pool:

        def convert(planned: list[shards.Shard]) -> None:
            list(pool.map(shards.write, planned))

        yield convert


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    app.run(main)
