"""Keras callbacks that end training: a loss that is no number, and --max_minutes."""

from __future__ import annotations

import pathlib
import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from records.errors import CallerError
from trainer.training import checkpoints, strategy


class StopAtNaN(keras.callbacks.Callback):
    """Ends the program when the loss is no number, before such weights are saved.

    Stands before `checkpoints.Checkpoint` in the list of callbacks.
    """

    def __init__(self, *, phase: int, kept: pathlib.Path) -> None:
        super().__init__()
        self._phase = phase
        self._kept = kept

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Remembers the number of the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Checks the mean loss of the epoch so far."""
        self._check((logs or {}).get("loss", 0.0), f"step {batch + 1}")

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Checks the loss of the validation images."""
        self._check((logs or {}).get("val_loss", 0.0), "validation")

    def _check(self, loss: Any, where: str) -> None:
        if np.isfinite(loss):
            return
        rate = float(self.model.optimizer.learning_rate)
        epochs = checkpoints.saved_epochs(self._kept)
        good = [checkpoints.epoch_path(self._kept, epoch) for epoch in epochs[-1:]]
        good = good or sorted(self._kept.parent.glob("phase*.weights.h5"))  # of the phase before
        kept = f"the last good weights are {good[0]}" if good else "no epoch was good"
        raise CallerError(
            f"the loss is {float(loss)} in epoch {self._epoch + 1}, {where}, phase "
            f"{self._phase}, at learning rate {rate:g}; {kept}; give a lower "
            f"--phase{self._phase}_learning_rate and another --run_dir"
        )


class Deadline(keras.callbacks.Callback):
    """Stops training after the epoch in which the time is up; one epoch is always trained.

    Where the time of one worker is up, all stop: none could train the next epoch alone.
    """

    def __init__(self, seconds: float, devices: tf.distribute.Strategy) -> None:
        super().__init__()
        self._devices = devices
        self._end = time.monotonic() + (seconds or float("inf"))
        self.over = False

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Ends training where the time is up."""
        self.over = strategy.any_worker(self._devices, here=time.monotonic() >= self._end)
        if self.over:
            self.model.stop_training = True
