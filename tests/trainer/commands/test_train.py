"""Training end to end on records of 60 small images."""

import csv
import dataclasses
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score
from tensorboard.backend.event_processing import event_accumulator

from flags.training_config import TrainingConfig
from records import files
from records.errors import CallerError, OutOfTime
from records.image_size import ImageSize
from tests import make, tiny_base
from trainer.commands import train
from trainer.metrics import predictions
from trainer.model import network
from trainer.training import checkpoints

OPTIONS = {
    **make.TINY,
    "batch_size": 8,
    "phase1_epochs": 2,
    "phase2_epochs": 3,
    "phase2_learning_rate": 1e-3,
    "deterministic": True,
}


def config(records_dir, run_dir, **options) -> TrainingConfig:
    return TrainingConfig(
        dataset_dir=str(records_dir), run_dir=str(run_dir), **{**OPTIONS, **options}
    )


def weights_of(run_dir: pathlib.Path) -> list[np.ndarray]:
    model = keras.models.load_model(run_dir / "model.keras", compile=False)
    return [keras.ops.convert_to_numpy(variable) for variable in model.weights]


@pytest.fixture(scope="module")
def finished(records_dir, tmp_path_factory):
    return train.train(config(records_dir, tmp_path_factory.mktemp("run") / "run"))


def test_a_run_leaves_what_the_contract_names(finished):
    names = {path.name for path in finished.iterdir()}
    assert names >= {
        "config.json",
        "run.json",
        "history.csv",
        "model.keras",
        "metrics.json",
        "predictions.csv",
        "report.html",
        "tensorboard",
    }
    assert not [n for n in names - {".lock"} if n.startswith((".", "unfinished"))]


def test_history_counts_epochs_through_both_phases(finished):
    with (finished / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["phase"], row["epoch"]) for row in rows] == [
        ("1", "1"),
        ("1", "2"),
        ("2", "3"),
        ("2", "4"),
        ("2", "5"),
    ]
    assert [float(row["learning_rate"]) for row in rows] == pytest.approx([1e-3] * 5)


def test_scores_are_those_of_scikit_learn_on_the_predictions(finished, listed):
    rows = predictions.read(finished / "predictions.csv")
    scores = json.loads((finished / "metrics.json").read_text())
    test_images = {name for name, row in listed.items() if row["split"] == "test"}
    assert {row.image_id for row in rows} == test_images
    labels = [int(listed[row.image_id]["pathology"] == "malignant") for row in rows]
    probabilities = [row.probability for row in rows]
    assert [row.label for row in rows] == labels
    assert scores["auc"]["value"] == pytest.approx(roc_auc_score(labels, probabilities), abs=1e-12)
    assert scores["accuracy"]["value"] == accuracy_score(labels, np.array(probabilities) > 0.5)
    assert scores["images"] == len(test_images)


def test_the_saved_model_gives_the_predictions(finished, records_dir):
    tfds = pytest.importorskip("tensorflow_datasets")
    examples = list(
        tfds.as_numpy(tfds.builder_from_directory(str(records_dir)).as_dataset(split="test"))
    )
    model = keras.models.load_model(finished / "model.keras")
    given = model.predict(np.stack([e["image"] for e in examples]), verbose=0)[:, 0]
    expected = {
        row.image_id: row.probability for row in predictions.read(finished / "predictions.csv")
    }
    for example, probability in zip(examples, given, strict=True):
        assert probability == pytest.approx(expected[example["image_id"].decode()], abs=1e-6)


def test_the_model_kept_is_that_of_the_best_epoch(finished, records_dir):
    """Its validation loss, computed anew by Keras on arrays, is the lowest of phase 2."""
    tfds = pytest.importorskip("tensorflow_datasets")
    examples = list(
        tfds.as_numpy(tfds.builder_from_directory(str(records_dir)).as_dataset(split="fold0"))
    )
    model = keras.models.load_model(finished / "model.keras")
    labels = np.array([[float(e["pathology"] == b"malignant")] for e in examples])
    loss, *_ = model.evaluate(np.stack([e["image"] for e in examples]), labels, verbose=0)
    with (finished / "history.csv").open() as file:
        losses = [float(r["val_loss"]) for r in csv.DictReader(file) if r["phase"] == "2"]
    assert loss == pytest.approx(min(losses), rel=1e-4)


