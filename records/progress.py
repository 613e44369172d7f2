"""Progress of a count: a bar on a terminal, elsewhere a line every ten seconds, on stderr."""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_LINE_SECONDS = 10.0


class Reporter:
    """Reports done, total, rate and the time left (ETA) of one count that goes up."""

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
        shown = f"{rate:.1f} {self._unit}/s"
        if megabytes is not None:
            shown += f", {megabytes / seconds:.0f} MB/s"
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total, rate=shown)
        elif now - self._said >= _LINE_SECONDS or done == total:
            self._said = now
            left = f", {(total - done) / rate:.0f} s left" if rate and done < total else ""
            print(f"{self._what}: {done}/{total} {shown}{left}", file=sys.stderr, flush=True)
