"""Evaluating a run: what the validation images teach, views of images, runs from before."""

from __future__ import annotations

import collections
import csv
import dataclasses
import json
import pathlib
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import optimize, special
from sklearn.metrics import log_loss

from flags.training_config import TrainingConfig
from records.errors import CallerError
from records.image_size import ImageSize
from tests import make
from trainer.commands import evaluate as evaluate_command
from trainer.commands import train
from trainer.data import dataset, input_pipeline, records_folder, run_folder
from trainer.data.dataset import Split, select
from trainer.evaluation import evaluate_model
from trainer.metrics import predictions
from trainer.metrics.predictions import Prediction, two_classes

NEW_FILES = ("validation_predictions.csv", "calibration.json")


@pytest.fixture(scope="module")
def finished(records_dir, tmp_path_factory):
    config = TrainingConfig(
        dataset_dir=str(records_dir),
        run_dir=str(tmp_path_factory.mktemp("run") / "run"),
        **make.TINY,
        phase1_epochs=1,
        phase2_epochs=0,
        deterministic=True,
    )
    return train.train(config)


def read(path: pathlib.Path) -> dict:
    return json.loads(path.read_text())


def evaluate_again(run: pathlib.Path, **options) -> None:
    evaluate_command.run(evaluate_command.Config(run=str(run), **options))


def test_a_network_that_gives_no_number_is_not_evaluated(finished):
    config, _ = run_folder.read_config(finished)
    data = dataset.open_data(config)
    pixels = keras.Input((data.records.size.height, data.records.size.width, 1), dtype="uint16")
    grey = keras.layers.Rescaling(float("nan"), dtype="float32")(pixels)
    model = keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(grey))
    with pytest.raises(CallerError, match="probability nan"):
        evaluate_model.predict(model, data.test, data, batch_size=8, tta="none")


def test_validation_images_are_predicted_too(finished, listed):
    images = predictions.read(finished / "validation_predictions.csv")
    assert {image.image_id for image in images} == {
        name for name, row in listed.items() if row["split"] == "fold0"
    }
    assert {image.split for image in images} == {"validation"}
    fitted = read(finished / "calibration.json")
    assert fitted["images"] == len(images)
    assert fitted["patients"] == len({image.patient_id for image in images})
    assert fitted["test_time_augmentation"] == "none"
    assert read(finished / "run.json")["test_time_augmentation"] == "none"


def made_up(split: Split, *, seed: int) -> list[Prediction]:
    """Logits three times as far from 0 as the labels warrant."""
    generator = np.random.default_rng(seed)
    logits = 3 * generator.normal(np.array(split.labels) - 0.5, 1)
    return [
        Prediction(
            image["image_id"],
            image["patient_id"],
            label,
            probabilities=two_classes(special.expit(logit)),
            split=split.name,
        )
        for image, label, logit in zip(split.images, split.labels, logits, strict=True)
    ]


@pytest.fixture(scope="module")
def data(records_dir):
    """Three folds validate, so that there are images enough."""
    data = dataset.open_data(TrainingConfig(dataset_dir=str(records_dir)))
    parts = ["fold0", "fold1", "fold2"]
    validation = select(data.records, "validation", parts, data.target)
    return dataclasses.replace(data, validation=validation)


def test_what_was_learned_is_written_beside_every_image(data, tmp_path):
    validated, predicted = made_up(data.validation, seed=1), made_up(data.test, seed=2)
    evaluate_model.write(tmp_path, predicted, validated, data, make.described(seed=3), tta="flip")
    labels = [image.label for image in validated]
    logits = special.logit([image.probability for image in validated])
    best = optimize.minimize_scalar(
        lambda temperature: log_loss(labels, special.expit(logits / temperature)),
        bounds=(0.05, 50),
        options={"xatol": 1e-10},
    )
    assert 0.1 < best.x < 49, "the made-up images have no temperature"
    fitted = read(tmp_path / "calibration.json")
    assert fitted["temperature"] == pytest.approx(best.x, rel=1e-5)
    threshold = fitted["threshold"]["value"]
    called = np.array([image.probability > threshold for image in validated])
    truth = np.array(labels) == 1
    assert fitted["threshold"]["sensitivity"] == pytest.approx(called[truth].mean())
    assert fitted["threshold"]["specificity"] == pytest.approx(1 - called[~truth].mean())
    for name, images in (("predictions", predicted), ("validation_predictions", validated)):
        logits = special.logit([image.probability for image in images])
        written = predictions.read(tmp_path / f"{name}.csv")
        assert [image.image_id for image in written] == [image.image_id for image in images]
        assert [image.calibrated for image in written] == pytest.approx(
            special.expit(logits / fitted["temperature"])
        )
        assert {image.threshold for image in written} == {threshold}
    assert read(tmp_path / "run.json")["seed"] == 3
    assert read(tmp_path / "run.json")["test_time_augmentation"] == "flip"


