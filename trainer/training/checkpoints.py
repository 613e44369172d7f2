"""Checkpoints of a phase: weights and optimizer of each epoch, so that a killed run resumes.

Keras's BackupAndRestore overwrites its one file in place, and forgets what EarlyStopping and
ReduceLROnPlateau have seen and where Dropout's random numbers stood; here each epoch has a file of
its own, renamed into place when whole, the two callbacks are brought up to date from history.csv,
and random numbers are a function of seed and epoch.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import pathlib
import re
import time

import keras
import numpy as np

from records import files

_UNFINISHED = "unfinished.weights.h5"


@dataclasses.dataclass(frozen=True)
class Monitor:
    """The column of history.csv that decides which epoch is best.

    Attributes:
        name: of the column.
        mode: min or max, what is better.
    """

    name: str = "val_loss"
    mode: str = "min"

    def better(self, value: float, than: float, *, by: float = 0.0) -> bool:
        """Whether a value is better than another by more than so much."""
        return value < than - by if self.mode == "min" else value > than + by

    def best_epoch(self, values: dict[int, float]) -> int:
        """Returns the epoch of the best value, the first of equals."""
        sign = 1 if self.mode == "min" else -1
        return min(values, key=lambda epoch: (sign * values[epoch], epoch))

    def epochs_since_best(self, values: dict[int, float]) -> int:
        """Returns how many epochs came after the best one."""
        return max(values) - self.best_epoch(values) if values else 0


class _Weights(io.BytesIO):
    """Weights on the way to a file, in memory: HDF5 brings the program down if a disk is full."""

    def __str__(self) -> str:  # Keras asks for the ending
        return ".weights.h5"


class Checkpoint(keras.callbacks.Callback):
    """Saves weights and optimizer after each epoch; keeps the newest and the best.

    Args:
        folder: where to.
        monitor: what decides which epoch is best.
        values: its values of the epochs before.
        whole: the network to save, of which `fit` may train the head alone.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        monitor: Monitor,
        values: dict[int, float],
        whole: keras.Model,
    ) -> None:
        super().__init__()
        self._folder = folder
        self._monitor = monitor
        self._values = dict(values)
        self._whole = whole

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Writes the epoch's file, then removes those that are neither newest nor best."""
        assert logs is not None
        self._values[epoch] = float(logs[self._monitor.name])
        self._folder.mkdir(parents=True, exist_ok=True)
        temporary = self._folder / _UNFINISHED
        with files.replacing(epoch_path(self._folder, epoch), temporary=temporary):
            content = _Weights()
            self._whole.save_weights(content, overwrite=True)
            temporary.write_bytes(content.getbuffer())
        keep = {epoch, self._monitor.best_epoch(self._values)}
        for old in saved_epochs(self._folder):
            if old not in keep:
                epoch_path(self._folder, old).unlink()


class Averages(keras.callbacks.SwapEMAWeights):
    """Puts the weights' moving average into the model between epochs: it is evaluated and kept.

    The optimizer holds the weights that are trained meanwhile, and is saved with them.
    """

    def __init__(self, *, resumed: bool) -> None:
        super().__init__(swap_on_epoch=True)
        self._ema_weights_in_model = resumed


class Reseed(keras.callbacks.Callback):
    """Starts the random numbers of an epoch from the seed and its number.

    Keras does not save the state of its seed generators with the weights.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed = seed

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Sets the state of each random layer."""
        states = [v for v in self.model.variables if v.name == "seed_generator_state"]
        for number, state in enumerate(states):
            words = np.random.SeedSequence([self._seed, epoch, number]).generate_state(1)
            state.assign([int(words[0]) >> 1, 0])


class Stamp(keras.callbacks.Callback):
    """Adds the phase and the seconds an epoch took to its row of history.csv."""

    def __init__(self, phase: int) -> None:
        super().__init__()
        self._phase = phase

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Starts the clock."""
        self._start = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Adds to the logs that the callbacks after this one see."""
        assert logs is not None
        logs["phase"] = self._phase
        logs["seconds"] = round(time.monotonic() - self._start, 3)


class History(keras.callbacks.CSVLogger):
    """Writes history.csv, where people count epochs from 1."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Writes the row of an epoch."""
        super().on_epoch_end(epoch + 1, logs)


class Replay(keras.callbacks.Callback):
    """Restores EarlyStopping and ReduceLROnPlateau from the epochs before an interruption.

    Stands after both in the list of callbacks: they reset themselves when training begins.
    """

    def __init__(
        self,
        monitor: Monitor,
        values: dict[int, float],
        stopping: keras.callbacks.EarlyStopping,
        plateau: keras.callbacks.ReduceLROnPlateau | None,
    ) -> None:
        super().__init__()
        self._monitor = monitor
        self._values = values
        self._stopping = stopping
        self._plateau = plateau

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Sets what both would know had they seen them; the learning rate itself is saved."""
        if not self._values:
            return
        self._stopping.best_epoch = self._monitor.best_epoch(self._values)
        self._stopping.best = self._values[self._stopping.best_epoch]
        self._stopping.wait = self._monitor.epochs_since_best(self._values)
        if self._plateau is None:
            return
        best, wait = None, 0
        for _, value in sorted(self._values.items()):
            if best is None or self._monitor.better(value, best, by=abs(self._plateau.min_delta)):
                best, wait = value, 0
            else:
                wait = (wait + 1) % self._plateau.patience
        self._plateau.best, self._plateau.wait = best, wait


def epoch_path(folder: pathlib.Path, epoch: int) -> pathlib.Path:
    """Names the file of an epoch."""
    return folder / f"epoch-{epoch:04d}.weights.h5"


def saved_epochs(folder: pathlib.Path) -> list[int]:
    """Lists the epochs with a file, in order."""
    names = (re.fullmatch(r"epoch-(\d+)\.weights\.h5", path.name) for path in folder.glob("*"))
    return sorted(int(name[1]) for name in names if name)


def remove(folder: pathlib.Path) -> None:
    """Removes the files of all epochs, and the folder unless it holds others."""
    for epoch in saved_epochs(folder):
        epoch_path(folder, epoch).unlink()
    (folder / _UNFINISHED).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


def read_history(path: pathlib.Path) -> list[dict[str, str]]:
    """Reads the rows of history.csv; a row cut short by a kill is left out."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        return [row for row in csv.DictReader(stream) if None not in row.values()]


def read_values(path: pathlib.Path, monitor: Monitor, *, phase: int) -> dict[int, float]:
    """Reads the monitored value after each epoch of a phase, epochs as Keras counts, from 0."""
    return {
        int(row["epoch"]) - 1: float(row[monitor.name])
        for row in read_history(path)
        if int(row["phase"]) == phase
    }


def cut_history(path: pathlib.Path, *, last_epoch: int) -> None:
    """Removes the rows after an epoch: their weights were never saved, they are trained again."""
    rows = [row for row in read_history(path) if int(row["epoch"]) - 1 <= last_epoch]
    if not rows:
        path.unlink(missing_ok=True)
        return
    with (
        files.replacing(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as stream,
    ):
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
