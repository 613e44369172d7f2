"""The images to be explained: files, or images that the run was evaluated on."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beam_jobs.imaging.unusable import UnusableImage
from flags.targets import Target
from records.preprocessing import Preparation
from trainer.data import dataset, image_file, input_pipeline
from trainer.data.dataset import Split
from trainer.data.records_folder import Records
from trainer.metrics import predictions
from trainer.metrics.predictions import Prediction
from trainer.model import network_input

SPLITS = {"test": "predictions.csv", "validation": "validation_predictions.csv"}
"""Splits that can be explained, and the file of the run with their predictions."""


@dataclasses.dataclass(frozen=True)
class ExplainedImage:
    """An image to be looked at.

    Attributes:
        name: path of its file, or its id.
        pixels: [height, width] uint16, what the heat map is laid over.
        record: what the network takes, [h, w, 1] uint16 of one image; views lie side by side.
        matrix: [3, 3], (column, row, 1) of the record -> of `pixels`.
        truth: name of its class, "" if not known.
    """

    name: str
    pixels: NDArray[np.uint16]
    record: Any
    matrix: NDArray[np.float64]
    truth: str = ""


@dataclasses.dataclass(frozen=True)
class TestedImages:
    """What a run was evaluated on.

    Attributes:
        records: that it learned from.
        split: the images.
        target: the question.
        batch_size: images read at a time.
    """

    records: Records
    split: Split
    target: Target
    batch_size: int


def open_evaluated(directory: pathlib.Path, name: str, *, dataset_dir: str | None) -> TestedImages:
    """Opens the test or validation images of a run.

    Args:
        directory: the run folder.
        name: key of SPLITS.
        dataset_dir: folder of the records if they have moved.

    Raises:
        CallerError: they are not there, or are not those the run learned from.
    """
    config, data = dataset.open_again(directory, dataset_dir=dataset_dir)
    split = data.test if name == "test" else data.validation
    assert split is not None
    alone = dataclasses.replace(split, side=())  # columns move no map
    return TestedImages(data.records, alone, data.target, config.batch_size)


def of_split(
    directory: pathlib.Path, name: str, evaluated: TestedImages, *, worst: int
) -> Iterator[ExplainedImage]:
    """Reads images of a split from their records.

    Args:
        directory: the run folder.
        name: key of SPLITS.
        evaluated: its images.
        worst: how many, those first whose truth the model found least likely; 0: all of them, in
            the order of the shards.

    Raises:
        CallerError: the run holds no predictions of them.
    """
    if not worst:
        yield from _stream(evaluated)
        return
    path = directory / SPLITS[name]
    chosen = choose_worst(predictions.read(path), worst)
    wanted = {image.image_id: place for place, image in enumerate(chosen)}
    found = [image for image in _stream(evaluated) if image.name in wanted]
    yield from sorted(found, key=lambda image: wanted[image.name])


def choose_worst(predicted: Sequence[Prediction], count: int) -> list[Prediction]:
    """Takes the images whose truth the model found least likely, the worst first."""
    return sorted(predicted, key=lambda image: (image.probability_of_truth, image.image_id))[:count]


def on_originals(
    shown: Iterable[ExplainedImage],
    evaluated: TestedImages,
    preparation: Preparation,
    data_dir: pathlib.Path,
    bad: Callable[[str, UnusableImage], None],
) -> Iterator[ExplainedImage]:
    """Lays images of a split out on the images that their records were made from.

    Args:
        shown: as `of_split` yields them.
        evaluated: what they are images of.
        preparation: how they became records.
        data_dir: folder of the images, as the conversion had it.
        bad: called with images that can't be used.
    """
    rows = {row["image_id"]: row for row in evaluated.split.images}
    for image in shown:
        row = rows[image.name]
        path = data_dir / row["path"]
        try:
            made = image_file.prepare(
                path,
                preparation,
                view=row["view"],
                side=row["side"],
                discrepancies=row["discrepancies"],
            )
        except UnusableImage as unusable:
            bad(str(path), unusable)
            continue
        yield dataclasses.replace(image, pixels=made.pixels, record=made.record, matrix=made.matrix)


def _stream(evaluated: TestedImages) -> Iterator[ExplainedImage]:
    split, target = evaluated.split, evaluated.target
    batches = input_pipeline.described_batches(
        split, target, evaluated.records.size, batch_size=evaluated.batch_size
    )
    for inputs, labels, metadata, *_ in batches.as_numpy_iterator():
        for row, (name, label) in enumerate(zip(metadata["image_id"], labels, strict=True)):
            record = network_input.take(inputs, row)
            pixels = network_input.side_by_side(record)
            yield ExplainedImage(name.decode(), pixels, record, np.eye(3), target.names[int(label)])
