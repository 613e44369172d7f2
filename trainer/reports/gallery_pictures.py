"""The images a report shows -> pictures of their records and heat maps.

gallery_pictures.draw(run_dir, predicted, data, models=[model])
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterable

import keras
import numpy as np

from trainer.data import records_folder
from trainer.data.dataset import Data
from trainer.evaluation.evaluate_model import Predicted
from trainer.heat_maps import heat_map, overlay
from trainer.heat_maps.heat_map import Heat
from trainer.model import network_input
from trainer.reports import gallery
from trainer.reports.gallery import Picture

METHOD = "gradcam"


def draw(
    run_dir: pathlib.Path,
    predicted: Predicted,
    data: Data,
    *,
    models: Iterable[keras.Model],
) -> None:
    """Chooses images among those predicted, draws them and keeps the pictures in run_dir/images.

    Args:
        run_dir: folder of the run.
        predicted: the images of `data.test`, of which those chosen alone are read again.
        data: where they come from.
        models: those that predicted; their heat maps are averaged. None: no heat maps.
    """
    chosen = gallery.choose(predicted.images, ordinal=data.target.kind == "ordinal")
    wanted = {image.image_id for image in chosen}
    stored = {
        image.image_id: network_input.make(
            *records_folder.read_pixels(predicted.places[image.image_id], data.records.size)
        )
        for image in predicted.images
        if image.image_id in wanted
    }
    small = {
        name: overlay.shrink(network_input.side_by_side(record), overlay.SMALL_SIDE)
        for name, record in stored.items()
    }
    pictures = {name: Picture(overlay.encode(image)) for name, image in small.items()}
    maps: list[Heat] = []
    if stored:
        images = network_input.batch_of(list(stored.values()))
        called = {image.image_id: image.called for image in chosen}
        labels = [heat_map.explained_label(called[name], data.target.kind) for name in stored]
        maps = [
            heat_map.HeatMapper(model, data.target.kind, method=METHOD).draw(images, labels)
            for model in models
            if heat_map.can_draw(model)
        ]
    if maps:
        for name, heat in zip(stored, np.mean(maps, axis=0), strict=True):
            laid_over = overlay.blend(small[name], network_input.side_by_side(stored[name], heat))
            pictures[name] = Picture(pictures[name].image, overlay.encode(laid_over))
    gallery.write(run_dir, chosen, pictures)
