"""Throughput: images a second, time spent waiting for batches, memory."""

from __future__ import annotations

import pathlib
import resource
import sys
import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer.data.run_json import Throughput
from trainer.training import checkpoints


class InputClock(keras.callbacks.Callback):
    """Measures how long training waits for its batches, and writes it to history.csv."""

    def __init__(self) -> None:
        super().__init__()
        self._waited = float("nan")

    def attach(self, model: keras.Model) -> None:
        """Makes a model on one device fetch its batches before its compiled step, by the clock.

        Keras fetches them inside the compiled step, where nobody sees how long it took. `fit` takes
        no iterator of ours in the place of a dataset (a generator would be copied batch by batch
        into another one), so the step is built here: the one place that reaches into Keras.
        """

        def make_train_function(force: bool = False) -> None:
            step = tf.function(
                model.train_step,
                autograph=False,
                jit_compile=model.jit_compile or None,
                reduce_retracing=True,
            )

            def fetch_and_step(iterator: Any) -> Any:
                before = time.monotonic()
                batch = next(iterator)
                self._waited += time.monotonic() - before
                return step(batch)

            model.train_function = fetch_and_step

        model.make_train_function = make_train_function
        self._waited = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Starts the clocks."""
        self._waited *= 0  # which leaves "not a number": not measured
        self._start = self._end = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Notes the end of a step; the last one counts, validation is not training."""
        self._end = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Adds to the logs that the callbacks after this one see."""
        assert logs is not None
        logs["training_seconds"] = round(self._end - self._start, 4)
        logs["waiting_seconds"] = round(self._waited, 4)


def measure(history: pathlib.Path, *, images: int) -> Throughput:
    """Sums up what training cost, of all epochs but the first of each phase if there are others.

    The first compiles the step and fills the shuffle buffer.

    Args:
        history: history.csv.
        images: of an epoch.

    Returns:
        with the largest memory this process had.
    """
    rows = checkpoints.read_history(history)
    firsts = {row["phase"]: row["epoch"] for row in reversed(rows)}
    steady = [row for row in rows if firsts[row["phase"]] != row["epoch"]] or rows
    seconds = sum(float(row["training_seconds"]) for row in steady)
    waited = [float(row["waiting_seconds"] or "nan") for row in steady]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2): bytes there, KiB here
    return Throughput(
        images_per_second=round(images * len(steady) / seconds, 2),
        waiting_percent=None if np.isnan(waited).any() else round(100 * sum(waited) / seconds, 2),
        peak_memory_gb=round(peak * unit / 1e9, 3),
    )


def describe(throughput: Throughput) -> str:
    """Formats the throughput of a run as one line."""
    waiting = throughput.waiting_percent
    return (
        f"training: {throughput.images_per_second} images/s, "
        + (f"{waiting} % of it" if waiting is not None else "not measured how much of it")
        + f" waiting for data, {throughput.peak_memory_gb} GB of memory"
    )
