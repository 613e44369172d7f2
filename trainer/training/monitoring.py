"""Seeing a run: what goes wrong stops it, what it costs is measured, TensorBoard shows the rest."""

from __future__ import annotations

import pathlib
import resource
import sys
import time
from collections.abc import Sequence
from typing import Any

import cv2
import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorboard.plugins.hparams import api as hparams

from flags.training import TrainingConfig
from records.errors import CallerError
from trainer.training import checkpoints, strategy

_HISTOGRAM_VALUES = 100_000
_PICTURE_SIDE = 256
_PICTURE_IMAGES = 8


class StopAtNaN(keras.callbacks.Callback):
    """Ends the program when the loss is no number, before such weights are saved.

    Stands before `checkpoints.Checkpoint` in the list of callbacks.
    """

    def __init__(self, *, phase: int, kept: pathlib.Path) -> None:
        super().__init__()
        self._phase = phase
        self._kept = kept

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Notes the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Looks at the mean loss of the epoch so far."""
        self._check((logs or {}).get("loss", 0.0), f"step {batch + 1}")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Looks at the loss of the validation images."""
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
            f"the loss is {float(loss)} in epoch {self._epoch}, {where}, phase {self._phase}, at "
            f"learning rate {rate:g}; {kept}; give a lower --phase{self._phase}_learning_rate and "
            "another --run_dir"
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

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Ends training where the time is up."""
        self.over = strategy.any_says(self._devices, said=time.monotonic() >= self._end)
        if self.over:
            self.model.stop_training = True


class InputClock(keras.callbacks.Callback):
    """Measures how long training waits for its batches, and writes it to history.csv."""

    def __init__(self) -> None:
        super().__init__()
        self._waited = float("nan")

    def attach(self, model: keras.Model) -> None:
        """Has a model on one device fetch its batches before its compiled step, by the clock.

        Keras fetches them inside the step, where nobody sees how long it took.
        """

        def make_train_function(force: bool = False) -> None:
            step = tf.function(
                model.train_step,
                autograph=False,
                jit_compile=model.jit_compile or None,
                reduce_retracing=True,
            )

            def fetch_and_step(iterator: Any) -> Any:
                asked = time.monotonic()
                batch = next(iterator)
                self._waited += time.monotonic() - asked
                return step(batch)

            model.train_function = fetch_and_step

        model.make_train_function = make_train_function
        self._waited = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Starts the clocks."""
        self._waited *= 0  # which leaves "not a number": not measured
        self._start = self._end = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Notes the end of a step; the last one counts, validation is not training."""
        self._end = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Adds to the logs that the callbacks after this one see."""
        assert logs is not None
        logs["training_seconds"] = round(self._end - self._start, 4)
        logs["waiting_seconds"] = round(self._waited, 4)


