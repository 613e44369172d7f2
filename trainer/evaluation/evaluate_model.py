"""A trained network and its test images -> predictions.csv, metrics.json.

Calibration and threshold are fitted on the validation images: validation_predictions.csv,
calibration.json.
"""

from __future__ import annotations

import dataclasses
import pathlib
import time
from collections.abc import Sequence

import keras

from flags import tta_config as views_flag
from records import files
from trainer.data import input_pipeline, run_folder
from trainer.data.dataset import Data, Split
from trainer.data.records_folder import Place
from trainer.data.run_json import RunDescription
from trainer.evaluation import calibration, test_time_augmentation
from trainer.metrics import compute, predictions, typed_json
from trainer.metrics.intervals import Floats
from trainer.metrics.predictions import Prediction, as_probabilities
from trainer.model import side_inputs
from trainer.training import checkpoints


@dataclasses.dataclass(frozen=True)
class Predicted:
    """The predictions of a split, in the order in which it was read.

    Attributes:
        images: a prediction of each image.
        places: where its record lies, by image id.
    """

    images: list[Prediction]
    places: dict[str, Place]


def evaluate(
    directory: pathlib.Path,
    model: keras.Model,
    data: Data,
    *,
    batch_size: int,
    tta: str | None,
) -> Predicted:
    """Evaluates the network of a run on the images of `data.test`, which are read once.

    Args:
        directory: of the run; predictions, calibration and metrics are written there.
        model: its network.
        data: its own; validation images are needed too.
        batch_size: images at a time.
        tta: key of `flags.tta_config.VIEWS`, None as "none".

    Returns:
        the predictions of `data.test`, not calibrated.
    """
    assert data.test is not None
    start = time.monotonic()
    views = tta or views_flag.NONE
    validated, predicted = (
        predict(model, split, data, batch_size=batch_size, tta=views)
        for split in (data.validation, data.test)
    )
    seconds = time.monotonic() - start
    described = _sum_up_time(directory, run_folder.read_description(directory), seconds)
    write(directory, predicted.images, validated.images, data, described, tta=views)
    return predicted


def write(
    directory: pathlib.Path,
    predicted: Sequence[Prediction],
    validated: Sequence[Prediction],
    data: Data,
    described: RunDescription,
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
        described: content of run.json, but for what is found here.
        tta: how the images were seen.
        if_not_validated: why there are none that neither train nor evaluate.
    """
    assert data.test is not None
    names = data.target.names
    fitted = calibration.fit(validated, label_names=names, if_none=if_not_validated)
    fitted = dataclasses.replace(fitted, test_time_augmentation=tta)
    predicted = calibration.apply(fitted, predicted)
    validated = calibration.apply(fitted, validated)
    predictions.write(directory / "validation_predictions.csv", validated)
    files.write_json(directory / calibration.FILE, typed_json.to_json(fitted))
    predictions.write(directory / "predictions.csv", predicted)
    scores = compute.score(
        predicted,
        split=data.test.name,
        label_names=names,
        ordinal=data.target.kind == "ordinal",
    )
    run_folder.write_metrics(directory, scores)
    described = dataclasses.replace(
        described, predicts_one_class=scores.predicts_one_class, test_time_augmentation=tta
    )
    run_folder.write_description(directory, described.stamp())


def _sum_up_time(
    directory: pathlib.Path, description: RunDescription, seconds: float
) -> RunDescription:
    """Adds minutes of each phase and of evaluation, and images/s of the fastest epoch."""
    epochs: dict[str, list[float]] = {}
    for row in checkpoints.read_history(directory / "history.csv"):
        epochs.setdefault(f"phase{row['phase']}", []).append(float(row["seconds"]))
    fastest = min(second for phase in epochs.values() for second in phase)
    learned = description.splits["train"]
    return dataclasses.replace(
        description,
        minutes={
            **{phase: round(sum(spent) / 60, 3) for phase, spent in epochs.items()},
            "evaluation": round(seconds / 60, 3),
        },
        images_per_second=round((learned.epoch or learned.images) / fastest, 2),
    )


def predict(
    model: keras.Model, split: Split, data: Data, *, batch_size: int, tta: str
) -> Predicted:
    """Predicts every image of a split, reading each record once, in the order of the shards."""
    target, size = data.target, data.records.size
    split = dataclasses.replace(split, side=tuple(side_inputs.columns_of(model)))
    views = test_time_augmentation.views(tta, size)
    outputs: list[list[Floats]] = []
    rows: list[tuple[int, dict[str, str]]] = []
    places: dict[str, Place] = {}
    for pixels, labels, metadata, shards, numbers in input_pipeline.described_batches(
        split, target, size, batch_size=batch_size
    ):
        outputs.append(test_time_augmentation.predict(model, pixels, views))
        texts = {key: values.numpy() for key, values in metadata.items()}
        for row, label in enumerate(labels.numpy()):
            rows.append((int(label), {key: values[row].decode() for key, values in texts.items()}))
            place = Place(shards[row].numpy().decode(), int(numbers[row]))
            places[rows[-1][1]["image_id"]] = place
    probabilities = test_time_augmentation.average(outputs, target)
    assert len(places) == len(rows) == len(split.images)
    images = [
        Prediction(
            texts.pop("image_id"),
            texts.pop("patient_id"),
            label,
            split=split.name,
            image_ids=texts.pop("image_ids", ""),
            columns=texts,
            probabilities=as_probabilities(row),
        )
        for row, (label, texts) in zip(probabilities, rows, strict=True)
    ]
    return Predicted(images, places)