# A child that kills itself as the training of an epoch ends, before or after it is saved.
CHILD = """
    import os, signal, sys
    from flags.training_config import TrainingConfig
    from trainer.commands import train
    from trainer.training import checkpoints

    options, when, epoch = eval(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    saved = checkpoints.Checkpoint.on_epoch_end

    def dying(self, number, logs=None):
        if when == "before" and number == epoch:
            os.kill(os.getpid(), signal.SIGKILL)
        saved(self, number, logs)
        if when == "after" and number == epoch:
            os.kill(os.getpid(), signal.SIGKILL)

    checkpoints.Checkpoint.on_epoch_end = dying
    train.train(TrainingConfig(**options))
"""


@pytest.mark.slow
def test_a_run_killed_in_both_phases_ends_with_the_weights_of_an_uninterrupted_one(
    finished, records_dir, tmp_path
):
    given = config(records_dir, tmp_path / "run")
    for when, epoch in (("after", 1), ("before", 4)):
        child = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(CHILD), repr(given.to_json()), when, str(epoch)],
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        assert child.returncode == -signal.SIGKILL, child.stderr
    train.train(given)
    for once, twice in zip(weights_of(finished), weights_of(tmp_path / "run"), strict=True):
        np.testing.assert_array_equal(once, twice)
    with (
        (finished / "history.csv").open() as whole,
        (tmp_path / "run" / "history.csv").open() as resumed,
    ):
        for first, second in zip(csv.DictReader(whole), csv.DictReader(resumed), strict=True):
            for measured in ("seconds", "training_seconds", "waiting_seconds"):
                del first[measured], second[measured]
            assert first == second


def train_epoch_by_epoch(given: TrainingConfig) -> None:
    """Trains with the time over after each of three epochs."""
    limited = dataclasses.replace(given, max_minutes=1e-6)
    for _ in range(2):
        with pytest.raises(OutOfTime, match="give the same command again to go on"):
            train.train(limited)
        assert not (pathlib.Path(given.run_dir) / "model.keras").exists()
    train.train(limited)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"schedule": "cosine", "warmup_epochs": 1, "ema": 0.9, "phase1_learning_rate": 0.01},
        {"optimizer": "rmsprop", "momentum": 0.5, "accumulate": 3, "monitor": "val_auc"},
        {"base_batch_norm": "learn", "layer_decay": 0.3, "optimizer": "adamw", "ema": 0.9},
    ],
    ids=["averaged", "accumulated", "fine-tuned"],
)
def test_a_run_out_of_time_goes_on_to_the_same_weights(records_dir, tmp_path, options):
    """32 images in batches of 8, so gradients are accumulated across epochs too."""
    fine_tuned = "base_batch_norm" in options
    options = {**options, "phase1_epochs": 0 if fine_tuned else 3}
    options["phase2_epochs"] = 3 if fine_tuned else 0
    if fine_tuned:
        options["weights"] = str(tmp_path / "base.weights.h5")
        tiny_base.build(64, 48, None).save_weights(options["weights"])
    whole = train.train(config(records_dir, tmp_path / "whole", **options))
    parts = config(records_dir, tmp_path / "parts", **options)
    train_epoch_by_epoch(parts)
    for once, often in zip(weights_of(whole), weights_of(tmp_path / "parts"), strict=True):
        np.testing.assert_array_equal(once, often)
    rows = {name: read_history(tmp_path / name) for name in ("whole", "parts")}
    measured = ("seconds", "training_seconds", "waiting_seconds")
    for table in rows.values():
        for row, key in itertools.product(table, measured):
            del row[key]
    assert rows["whole"] == rows["parts"]
    decided = json.loads((whole / "run.json").read_text()).get("base_batch_norm")
    learns = {"learns": True, "batch": 8, "momentum": 0.9}  # 0.5 by the number of steps
    assert decided == (learns if fine_tuned else None)
    if "ema" in options:
        assert_the_best_average_was_kept(whole, records_dir)


def read_history(run: pathlib.Path) -> list[dict[str, str]]:
    with (run / "history.csv").open() as file:
        return list(csv.DictReader(file))


