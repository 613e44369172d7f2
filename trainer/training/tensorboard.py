"""TensorBoard's pages of a run: weight histograms, flags, dead units, and the first batch."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorboard.plugins.hparams import api as hparams

from flags.training_config import TrainingConfig
from records import files

_HISTOGRAM_VALUES = 100_000
_PICTURE_SIDE = 256
_PICTURE_IMAGES = 8


class WeightHistograms(keras.callbacks.Callback):
    """Shows TensorBoard how the values of all trained weights spread, each epoch.

    Keras's own takes frozen weights too, and all values: 0.3 billion in a flattened head.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        super().__init__()
        self._writer = tf.summary.create_file_writer(str(folder))

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Writes them; of a large array, values at equal distances."""
        with self._writer.as_default(epoch):
            for weight in self.model.trainable_weights:
                values = tf.reshape(tf.convert_to_tensor(weight), [-1])
                stride = max(1, int(values.shape[0]) // _HISTOGRAM_VALUES)
                tf.summary.histogram(weight.path, values[::stride])
        self._writer.flush()


def write_flags(config: TrainingConfig, folder: pathlib.Path) -> None:
    """Writes the flags of a run, and the metrics to set beside them, for the HParams page."""
    given = {key: "" if value is None else value for key, value in config.to_json().items()}
    phase = f"phase{2 if config.phase2_epochs else 1}"
    metrics = [
        hparams.Metric(f"epoch_{name}", group=f"{phase}/validation", display_name=name)
        for name in ("loss", "auc", "accuracy")
    ]
    with tf.summary.create_file_writer(str(folder)).as_default(step=0):
        hparams.hparams_config(hparams=[hparams.HParam(key) for key in given], metrics=metrics)
        hparams.hparams(given)


def augmented_images(model: keras.Model, inputs: Any) -> NDArray[np.float32]:
    """Computes stored images as the base gets them in training, scaled and augmented.

    Args:
        model: its layer `to_three_channels` gets the scaled and augmented image.
        inputs: a batch as the network takes it.

    Returns:
        [images, height, width, 1] float32, 0 (black) to 1 (white); a record's views are images one
        after the other.
    """
    grey = model.get_layer("to_three_channels").input[0]
    seen = keras.Model(model.input, grey)(inputs, training=True)
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
    done, data = cv2.imencode(".png", np.hstack(tiles))
    assert done
    with files.replacing(path) as temporary:
        temporary.write_bytes(data.tobytes())


def show_batch(path: pathlib.Path, folder: pathlib.Path) -> None:
    """Puts a picture on TensorBoard's page of images."""
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    with tf.summary.create_file_writer(str(folder)).as_default(step=0):
        tf.summary.image("first batch", picture[np.newaxis, :, :, np.newaxis])


def write_dead_units(fractions: Mapping[str, float], folder: pathlib.Path) -> None:
    """Writes the fraction of dead units of each layer as a scalar."""
    with tf.summary.create_file_writer(str(folder)).as_default(step=0):
        for layer, fraction in fractions.items():
            tf.summary.scalar(f"dead units/{layer}", fraction)
