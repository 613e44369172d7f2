"""The only Beam wiring: shards in, shards written. Pixels never cross a shuffle."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import NoReturn

import apache_beam as beam
import cv2
from apache_beam.metrics import Metrics
from apache_beam.options.pipeline_options import (
    DirectOptions,
    PipelineOptions,
    PortableOptions,
    StandardOptions,
)
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineRunner, create_runner

from beam_jobs import shards, storage
from flags import interrupts
from records import cores, memory
from records.errors import CallerError

_RESPONSE_SECONDS = 20
_BYTES_A_THREAD = 1 << 29
"""Twice what the largest images were measured to take, docs/design.md."""
# why threads of this process stopped: Beam would print a page for each
_stopped_by: list[BaseException] = []


class WriteShards(beam.DoFn):
    """Writes shards, each whole, to every output that still lacks it."""

    def __init__(self, arguments: Sequence[str], *, threads: int) -> None:
        """Args: threads: shards at a time in the driver's process, 0 = as the runner calls."""
        self._arguments = list(arguments)
        self._threads = threads

    def setup(self) -> None:
        """Leaves the cores to Beam: its workers are the parallelism."""
        cv2.setNumThreads(1)
        memory.keep_freed(one_heap=False)
        # some runners do not tell their workers the options, and stores need them
        storage.configure(self._arguments)

    def start_bundle(self) -> None:
        """Opens the threads that share a bundle: Beam's own would each get a fixed part of it."""
        self._pool = ThreadPoolExecutor(self._threads) if self._threads else None
        self._pending: list[Future[None]] = []

    def process(self, shard: shards.Shard) -> None:
        """Writes the shard, or hands it to a thread."""
        # shown by runners that have a page of their own
        Metrics.counter("beam_jobs", "images").inc(len(shard.images))
        if self._pool is None:
            shards.write(shard)
        else:
            self._pending.append(self._pool.submit(shards.write, shard))

    def finish_bundle(self) -> None:
        """Waits for the threads; after an error they end the shards they are at, and no more."""
        if self._pool is None:
            return
        interrupted = False
        try:
            for written in as_completed(self._pending):
                written.result()
        except KeyboardInterrupt as error:
            _stopped_by.append(error)
            interrupted = True
        except storage.errors() as error:
            _stopped_by.append(error)
        finally:
            self._pool.shutdown(wait=not interrupted, cancel_futures=True)


# DaskRunner: a shard is a task; Dask's own 128 to a task would leave most workers idle.
_DEFAULTS = {
    "DirectRunner": ("--direct_num_workers=0", "--direct_running_mode=multi_threading"),
    "DaskRunner": ("--dask_partition_size=1",),
}


# not in Beam's own list of short names
_LONG_NAMES = {"DaskRunner": "apache_beam.runners.dask.dask_runner.DaskRunner"}


def find_unknown(arguments: Sequence[str]) -> list[str]:
    """Returns the arguments that are no options of Beam.

    Raises:
        CallerError: there is no such runner, or an option lacks its value.
    """
    choose_runner(PipelineOptions(list(arguments)))  # a runner brings options of its own
    parser = _Parser(add_help=False, allow_abbrev=False)
    for options in PipelineOptions.__subclasses__():
        options._add_argparse_args(parser)  # Beam's own way to collect them
    return parser.parse_known_args(list(arguments))[1]


