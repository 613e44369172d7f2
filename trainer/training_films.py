"""training_films.json of a run: what its training films look like, see `familiarity`.

write(run_dir, split, size)   # after training
known = read(run_dir)         # before predicting
"""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import numpy as np
from absl import logging

from flags.errors import CallerError
from flags.size import ImageSize
from trainer import familiarity, input_pipeline, run_folder, train
from trainer.records import Split

FILE = "training_films.json"
_BATCH = 16


def write(directory: pathlib.Path, split: Split, size: ImageSize) -> dict[str, Any]:
    """Measures the records that train and writes the file; returns its content."""
    measures, patients, native_sizes = [], [], []
    for images, sizes, names in input_pipeline.film_batches(
        split, size, batch_size=_BATCH
    ).as_numpy_iterator():
        measures += [familiarity.measure(image) for image in images]
        native_sizes += [(int(rows), int(columns)) for rows, columns in sizes]
        patients += [name.decode() for name in names]
    known = familiarity.fit(np.array(measures), patients, native_sizes)
    run_folder.write_json(directory / FILE, known)
    return known


def read(directory: pathlib.Path) -> dict[str, Any] | None:
    """Reads the file; makes it for a run that lacks it, if its records are still there.

    Returns:
        what `familiarity.judge` needs, None if nothing is known of the training films.
    """
    path = directory / FILE
    if path.is_file():
        return run_folder.read_json(path)
    try:
        config, fingerprint = run_folder.read_config(directory)
        data = train.open_data(dataclasses.replace(config, mode="train"), judge=False)
    except CallerError as error:
        logging.info("%s: its training films can't be measured: %s", directory, error)
        return None
    if data.records.manifest["data_fingerprint"] != fingerprint:
        return None
    return write(directory, data.train, data.records.size)
