"""A saved model on images it never saw: predictions.csv, metrics.json, report.html.

What its probabilities are worth, and above which an image is called positive, is learned on the
validation images: validation_predictions.csv, calibration.json.
"""

from __future__ import annotations

import pathlib
import time
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np

from flags import tta as test_time_flags
from records import files
from trainer.data import input_pipeline, run_folder
from trainer.data.dataset import Split
from trainer.evaluation import calibration
from trainer.evaluation import tta as test_time
from trainer.metrics import compute, predictions
from trainer.metrics.predictions import Prediction
from trainer.reports import gallery_pictures, report
from trainer.training import checkpoints
from trainer.training.run import Data


def evaluate(directory: pathlib.Path, data: Data, *, batch_size: int, tta: str | None) -> None:
    """Evaluates the model of a run folder on the images of `data.test` and writes its report.

    Args:
        directory: the run.
        data: its own; validation images are needed too.
        batch_size: images at a time.
        tta: key of `flags.tta.VIEWS`, None as "none".
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
    show(directory, predicted, data, batch_size=batch_size, models=[model])


def write(
    directory: pathlib.Path,
    predicted: Sequence[Prediction],
    validated: Sequence[Prediction],
    data: Data,
    described: dict[str, Any],
    *,
    tta: str,
    if_not_validated: str = calibration.NO_IMAGES,
) -> None:
    """Writes predictions and what follows from them, but for the report.

    Args:
        directory: of the run or ensemble.
        predicted: the images evaluated.
        validated: images that neither trained nor evaluate it, empty if there are none.
        data: where they come from.
        described: content of run.json.
        tta: how the images were seen.
        if_not_validated: why there are none that neither train nor evaluate.
    """
    assert data.test is not None
    names = data.target.names
    fitted = calibration.fit(validated, label_names=names, if_none=if_not_validated)
    fitted["test_time_augmentation"] = tta
    predicted = calibration.apply(fitted, predicted)
    validated = calibration.apply(fitted, validated)
    predictions.write(directory / "validation_predictions.csv", validated)
    files.write_json(directory / calibration.FILE, fitted)
    predictions.write(directory / "predictions.csv", predicted)
    scores = compute.score(
        predicted,
        split=data.test.name,
        label_names=names,
        ordinal=data.target.kind == "ordinal",
    )
    files.write_json(directory / "metrics.json", scores)
    said = {
        "predicts_one_class": scores["predicts_one_class"],
        "test_time_augmentation": tta,
    }
    files.write_json(directory / "run.json", {**described, **said})


def show(
    directory: pathlib.Path,
    predicted: Sequence[Prediction],
    data: Data,
    *,
    batch_size: int,
    models: Iterable[keras.Model] = (),
) -> None:
    """Writes the report, with some of the evaluated images and their heat maps."""
    gallery_pictures.draw(directory, predicted, data, batch_size=batch_size, models=models)
    report.write(directory)


def _sum_up_time(
    directory: pathlib.Path, description: dict[str, Any], seconds: float
) -> dict[str, Any]:
    """Returns minutes of each phase and of evaluation, and images/s of the fastest epoch."""
    epochs: dict[str, list[float]] = {}
    for row in checkpoints.read_history(directory / "history.csv"):
        epochs.setdefault(f"phase{row['phase']}", []).append(float(row["seconds"]))
    fastest = min(second for phase in epochs.values() for second in phase)
    return {
        "minutes": {
            **{phase: round(sum(spent) / 60, 3) for phase, spent in epochs.items()},
            "evaluation": round(seconds / 60, 3),
        },
        "images_per_second": round(description["splits"]["train"]["epoch"] / fastest, 2),
    }


def predict(
    model: keras.Model, split: Split, data: Data, *, batch_size: int, tta: str
) -> list[Prediction]:
    """Asks the model about every image of a split, once, in the order of the shards."""
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
                    probability=float(np.minimum(1.0, probabilities[place, 1:].sum())),
                    split=split.name,
                    probabilities=tuple(map(float, probabilities[place])) if several else (),
                    **texts,
                )
            )
    assert len(predicted) == len(probabilities) == len(split.images)
    return predicted
