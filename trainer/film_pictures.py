"""Draws the films a report shows, as the network saw them, with what it looked at.

film_pictures.draw(run_dir, model, predicted, split, target, size=size, batch_size=8)
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import cv2
import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from flags.catalogue import Target
from flags.size import ImageSize
from trainer import film_gallery, input_pipeline
from trainer.film_gallery import Picture
from trainer.predictions import Prediction
from trainer.records import Split

SIDE = 420
"""Pixels; larger films are drawn smaller."""


def draw(
    run_dir: pathlib.Path,
    model: keras.Model,
    predicted: Sequence[Prediction],
    split: Split,
    target: Target,
    *,
    size: ImageSize,
    batch_size: int,
) -> None:
    """Chooses films among those predicted, draws them and keeps the pictures in run_dir/films."""
    chosen = film_gallery.choose(predicted, ordinal=target.kind == "ordinal")
    wanted = {film.film_id for film in chosen}
    stored = fetch(wanted, split, target, size, batch_size=batch_size)
    pictures = {name: Picture(film_gallery.encode(shrink(stored[name]))) for name in wanted}
    film_gallery.write(run_dir, chosen, pictures)


def fetch(
    wanted: set[str], split: Split, target: Target, size: ImageSize, *, batch_size: int
) -> dict[str, NDArray[np.uint16]]:
    """Reads the records of the films wanted: name -> pixels [height, width]."""
    films: dict[str, NDArray[np.uint16]] = {}
    both = tf.data.Dataset.zip(
        input_pipeline.evaluation_batches(split, target, size, batch_size=batch_size),
        input_pipeline.metadata_batches(split, target, batch_size=batch_size),
    )
    for (batch, _), (metadata, _) in both.as_numpy_iterator():
        for row, name in enumerate(metadata["film_id"]):
            if name.decode() in wanted:
                films[name.decode()] = batch[row, :, :, 0]
        if len(films) == len(wanted):
            break
    return films


def shrink(pixels: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Makes an 8-bit picture of a film, at most SIDE pixels high and wide."""
    scale = min(1.0, SIDE / max(pixels.shape))
    small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return (small // 256).astype(np.uint8)
