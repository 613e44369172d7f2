"""training_images.json of a run: what its training images look like, see `familiarity`."""

from __future__ import annotations

import pathlib

import numpy as np

from records import files
from records.image_size import ImageSize
from trainer.data import input_pipeline, training_statistics
from trainer.data.dataset import Split

FILE = "training_images.json"
_BATCH = 16


def write(directory: pathlib.Path, split: Split, size: ImageSize) -> None:
    """Measures the records that train and writes the file."""
    measures, patients, native_sizes = [], [], []
    for images, sizes, names in input_pipeline.image_batches(
        split, size, batch_size=_BATCH
    ).as_numpy_iterator():
        measures += [training_statistics.measure(image) for image in images]
        native_sizes += [(int(rows), int(columns)) for rows, columns in sizes]
        patients += [name.decode() for name in names]
    known = training_statistics.fit(np.array(measures), patients, native_sizes)
    files.write_json(directory / FILE, known)