def test_the_evaluated_images_teach_nothing(data, tmp_path):
    validated, predicted = made_up(data.validation, seed=1), made_up(data.test, seed=2)
    evaluate_model.write(tmp_path, predicted, validated, data, make.described(), tta="none")
    learned = (tmp_path / "calibration.json").read_bytes()
    swapped = [dataclasses.replace(image, label=1 - image.label) for image in predicted]
    evaluate_model.write(tmp_path, swapped, validated, data, make.described(), tta="none")
    assert (tmp_path / "calibration.json").read_bytes() == learned


def test_without_validation_images_nothing_is_calibrated(data, tmp_path):
    predicted = made_up(data.test, seed=2)
    evaluate_model.write(
        tmp_path, predicted, [], data, make.described(), tta="none", if_not_validated="none shared"
    )
    fitted = read(tmp_path / "calibration.json")
    assert fitted["not_defined_because"] == "none shared"
    assert fitted["threshold"] == {"value": None, "not_defined_because": "none shared"}
    for image in predictions.read(tmp_path / "predictions.csv"):
        assert (image.calibrated, image.threshold) == (None, None)


def test_a_run_evaluated_before_there_was_calibration_gets_it(finished, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    for name in NEW_FILES:
        (run / name).unlink()
    with (run / "predictions.csv").open(newline="") as file:
        rows = [row[:10] for row in csv.reader(file)]
    with (run / "predictions.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    evaluate_again(run)
    for name in (*NEW_FILES, "predictions.csv"):
        assert (run / name).read_bytes() == (finished / name).read_bytes()


def test_views_are_averaged_and_the_files_say_so(finished, records_dir, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    evaluate_again(run, tta="flip")
    assert read(run / "run.json")["test_time_augmentation"] == "flip"
    fitted = read(run / "calibration.json")
    assert fitted["test_time_augmentation"] == "flip"
    assert read(run / "config.json") == read(finished / "config.json")
    model = keras.models.load_model(run / "model.keras", compile=False)
    data = dataset.open_data(TrainingConfig(dataset_dir=str(records_dir)))
    for split, name in ((data.test, "predictions"), (data.validation, "validation_predictions")):
        batches = input_pipeline.evaluation_batches(
            split, data.target, data.records.size, batch_size=64
        )
        ((batch, labels),) = batches.as_numpy_iterator()
        both = [model.predict(side, verbose=0)[:, 0] for side in (batch, batch[:, :, ::-1])]
        images = predictions.read(run / f"{name}.csv")
        assert [image.label for image in images] == labels[:, 0].tolist()
        assert [image.probability for image in images] == pytest.approx(
            np.mean(both, axis=0), abs=1e-6
        )


def test_a_report_reads_every_record_of_the_test_split_once(finished, tmp_path, monkeypatch):
    run = shutil.copytree(finished, tmp_path / "run")
    config, data = dataset.open_again(run)
    read_by_stream: collections.Counter[str] = collections.Counter()
    read_alone: collections.Counter[str] = collections.Counter()
    open_shard, read_pixels = tf.data.TFRecordDataset, records_folder.read_pixels

    def count(record: bytes, path: bytes) -> bytes:
        read_by_stream[path.decode()] += 1
        return record

    def counted_shard(path: tf.Tensor) -> tf.data.Dataset:
        def pass_on(record: tf.Tensor) -> tf.Tensor:
            return tf.ensure_shape(tf.numpy_function(count, [record, path], tf.string), [])

        return open_shard(path).map(pass_on)

    def counted_record(place: records_folder.Place, size: ImageSize) -> np.ndarray:
        read_alone[place.shard] += 1
        return read_pixels(place, size)

    monkeypatch.setattr(tf.data, "TFRecordDataset", counted_shard)
    monkeypatch.setattr(records_folder, "read_pixels", counted_record)
    train.evaluate_run(run, data, batch_size=config.batch_size, tta="flip")
    manifest = data.records.manifest.shards
    for split in (data.test, data.validation):
        for shard in split.shards:
            assert read_by_stream.pop(shard) == manifest[pathlib.Path(shard).name].records
    assert not read_by_stream, "a shard of another split"
    assert set(read_alone) <= set(data.test.shards)
    shown = json.loads((run / "images" / "images.json").read_text())
    assert sum(read_alone.values()) == len(shown)


def test_unknown_views_are_refused(finished):
    with pytest.raises(
        CallerError, match="--tta=turn is not one of none, flip, translate, dihedral"
    ):
        evaluate_again(finished, tta="turn")
