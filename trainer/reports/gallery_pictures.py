"""Draws the images a report shows, as the network saw them, beside what it looked at.

image_pictures.draw(run_dir, predicted, data, batch_size=8, models=[model])
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterable, Sequence

import cv2
import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from trainer.data import input_pipeline
from trainer.heat_maps import heat_map, overlay
from trainer.metrics.predictions import Prediction
from trainer.reports import gallery
from trainer.reports.gallery import Picture
from trainer.training.run import Data

SIDE = 420
"""Pixels; larger images are drawn smaller."""
METHOD = "gradcam"


def draw(
    run_dir: pathlib.Path,
    predicted: Sequence[Prediction],
    data: Data,
    *,
    batch_size: int,
    models: Iterable[keras.Model],
) -> None:
    """Chooses images among those predicted, draws them and keeps the pictures in run_dir/images.

    Args:
        run_dir: folder of the run.
        predicted: the images of `data.test`.
        data: where they come from.
        batch_size: images read at a time.
        models: those that predicted; their heat maps are averaged. None: no heat maps.
    """
    chosen = gallery.choose(predicted, ordinal=data.target.kind == "ordinal")
    stored = fetch({image.image_id for image in chosen}, data, batch_size=batch_size)
    pictures = {
        name: Picture(gallery.encode(overlay.shrink(image, SIDE))) for name, image in stored.items()
    }
    if models and stored:
        images = np.stack(list(stored.values()))[..., np.newaxis]
        maps = [
            heat_map.HeatMapper(model, data.target.kind, method=METHOD).draw(images)
            for model in models
        ]
        for (name, image), heat in zip(stored.items(), np.mean(maps, axis=0), strict=True):
            small = overlay.shrink(image, SIDE)
            fitting = cv2.resize(heat, small.shape[::-1], interpolation=cv2.INTER_AREA)
            laid_over = heat_map.overlay(small, fitting)
            pictures[name] = Picture(pictures[name].image, gallery.encode(laid_over))
    gallery.write(run_dir, chosen, pictures)


def fetch(wanted: set[str], data: Data, *, batch_size: int) -> dict[str, NDArray[np.uint16]]:
    """Reads the records of the images wanted of `data.test`: name -> pixels [height, width]."""
    assert data.test is not None
    images: dict[str, NDArray[np.uint16]] = {}
    size = data.records.size
    both = tf.data.Dataset.zip(
        input_pipeline.evaluation_batches(data.test, data.target, size, batch_size=batch_size),
        input_pipeline.metadata_batches(data.test, data.target, batch_size=batch_size),
    )
    for (batch, _), (metadata, _) in both.as_numpy_iterator():
        for row, name in enumerate(metadata["image_id"]):
            if name.decode() in wanted:
                images[name.decode()] = batch[row, :, :, 0]
        if len(images) == len(wanted):
            break
    return images