def assert_the_best_average_was_kept(run, records_dir):
    """The saved model has the lowest validation loss: what was evaluated is the average."""
    tfds = pytest.importorskip("tensorflow_datasets")
    examples = list(
        tfds.as_numpy(tfds.builder_from_directory(str(records_dir)).as_dataset(split="fold0"))
    )
    model = keras.models.load_model(run / "model.keras", compile=False)
    probabilities = model.predict(np.stack([e["image"] for e in examples]), verbose=0)[:, 0]
    labels = [int(e["pathology"] == b"malignant") for e in examples]
    losses = [float(row["val_loss"]) for row in read_history(run)]
    assert len(set(losses)) == 3
    assert log_loss(labels, probabilities) == pytest.approx(min(losses), rel=1e-5)


def test_a_run_shows_what_it_sees_and_costs(finished):
    description = json.loads((finished / "run.json").read_text())
    throughput = description["throughput"]
    assert throughput["images_per_second"] > 0
    assert 0 <= throughput["waiting_percent"] <= 100
    assert set(description["dead_units"]) == {"dense_512", "dense_32"}
    assert (finished / "first_batch.png").stat().st_size > 1000
    tags = {}
    for folder in finished.glob("tensorboard/**/"):
        events = event_accumulator.EventAccumulator(str(folder))
        events.Reload()
        tags[folder.relative_to(finished / "tensorboard").as_posix()] = events.Tags()
    assert "first batch" in tags["."]["tensors"]
    assert "dead units/dense_512" in tags["."]["tensors"]
    assert "_hparams_/session_start_info" in tags["."]["tensors"]
    assert "epoch_learning_rate" in tags["phase1/train"]["tensors"]
    assert "epoch_auc" in tags["phase2/validation"]["tensors"]
    frozen = [tag for tag in tags["phase1/train"]["tensors"] if "kernel" in tag]
    trained = [tag for tag in tags["phase2/train"]["tensors"] if "kernel" in tag]
    assert sorted(frozen) == ["dense_32/kernel", "dense_512/kernel", "probability/kernel"]
    assert sorted(trained) == sorted([*frozen, *(f"conv{n}/kernel" for n in (1, 2, 3))])


def test_a_loss_that_is_no_number_stops_the_run(records_dir, tmp_path):
    """The weights it starts from are not numbers."""
    source = tmp_path / "source"
    source.mkdir()
    model, _ = network.build(TrainingConfig(**make.TINY), ImageSize(64, 48))
    model.get_layer("probability").bias.assign([np.nan])
    model.save(source / "model.keras")
    make.write_described(source, dataset="x", target="y")
    (source / "config.json").write_text('{"init_from": null}')
    given = config(records_dir, tmp_path / "run", init_from=str(source))
    with pytest.raises(
        CallerError, match=r"nan in epoch 1, step 1, phase 1, at learning rate 0.001; no epoch"
    ):
        train.train(given)
    assert not list((tmp_path / "run").glob("checkpoints/**/*.h5"))


@pytest.mark.slow
def test_a_chain_in_sixteen_bits(finished, records_dir, tmp_path):
    """A run from another's weights, bfloat16, base features only; opened by plain Keras."""
    options = {"init_from": str(finished), "precision": "mixed_bfloat16", "phase2_epochs": 0}
    run = train.train(config(records_dir, tmp_path / "run", **options))
    description = json.loads((run / "run.json").read_text())
    assert description["chain"] == ["random", "cbis_ddsm pathology"]
    assert description["weights"] == f"all of {finished} (random -> cbis_ddsm pathology)"
    bases = [
        keras.models.load_model(folder / "model.keras", compile=False).get_layer("base")
        for folder in (finished, run)
    ]
    for kept, given in zip(*(base.get_weights() for base in bases), strict=True):
        np.testing.assert_array_equal(kept, given)
    assert bases[1].layers[1].compute_dtype == "bfloat16"
    assert {str(weight.dtype) for weight in bases[1].weights} == {"float32"}


def test_a_finished_run_is_evaluated_again_not_trained_again(finished, records_dir):
    model = (finished / "model.keras").read_bytes()
    report = (finished / "report.html").read_bytes()
    (finished / "report.html").unlink()
    train.train(config(records_dir, finished))
    assert (finished / "model.keras").read_bytes() == model
    assert len((finished / "report.html").read_bytes()) == pytest.approx(len(report), rel=0.01)


