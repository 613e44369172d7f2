"""Draws the films a report shows, as the network saw them, beside what it looked at.

film_pictures.draw(run_dir, predicted, data, batch_size=8, models=[model])
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterable, Sequence

import cv2
import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from trainer import input_pipeline
from trainer.heat_maps import heat_map, heat_picture
from trainer.pages import film_gallery
from trainer.pages.film_gallery import Picture
from trainer.predictions import Prediction
from trainer.run import Data

SIDE = 420
"""Pixels; larger films are drawn smaller."""
METHOD = "gradcam"


def draw(
    run_dir: pathlib.Path,
    predicted: Sequence[Prediction],
    data: Data,
    *,
    batch_size: int,
    models: Iterable[keras.Model],
) -> None:
    """Chooses films among those predicted, draws them and keeps the pictures in run_dir/films.

    Args:
        run_dir: folder of the run.
        predicted: the films of `data.test`.
        data: where they come from.
        batch_size: films read at a time.
        models: those that predicted; their heat maps are averaged. None: no heat maps.
    """
    chosen = film_gallery.choose(predicted, ordinal=data.target.kind == "ordinal")
    stored = fetch({film.film_id for film in chosen}, data, batch_size=batch_size)
    pictures = {
        name: Picture(film_gallery.encode(heat_picture.shrink(film, SIDE)))
        for name, film in stored.items()
    }
    if models and stored:
        images = np.stack(list(stored.values()))[..., np.newaxis]
        maps = [
            heat_map.HeatMapper(model, data.target.kind, method=METHOD).draw(images)
            for model in models
        ]
        for (name, film), heat in zip(stored.items(), np.mean(maps, axis=0), strict=True):
            small = heat_picture.shrink(film, SIDE)
            fitting = cv2.resize(heat, small.shape[::-1], interpolation=cv2.INTER_AREA)
            laid_over = heat_map.overlay(small, fitting)
            pictures[name] = Picture(pictures[name].film, film_gallery.encode(laid_over))
    film_gallery.write(run_dir, chosen, pictures)


def fetch(wanted: set[str], data: Data, *, batch_size: int) -> dict[str, NDArray[np.uint16]]:
    """Reads the records of the films wanted of `data.test`: name -> pixels [height, width]."""
    assert data.test is not None
    films: dict[str, NDArray[np.uint16]] = {}
    size = data.records.size
    both = tf.data.Dataset.zip(
        input_pipeline.evaluation_batches(data.test, data.target, size, batch_size=batch_size),
        input_pipeline.metadata_batches(data.test, data.target, batch_size=batch_size),
    )
    for (batch, _), (metadata, _) in both.as_numpy_iterator():
        for row, name in enumerate(metadata["film_id"]):
            if name.decode() in wanted:
                films[name.decode()] = batch[row, :, :, 0]
        if len(films) == len(wanted):
            break
    return films
