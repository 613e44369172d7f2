"""A saved model on films it never saw: predictions.csv, metrics.json, report.html."""

from __future__ import annotations

import pathlib
import time
from typing import Any

import keras

from flags.catalogue import Target
from flags.size import ImageSize
from trainer import (
    checkpoints,
    film_pictures,
    input_pipeline,
    metrics,
    outputs,
    predictions,
    report,
    run_folder,
)
from trainer.predictions import Prediction
from trainer.records import Split


def evaluate(
    directory: pathlib.Path, split: Split, target: Target, size: ImageSize, batch_size: int
) -> None:
    """Judges the model of a run folder on a split and writes its report."""
    start = time.monotonic()
    model = keras.models.load_model(directory / "model.keras", compile=False)
    predicted = predict(model, split, target, size, batch_size=batch_size)
    seconds = time.monotonic() - start
    predictions.write(directory / "predictions.csv", predicted)
    scores = metrics.score(
        predicted,
        split=split.name,
        label_names=target.names,
        ordinal=target.kind == "ordinal",
    )
    run_folder.write_json(directory / "metrics.json", scores)
    description = run_folder.read_json(directory / "run.json")
    run_folder.write_json(
        directory / "run.json",
        {
            **description,
            **_sum_up_time(directory, description, seconds),
            "predicts_one_class": scores["predicts_one_class"],
        },
    )
    film_pictures.draw(directory, model, predicted, split, target, size=size, batch_size=batch_size)
    report.write(directory)


def _sum_up_time(
    directory: pathlib.Path, description: dict[str, Any], seconds: float
) -> dict[str, Any]:
    """Returns minutes of each phase and of evaluation, and films/s of the fastest epoch."""
    epochs: dict[str, list[float]] = {}
    for row in checkpoints.read_history(directory / "history.csv"):
        epochs.setdefault(f"phase{row['phase']}", []).append(float(row["seconds"]))
    fastest = min(second for phase in epochs.values() for second in phase)
    return {
        "minutes": {
            **{phase: round(sum(spent) / 60, 3) for phase, spent in epochs.items()},
            "evaluation": round(seconds / 60, 3),
        },
        "films_per_second": round(description["splits"]["train"]["epoch"] / fastest, 2),
    }


def predict(
    model: keras.Model, split: Split, target: Target, size: ImageSize, *, batch_size: int
) -> list[Prediction]:
    """Asks the model about every film of a split, once, in the order of the shards."""
    batches = input_pipeline.evaluation_batches(split, target, size, batch_size=batch_size)
    answers = model.predict(batches.map(lambda images, _: images), verbose=0)
    probabilities = outputs.class_probabilities(answers, target)
    predicted: list[Prediction] = []
    for metadata, labels in input_pipeline.metadata_batches(
        split, target, batch_size=batch_size
    ).as_numpy_iterator():
        for row, label in enumerate(labels):
            texts = {key: values[row].decode() for key, values in metadata.items()}
            place = len(predicted)
            several = len(target.names) > 2
            predicted.append(
                Prediction(
                    label=int(label),
                    probability=float(probabilities[place, 1:].sum()),
                    split=split.name,
                    probabilities=tuple(map(float, probabilities[place])) if several else (),
                    **texts,
                )
            )
    assert len(predicted) == len(probabilities) == len(split.films)
    return predicted
