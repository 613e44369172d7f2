"""Log lines of training: a summary before it begins, and a line for each epoch."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
import time

import keras
from absl import logging

from records.printable import counted
from trainer.data.run_json import RunDescription

_INDENT = 11
_EVERY_SECONDS = 1.0


class EpochLines(keras.callbacks.Callback):
    """Logs a line after each epoch: loss, what decides, AUC, time left if no phase ends early.

    On a terminal it counts the steps of the epoch meanwhile. Stands after those that add to logs.
    """

    def __init__(self, *, monitor: str, last: int) -> None:
        super().__init__()
        self._columns = list(dict.fromkeys(("loss", monitor, "val_auc")))
        self._last = last
        self._printed = 0.0

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Starts the clock."""
        self._start, self._done = time.monotonic(), 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Remembers the number of the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Counts steps, on a terminal."""
        now = time.monotonic()
        if sys.stderr.isatty() and now - self._printed >= _EVERY_SECONDS:
            self._printed = now
            line = f"epoch {self._epoch + 1}/{self._last} step {batch + 1}/{self.params['steps']}"
            print(line, end="\r", file=sys.stderr, flush=True)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Logs the results of the epoch."""
        self._done += 1
        left = (time.monotonic() - self._start) / self._done * (self._last - epoch - 1)
        known = logs or {}
        values = " ".join(f"{name} {known[name]:.3g}" for name in self._columns if name in known)
        logging.info("epoch %d/%d %s ETA %s", epoch + 1, self._last, values, clock(left))


def clock(seconds: float) -> str:
    """Writes a time as minutes:seconds, or as hours:minutes:seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def beginning(description: RunDescription, directory: os.PathLike[str], *, base: str) -> list[str]:
    """Writes the six lines: question, images, what is left out, weights, network, output.

    Args:
        description: content of run.json.
        directory: of the run.
        base: what the network is built on.
    """
    splits = description.splits
    images = "; ".join(
        f"{name} {split.images} of {counted(split.patients, 'patients')} ("
        + ", ".join(f"{count} {label}" for label, count in split.labels.items())
        + ")"
        for name, split in splits.items()
    )
    counts = {
        "without a label": sum(split.left_out for split in splits.values()),
        "not --where": sum(split.filtered for split in splits.values()),
        "damaged": sum(split.damaged for split in splits.values()),
    }
    left_out = ", ".join(f"{count} {why}" for why, count in counts.items() if count)
    names = description.label_names
    joined = f", views by {description.joined_by}" if description.joined_by else ""
    lines = {
        "question": f"{', '.join(names[:-1])} or {names[-1]}? (--target={description.target})",
        f"{description.unit}s": f"{images}; {description.dataset} {description.size}",
        "left out": left_out or "no image of these splits",
        "weights": description.weights,
        "network": f"{base}{joined}, {description.parameters:,} parameters",
        "output": os.fspath(directory),
    }
    width = shutil.get_terminal_size((100, 24)).columns
    return [
        textwrap.fill(
            f"{name:{_INDENT}}{text}",
            width=max(width, 2 * _INDENT),
            subsequent_indent=" " * _INDENT,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for name, text in lines.items()
    ]