def test_a_run_folder_of_another_configuration_is_refused(finished, records_dir):
    with pytest.raises(
        CallerError, match=r"holds a run with other dropout \(0.2, now 0.5\); give another"
    ):
        train.train(config(records_dir, finished, dropout=0.5))


def test_a_run_folder_of_other_records_names_both(finished, records_dir, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    copy = shutil.copytree(records_dir, tmp_path / "copy")
    make.edit_json(copy / "manifest.json", data_fingerprint="of others")
    wanted = re.escape(f"run with other records ({records_dir}, now {copy}); give")
    with pytest.raises(CallerError, match=wanted):
        train.train(config(copy, run))
    make.edit_json(run / "run.json", unit="breast")
    wanted = re.escape(f"({records_dir} of --unit=breast, now {copy} of --unit=image); give")
    with pytest.raises(CallerError, match=wanted):
        train.train(config(copy, run))
    make.edit_json(run / "config.json", dataset_dir=str(copy))
    with pytest.raises(CallerError, match=re.escape(f"({copy} has been converted anew); give")):
        train.train(config(copy, run))


def test_a_folder_of_something_else_is_refused(records_dir, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(CallerError, match=r"is not empty and holds no run"):
        train.train(config(records_dir, tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_folder_in_which_another_program_trains_is_refused(records_dir, tmp_path):
    run = tmp_path / "run"
    with (
        files.hold(run / ".lock"),
        pytest.raises(CallerError, match=r"run is being trained by another program; wait, or"),
    ):
        train.train(config(records_dir, run))
    assert [path.name for path in run.iterdir()] == [".lock"]


def test_a_fold_that_does_not_exist_is_refused(records_dir, tmp_path):
    with pytest.raises(CallerError, match=r"--fold=4: .* has folds 0 to 3"):
        train.train(config(records_dir, tmp_path / "run", fold=4))
    assert not (tmp_path / "run").exists()


# Losses of three epochs over the 42 training images: 32 of them train, in batches of 5, which two
# devices divide into 3 and 2; the last has 2.
LOSSES = """
    import sys, json
    import tensorflow as tf
    cpus = tf.config.list_physical_devices("CPU")
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpus[0], two)
    from flags.training_config import TrainingConfig
    from trainer.commands import train
    from trainer.training import strategy
    train.train(TrainingConfig(**eval(sys.argv[1])))
    print("replicas", strategy.make(eval(sys.argv[1])["strategy"]).num_replicas_in_sync)
"""


@pytest.mark.slow
def test_two_replicas_give_the_losses_of_one(records_dir, tmp_path):
    given = {
        name: config(
            records_dir,
            tmp_path / name,
            strategy=name,
            dropout=0.0,
            phase2_epochs=0,
            phase1_epochs=3,
            batch_size=5,
        )
        for name in ("default", "mirrored")
    }
    train.train(given["default"])
    child = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(LOSSES), repr(given["mirrored"].to_json())],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert "replicas 2" in child.stdout, child.stderr
    losses = {}
    for name in given:
        with (tmp_path / name / "history.csv").open() as file:
            rows = list(csv.DictReader(file))
        losses[name] = [[float(row["loss"]), float(row["val_loss"])] for row in rows]
    np.testing.assert_allclose(losses["mirrored"], losses["default"], rtol=1e-5)


def test_random_layers_depend_on_seed_and_epoch_alone():
    def dropped(seed: int, epoch: int, warm_up: int) -> np.ndarray:
        model = keras.Sequential(
            [keras.Input((50,)), keras.layers.Dropout(0.5), keras.layers.Dropout(0.5)]
        )
        for _ in range(warm_up):
            model(np.ones((1, 50), np.float32), training=True)
        reseed = checkpoints.Reseed(seed)
        reseed.set_model(model)
        reseed.on_epoch_begin(epoch)
        return keras.ops.convert_to_numpy(model(np.ones((4, 50), np.float32), training=True))

    first = dropped(1, 3, warm_up=0)
    np.testing.assert_array_equal(first, dropped(1, 3, warm_up=2))
    assert set(np.unique(first)) == {0, 4}  # the two layers drop independently: a quarter is left
    assert 0.1 < (first == 4).mean() < 0.4
    assert (first != dropped(1, 4, warm_up=0)).any()
    assert (first != dropped(2, 3, warm_up=0)).any()
