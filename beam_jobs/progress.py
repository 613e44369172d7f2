"""How far a conversion is, read off the files it writes: the same for every runner.

On a terminal a bar, elsewhere a line every ten seconds.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from upath import UPath

from beam_jobs import storage
from beam_jobs.shards import Output, Shard
from records import folder

_BAR_SECONDS = 0.5
_LINE_SECONDS = 10.0


class Reporter:
    """Shows one count going up: a bar on a terminal, else a line now and then, all on stderr."""

    def __init__(self, what: str, unit: str) -> None:
        self._what, self._unit = what, unit
        self._start = time.monotonic()
        self._said = self._start
        self._first: int | None = None
        self._bar: Progress | None = None
        if sys.stderr.isatty():
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self._task = self._bar.add_task(what, rate="")

    def __enter__(self) -> Reporter:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, done: int, total: int, megabytes: float | None = None) -> None:
        """Shows `done` of `total`; megabytes are those read so far."""
        if self._first is None:
            self._first = done  # what an earlier run did is not this run's speed
        now = time.monotonic()
        seconds = max(now - self._start, 1e-6)
        rate = (done - self._first) / seconds
        said = f"{rate:.1f} {self._unit}/s"
        if megabytes is not None:
            said += f", {megabytes / seconds:.0f} MB/s"
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total, rate=said)
        elif now - self._said >= _LINE_SECONDS or done == total:
            self._said = now
            left = f", {(total - done) / rate:.0f} s left" if rate and done < total else ""
            print(f"{self._what}: {done}/{total} {said}{left}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def watch(planned: Sequence[Shard], report: Callable[[int, int, float], None]) -> Iterator[None]:
    """Reports images done and megabytes read while shards are written by somebody else."""
    total = sum(len(shard.images) for shard in planned)
    outputs = {output for shard in planned for output in shard.outputs}
    stored = any(isinstance(output.directory, UPath) for output in outputs)

    def look() -> tuple[int, int]:
        found = {output: storage.sizes(output.work_folder) for output in outputs}
        counts = [_images_done(shard, found) for shard in planned]
        return sum(images for images, _ in counts), sum(read for _, read in counts)

    _, before = look()
    stop = threading.Event()

    def show() -> None:
        done, read = look()
        report(done, total, (read - before) / 1e6)

    def poll() -> None:
        while not stop.wait(_LINE_SECONDS if stored else _BAR_SECONDS):  # listing a store costs
            show()

    show()
    thread = threading.Thread(target=poll, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        show()


def _images_done(shard: Shard, found: dict[Output, dict[str, int]]) -> tuple[int, int]:
    """Returns images done and the bytes of their files, evaluated by the output furthest behind."""
    done = min(_images_written(shard, output, found[output]) for output in shard.outputs)
    return done, sum(image.bytes for image in shard.images[:done])


def _images_written(shard: Shard, output: Output, sizes: dict[str, int]) -> int:
    if folder.ledger_path(output.directory, shard.name).name in sizes:
        return len(shard.images)
    started = (
        size
        for name, size in sizes.items()
        if name.startswith(f"{shard.name}.") and name.endswith(".tmp")
    )
    return min(max(started, default=0) // output.record_bytes, len(shard.images))