class WeightHistograms(keras.callbacks.Callback):
    """Shows TensorBoard how the values of all trained weights spread, each epoch.

    Keras's own takes frozen weights too, and all values: 0.3 billion in a flattened head.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        super().__init__()
        self._writer = tf.summary.create_file_writer(str(folder))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes them; of a large array, values at equal distances."""
        with self._writer.as_default(epoch):
            for weight in self.model.trainable_weights:
                values = tf.reshape(tf.convert_to_tensor(weight), [-1])
                stride = max(1, int(values.shape[0]) // _HISTOGRAM_VALUES)
                tf.summary.histogram(weight.path, values[::stride])
        self._writer.flush()


def write_flags(config: TrainingConfig, folder: pathlib.Path) -> None:
    """Tells TensorBoard's HParams page the flags of a run and the scores to set beside them."""
    given = {key: "" if value is None else value for key, value in config.to_json().items()}
    phase = f"phase{2 if config.phase2_epochs else 1}"
    metrics = [
        hparams.Metric(f"epoch_{name}", group=f"{phase}/validation", display_name=name)
        for name in ("loss", "auc", "accuracy")
    ]
    with tf.summary.create_file_writer(str(folder)).as_default(step=0):
        hparams.hparams_config(hparams=[hparams.HParam(key) for key in given], metrics=metrics)
        hparams.hparams(given)


def see(model: keras.Model, images: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Returns what the layers before the three channels make of images in training.

    Args:
        model: its layer `to_three_channels` gets the scaled and augmented image.
        images: [images, height, width, 1] uint16, as stored.

    Returns:
        [images, height, width, 1] float32, 0 (black) to 1 (white).
    """
    grey = model.get_layer("to_three_channels").input[0]
    seen = keras.Model(model.inputs[0], grey)(images, training=True)
    return np.asarray(keras.ops.convert_to_numpy(seen), np.float32)


def draw_batch(seen: NDArray[np.float32], labels: Sequence[str], path: pathlib.Path) -> None:
    """Draws images side by side, their label and range of values under each.

    Args:
        seen: [images, height, width, 1], 0..1; the first 8 are drawn.
        labels: what each is.
        path: of the PNG file.
    """
    tiles = []
    for image, label in zip(seen[:_PICTURE_IMAGES], labels, strict=False):
        height, width = image.shape[:2]
        scale = _PICTURE_SIDE / max(height, width)
        grey = (np.clip(image[:, :, 0], 0, 1) * 255).astype(np.uint8)
        small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        tile = np.full((_PICTURE_SIDE + 40, _PICTURE_SIDE + 8), 40, np.uint8)
        tile[: small.shape[0], : small.shape[1]] = small
        for line, text in enumerate((label, f"{image.min():.2f} to {image.max():.2f}")):
            place = (4, _PICTURE_SIDE + 16 + 18 * line)
            cv2.putText(tile, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, 255, 1, cv2.LINE_AA)
        tiles.append(tile)
    done = cv2.imwrite(str(path), np.hstack(tiles))
    assert done


def show_batch(path: pathlib.Path, folder: pathlib.Path) -> None:
    """Puts a picture on TensorBoard's page of images."""
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    with tf.summary.create_file_writer(str(folder)).as_default(step=0):
        tf.summary.image("first batch", picture[np.newaxis, :, :, np.newaxis])


def dead_units(model: keras.Model, batches: tf.data.Dataset) -> dict[str, float]:
    """Returns, by layer, the fraction of ReLU units of the head that are 0 on every image.

    Args:
        model: its own layers with ReLU are looked at, not those inside its base.
        batches: of (images, labels).
    """
    outputs = {
        layer.name: layer.output
        for layer in model.layers
        if getattr(layer, "activation", None) is keras.activations.relu
        and len(layer.output.shape) == 2
    }
    if not outputs:
        return {}
    inner = keras.Model(model.inputs[0], outputs)
    alive = {name: np.zeros(output.shape[-1], bool) for name, output in outputs.items()}
    for images, _ in batches:
        for name, values in inner(images, training=False).items():
            alive[name] |= (keras.ops.convert_to_numpy(values) > 0).any(axis=0)
    return {name: round(float(1 - units.mean()), 4) for name, units in alive.items()}


def measure(history: pathlib.Path, *, images: int) -> dict[str, float | None]:
    """Sums up what training cost, of all epochs but the first of each phase if there are others.

    The first compiles the step and fills the shuffle buffer.

    Args:
        history: history.csv.
        images: of an epoch.

    Returns:
        images a second; percent of training spent waiting for batches, None if not measured; and
        the largest memory this process had, GB.
    """
    rows = checkpoints.read_history(history)
    firsts = {row["phase"]: row["epoch"] for row in reversed(rows)}
    steady = [row for row in rows if firsts[row["phase"]] != row["epoch"]] or rows
    seconds = sum(float(row["training_seconds"]) for row in steady)
    waited = [float(row["waiting_seconds"] or "nan") for row in steady]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2): bytes there, KiB here
    return {
        "images_per_second": round(images * len(steady) / seconds, 2),
        "waiting_percent": None
        if np.isnan(waited).any()
        else round(100 * sum(waited) / seconds, 2),
        "peak_memory_gb": round(peak * unit / 1e9, 3),
    }


def describe(throughput: dict[str, float | None]) -> str:
    """Says the throughput of a run in one line."""
    waiting = throughput["waiting_percent"]
    return (
        f"training: {throughput['images_per_second']} images/s, "
        + (f"{waiting} % of it" if waiting is not None else "not measured how much of it")
        + f" waiting for data, {throughput['peak_memory_gb']} GB of memory"
    )
