"""training_films.json of a run: what its training films look like, see `familiarity`."""

from __future__ import annotations

import pathlib

import numpy as np

from flags.size import ImageSize
from trainer import input_pipeline, run_folder
from trainer.new_films import familiarity
from trainer.records import Split

FILE = "training_films.json"
_BATCH = 16


def write(directory: pathlib.Path, split: Split, size: ImageSize) -> None:
    """Measures the records that train and writes the file."""
    measures, patients, native_sizes = [], [], []
    for images, sizes, names in input_pipeline.film_batches(
        split, size, batch_size=_BATCH
    ).as_numpy_iterator():
        measures += [familiarity.measure(image) for image in images]
        native_sizes += [(int(rows), int(columns)) for rows, columns in sizes]
        patients += [name.decode() for name in names]
    known = familiarity.fit(np.array(measures), patients, native_sizes)
    run_folder.write_json(directory / FILE, known)
