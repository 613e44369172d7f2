"""A saved model on films it never saw: predictions.csv, metrics.json, report.html.

What its probabilities are worth, and above which a film is called positive, is learned on the
validation films: validation_predictions.csv, calibration.json.
"""

from __future__ import annotations

import pathlib
import time
from collections.abc import Sequence
from typing import Any

import cv2
import keras
import numpy as np
import tensorflow as tf

from flags import test_time as test_time_flags
from flags.catalogue import Target
from flags.size import ImageSize
from trainer import (
    calibration,
    checkpoints,
    class_metrics,
    input_pipeline,
    metrics,
    predictions,
    report,
    run_folder,
    test_time,
)
from trainer.predictions import Prediction
from trainer.records import Split
from trainer.run import Data

_EXAMPLES_OF_A_KIND = 2
_EXAMPLE_SIDE = 420


def evaluate(directory: pathlib.Path, data: Data, *, batch_size: int, tta: str | None) -> None:
    """Judges the model of a run folder on the films of `data.test` and writes its report.

    Args:
        directory: the run.
        data: its own; validation films are needed too.
        batch_size: films at a time.
        tta: key of `flags.test_time.VIEWS`, None as "none".
    """
    assert data.test is not None
    start = time.monotonic()
    model = keras.models.load_model(directory / "model.keras", compile=False)
    views = tta or test_time_flags.NONE
    validated, predicted = (
        predict(model, split, data, batch_size=batch_size, tta=views)
        for split in (data.validation, data.test)
    )
    seconds = time.monotonic() - start
    described = run_folder.read_json(directory / "run.json")
    described |= _sum_up_time(directory, described, seconds)
    write(directory, predicted, validated, data, described, tta=views)
    show(directory, predicted, data, batch_size=batch_size)


def write(
    directory: pathlib.Path,
    predicted: Sequence[Prediction],
    validated: Sequence[Prediction],
    data: Data,
    described: dict[str, Any],
    *,
    tta: str,
) -> None:
    """Writes predictions and what follows from them, but for the report.

    Args:
        directory: of the run or ensemble.
        predicted: the films judged.
        validated: films that neither trained nor judge it, empty if there are none.
        data: where they come from.
        described: content of run.json.
        tta: how the films were seen.
    """
    assert data.test is not None
    names = data.target.names
    fitted = {**calibration.fit(validated, label_names=names), "test_time_augmentation": tta}
    predicted = calibration.apply(fitted, predicted)
    validated = calibration.apply(fitted, validated)
    predictions.write(directory / "validation_predictions.csv", validated)
    run_folder.write_json(directory / calibration.FILE, fitted)
    predictions.write(directory / "predictions.csv", predicted)
    scores = metrics.score(
        predicted,
        split=data.test.name,
        label_names=names,
        ordinal=data.target.kind == "ordinal",
    )
    run_folder.write_json(directory / "metrics.json", scores)
    said = {
        "predicts_one_class": scores["predicts_one_class"],
        "test_time_augmentation": tta,
    }
    run_folder.write_json(directory / "run.json", {**described, **said})


def show(
    directory: pathlib.Path, predicted: Sequence[Prediction], data: Data, *, batch_size: int
) -> None:
    """Writes the report, with some of the films judged."""
    assert data.test is not None
    chosen = choose_examples(predicted, data.target)
    films = draw_examples(chosen, data.test, data.target, data.records.size, batch_size=batch_size)
    report.write(directory, films)


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
    model: keras.Model, split: Split, data: Data, *, batch_size: int, tta: str
) -> list[Prediction]:
    """Asks the model about every film of a split, once, in the order of the shards."""
    target, size = data.target, data.records.size
    batches = input_pipeline.evaluation_batches(split, target, size, batch_size=batch_size)
    images = batches.map(lambda pixels, _: pixels)
    probabilities = test_time.predict(model, images, target, test_time.views(tta, size))
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
                    probability=float(min(1.0, probabilities[place, 1:].sum())),
                    split=split.name,
                    probabilities=tuple(map(float, probabilities[place])) if several else (),
                    **texts,
                )
            )
    assert len(predicted) == len(probabilities) == len(split.films)
    return predicted


def answer_of(prediction: Prediction, target: Target) -> int:
    """Says which class the model calls a film."""
    if not prediction.probabilities:
        return int(prediction.probability > metrics.THRESHOLD)
    row = np.array([prediction.probabilities])
    return int(class_metrics.answers_of(row, ordinal=target.kind == "ordinal")[0])


def choose_examples(predicted: Sequence[Prediction], target: Target) -> list[Prediction]:
    """Picks, for each label, the films the model was surest of: two right and two wrong."""
    chosen: list[Prediction] = []
    for label in range(len(target.names)):
        for right in (True, False):
            kind = [
                p
                for p in predicted
                if p.label == label and (answer_of(p, target) == label) == right
            ]
            kind.sort(key=lambda p: (-_sureness(p, target), p.film_id))
            chosen += kind[:_EXAMPLES_OF_A_KIND]
    return chosen


def _sureness(prediction: Prediction, target: Target) -> float:
    """Probability of the class the film is called."""
    if prediction.probabilities:
        return prediction.probabilities[answer_of(prediction, target)]
    return 0.5 + abs(prediction.probability - 0.5)


def draw_examples(
    chosen: Sequence[Prediction],
    split: Split,
    target: Target,
    size: ImageSize,
    *,
    batch_size: int,
) -> list[report.ExampleFilm]:
    """Fetches the films chosen, as 8-bit pictures of at most 420 pixels a side."""
    images: dict[str, np.ndarray] = {}
    wanted = {prediction.film_id for prediction in chosen}
    both = tf.data.Dataset.zip(
        input_pipeline.evaluation_batches(split, target, size, batch_size=batch_size),
        input_pipeline.metadata_batches(split, target, batch_size=batch_size),
    )
    for (batch, _), (metadata, _) in both.as_numpy_iterator():
        for row, name in enumerate(metadata["film_id"]):
            if name.decode() in wanted:
                images[name.decode()] = _shrink(batch[row, :, :, 0])
        if len(images) == len(wanted):
            break
    return [
        report.ExampleFilm(
            film_id=p.film_id,
            pixels=images[p.film_id],
            label=p.label,
            probability=_sureness(p, target) if p.probabilities else p.probability,
            answer=answer_of(p, target),
        )
        for p in chosen
    ]


def _shrink(pixels: np.ndarray) -> np.ndarray:
    scale = min(1.0, _EXAMPLE_SIDE / max(pixels.shape))
    small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return (small // 256).astype(np.uint8)
