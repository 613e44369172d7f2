"""The films that --mode=explain looks at: files, or films that the run was judged on."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from flags.catalogue import Target
from flags.preparation import Preparation
from trainer import input_pipeline, predictions, train
from trainer.new_films import films
from trainer.new_films.films import UnusableFilm
from trainer.predictions import Prediction
from trainer.records import Records, Split

SPLITS = {"test": "predictions.csv", "validation": "validation_predictions.csv"}
"""What may be looked at, and what the run said of it."""


@dataclasses.dataclass(frozen=True)
class ExplainedFilm:
    """A film to be looked at.

    Attributes:
        name: path of its file, or its id.
        pixels: [height, width] uint16, what the heat map is laid over.
        record: [h, w, 1] uint16, what the network takes.
        matrix: [3, 3], (column, row, 1) of the record -> of `pixels`.
        truth: name of its class, "" if not known.
    """

    name: str
    pixels: NDArray[np.uint16]
    record: NDArray[np.uint16]
    matrix: NDArray[np.float64]
    truth: str = ""


@dataclasses.dataclass(frozen=True)
class Judged:
    """What a run was judged on.

    Attributes:
        records: that it learned from.
        split: the films.
        target: the question.
        batch_size: films read at a time.
    """

    records: Records
    split: Split
    target: Target
    batch_size: int


def of_files(
    paths: Sequence[str], preparation: Preparation, bad: Callable[[str, UnusableFilm], None]
) -> Iterator[ExplainedFilm]:
    """Prepares films one by one; `bad` is told of those that can't be used."""
    for path in paths:
        try:
            film = films.prepare(pathlib.Path(path), preparation)
        except UnusableFilm as unusable:
            bad(path, unusable)
            continue
        yield ExplainedFilm(path, film.pixels, film.record, film.matrix)


def open_judged(directory: pathlib.Path, name: str, *, dataset_dir: str | None) -> Judged:
    """Opens the test or validation films of a run.

    Args:
        directory: the run folder.
        name: key of SPLITS.
        dataset_dir: folder of the records if they have moved.

    Raises:
        CallerError: they are not there, or are not those the run learned from.
    """
    config, data = train.open_again(directory, dataset_dir=dataset_dir)
    split = data.test if name == "test" else data.validation
    assert split is not None
    return Judged(data.records, split, data.target, config.batch_size)


def of_split(
    directory: pathlib.Path, name: str, judged: Judged, *, worst: int
) -> Iterator[ExplainedFilm]:
    """Reads films of a split from their records.

    Args:
        directory: the run folder.
        name: key of SPLITS.
        judged: its films.
        worst: how many, those first whose truth the model found least likely; 0: all of them, in
            the order of the shards.

    Raises:
        CallerError: the run did not say what it predicted of them.
    """
    if not worst:
        yield from _stream(judged)
        return
    path = directory / SPLITS[name]
    chosen = choose_worst(predictions.read(path), worst)
    wanted = {film.film_id: place for place, film in enumerate(chosen)}
    found = [film for film in _stream(judged) if film.name in wanted]
    yield from sorted(found, key=lambda film: wanted[film.name])


def choose_worst(predicted: Sequence[Prediction], count: int) -> list[Prediction]:
    """Takes the films whose truth the model found least likely, the worst first."""
    return sorted(predicted, key=lambda film: (film.probability_of_truth, film.film_id))[:count]


def on_originals(
    shown: Iterable[ExplainedFilm],
    judged: Judged,
    preparation: Preparation,
    data_dir: pathlib.Path,
    bad: Callable[[str, UnusableFilm], None],
) -> Iterator[ExplainedFilm]:
    """Lays films of a split out on the films that their records were made from.

    Args:
        shown: as `of_split` yields them.
        judged: what they are films of.
        preparation: how they became records.
        data_dir: folder of the films, as the conversion had it.
        bad: told of films that can't be used.
    """
    rows = {row["film_id"]: row for row in judged.split.films}
    for film in shown:
        row = rows[film.name]
        path = data_dir / row["path"]
        try:
            made = films.prepare(path, preparation, view=row["view"], side=row["side"])
        except UnusableFilm as unusable:
            bad(str(path), unusable)
            continue
        yield dataclasses.replace(film, pixels=made.pixels, record=made.record, matrix=made.matrix)


def _stream(judged: Judged) -> Iterator[ExplainedFilm]:
    split, target = judged.split, judged.target
    both = tf.data.Dataset.zip(
        input_pipeline.evaluation_batches(
            split, target, judged.records.size, batch_size=judged.batch_size
        ),
        input_pipeline.metadata_batches(split, target, batch_size=judged.batch_size),
    )
    for (images, _), (metadata, labels) in both.as_numpy_iterator():
        for image, name, label in zip(images, metadata["film_id"], labels, strict=True):
            truth = target.names[int(label)]
            yield ExplainedFilm(name.decode(), image[:, :, 0], image, np.eye(3), truth)