def choose_runner(options: PipelineOptions) -> PipelineRunner:
    """Makes the Beam runner of --runner; by default one in this process.

    Beam's DirectRunner would first try to download a binary.

    Raises:
        CallerError: Beam has no such runner.
    """
    name = options.view_as(StandardOptions).runner
    if name in (None, "DirectRunner"):
        return FnApiRunner()
    try:
        return create_runner(_LONG_NAMES.get(name, name))
    except (ValueError, ImportError, AttributeError) as error:
        raise CallerError(
            f"--runner={name} can't be used ({' '.join(str(error).split())}); leave it out for "
            "this machine, or name DataflowRunner, FlinkRunner, SparkRunner or DaskRunner"
        ) from error


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Raises one line instead of printing every option of Beam."""
        raise CallerError(f"option of Beam: {message}")


def run(planned: Sequence[shards.Shard], arguments: Sequence[str] = ()) -> None:
    """Writes the shards; returns when all are written.

    Args:
        planned: shards to write.
        arguments: options of Beam.

    Raises:
        CallerError: a disk is full or can't be written, or no job server responds.
        Exception: what else stopped a worker, with Beam's account of where.
    """
    runner = PipelineOptions(list(arguments)).view_as(StandardOptions).runner or "DirectRunner"
    defaults = () if "--dask_npartitions" in " ".join(arguments) else _DEFAULTS.get(runner, ())
    options = PipelineOptions([*defaults, *arguments])
    _check_job_server(options.view_as(PortableOptions).job_endpoint)
    threads = _take_over_threads(options)
    _stopped_by.clear()
    try:
        with (
            _watch_workers(planned),
            beam.Pipeline(runner=choose_runner(options), options=options) as pipeline,
        ):
            _ = (
                pipeline
                | "List shards" >> beam.Create(list(planned), reshuffle=True)
                | "Write shards" >> beam.ParDo(WriteShards(arguments, threads=threads))
            )
    except RuntimeError as error:  # Beam passes a worker's exception on as text
        found = re.search(r"Error: \[Errno \d+\] ([^:\[\n]+)", str(error))
        if found is None:
            raise
        raise _describe(planned, found[1].strip()) from error
    client = getattr(pipeline.result, "client", None)
    if client is not None:  # DaskRunner leaves its own open
        client.close()
    for stopped_by in _stopped_by:
        if isinstance(stopped_by, KeyboardInterrupt):
            raise stopped_by
        raise _describe(planned, getattr(stopped_by, "strerror", None) or str(stopped_by))


def _take_over_threads(options: PipelineOptions) -> int:
    """Returns how many threads of this process write shards; 0 if the runner has other workers.

    OpenCV and numpy let go of Python's global lock, so threads do; one more than there are cores
    works while others wait for the disk. They are as many as fit into the memory, unless told.
    """
    direct = options.view_as(DirectOptions)
    if direct.direct_running_mode != "multi_threading":
        return 0
    fit = max(1, memory.available() // _BYTES_A_THREAD)
    threads = direct.direct_num_workers or min(cores.count() + 1, fit)
    direct.direct_num_workers, direct.direct_running_mode = 1, "in_memory"
    return int(threads)


@contextlib.contextmanager
def _watch_workers(planned: Sequence[shards.Shard]) -> Iterator[None]:
    """Ends the program if a worker process of this machine dies: Beam would wait for ever.

    Those of --direct_running_mode=multi_processing; a thread of Beam's raises when one is gone.
    """
    before = threading.excepthook

    def look(thread: threading.ExceptHookArgs) -> None:
        if "Worker subprocess exited" not in str(thread.exc_value):
            before(thread)
            return
        if interrupts.interrupted():
            interrupts.leave()
        print(f"error: {_describe(planned, 'a worker died')}", file=sys.stderr, flush=True)
        os._exit(2)  # Beam's other threads never end

    threading.excepthook = look
    try:
        yield
    finally:
        threading.excepthook = before


def _check_job_server(endpoint: str | None) -> None:
    """Finds out whether a job server responds; Beam itself would wait for it without a word."""
    if not endpoint or endpoint == "embed":  # "embed" is Beam's word for a server of its own
        return
    host, _, port = endpoint.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _RESPONSE_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        raise CallerError(
            f"--job_endpoint={endpoint}: no job server responds ({error}); start it, or give the "
            "HOST:PORT it listens on"
        ) from error


def _describe(planned: Sequence[shards.Shard], trouble: str) -> CallerError:
    return CallerError(
        f"{planned[0].outputs[0].directory}: {trouble}; mend that, then give the same command "
        "again: finished shards are kept"
    )
