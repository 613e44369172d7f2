"""A run from records to report: data, network, the two phases, the saved model, its scores."""

from __future__ import annotations

import os
import pathlib
import platform
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from sklearn.utils.class_weight import compute_class_weight

from flags import catalogue, schema
from flags.errors import CallerError
from flags.training import TrainingConfig
from trainer import evaluate, monitoring, phases, run_folder, strategy, transfer
from trainer.phases import Data, Run
from trainer.records import Split, find_damaged, find_directory, open_records, select


def train(config: TrainingConfig) -> pathlib.Path:
    """Trains, evaluates and reports; goes on where an interrupted run stopped.

    Returns:
        the run folder.

    Raises:
        CallerError: data, weights or run folder do not fit the configuration, or the loss is no
            number.
        OutOfTime: --max_minutes are over before the training is.
    """
    deadline = monitoring.Deadline(60 * config.max_minutes)
    keras.utils.set_random_seed(config.seed)
    keras.config.set_dtype_policy(config.precision)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    devices = strategy.make(config.strategy)
    data = open_data(config)
    directory, content = run_folder.check_run(config, data.records, data.target_name)
    strategy.wait_for_all(devices)
    if not (directory / "model.keras").is_file():
        with devices.scope():
            model, weights = transfer.build(config, data.records.size)
        class_weights = choose_class_weights(config, data.train)
        run = Run(config, data, directory, devices, model, weights, class_weights, deadline)
        if strategy.is_chief(devices):
            run_folder.open_run(directory, content)
            run_folder.write_description(directory, describe_run(run))
        train_phases(run)
        if strategy.is_chief(devices):
            describe_end(run)
            save_model(model, directory / "model.keras")
    if strategy.is_chief(devices):
        evaluate.evaluate(directory, data.test, data.target, data.records.size, config.batch_size)
    strategy.wait_for_all(devices)
    return directory


def train_phases(run: Run) -> None:
    """Draws the first batch and runs both phases.

    Raises:
        CallerError: a shard is damaged, or the loss is no number.
        OutOfTime: --max_minutes are over.
    """
    try:
        if strategy.is_chief(run.devices):
            show_beginning(run)
        for number in (1, 2):
            phases.train_phase(run, number)
    except tf.errors.DataLossError as error:
        records = run.data.records
        damaged = find_damaged(records)
        raise CallerError(
            f"{records.directory}: {', '.join(damaged) or 'a record'} is damaged; remove "
            "it and give the command of the conversion again, then this one"
        ) from error


def show_beginning(run: Run) -> None:
    """Draws the first batch as the network sees it; tells TensorBoard of it and of the flags."""
    path = run.directory / "first_batch.png"
    if path.is_file():
        return
    batches = phases.training_batches(run, first_epoch=0, last_epoch=1, cache=False)
    images, labels = next(iter(batches))
    names = [run.data.target.names[int(label)] for label in labels.numpy()[:, 0]]
    monitoring.draw_batch(monitoring.see(run.model, images.numpy()), names, path)
    monitoring.show_batch(path, run.tensorboard)
    monitoring.write_flags(run.config, run.tensorboard)


def describe_end(run: Run) -> None:
    """Adds what is known at the end to run.json: the throughput, and units that never answer."""
    path = run.directory / "run.json"
    films = len(run.data.train.films)
    dead = monitoring.dead_units(run.model, phases.validation_batches(run))
    with tf.summary.create_file_writer(str(run.tensorboard)).as_default(step=0):
        for layer, share in dead.items():
            tf.summary.scalar(f"dead units/{layer}", share)
    description = {
        **run_folder.read_json(path),
        "throughput": monitoring.measure(run.directory / "history.csv", films=films),
        "dead_units": dead,
    }
    run_folder.write_json(path, description)


def open_data(config: TrainingConfig) -> Data:
    """Opens the records and forms the three splits.

    Raises:
        CallerError: there are no such records, or a split lacks a class.
    """
    records = open_records(find_directory(config.dataset_dir))
    if config.fold >= records.folds:
        raise CallerError(
            f"--fold={config.fold}: {records.directory} has folds 0 to {records.folds - 1}"
        )
    name = config.target or catalogue.DATASETS[records.dataset].target
    target = catalogue.TARGETS[name]
    folds = [schema.fold_name(fold) for fold in range(records.folds)]
    held_out = folds.pop(config.fold)
    return Data(
        records=records,
        target=target,
        target_name=name,
        train=select(records, "train", folds, target),
        validation=select(records, "validation", [held_out], target),
        test=select(records, "test", [schema.TEST_SPLIT], target),
    )


def choose_class_weights(config: TrainingConfig, split: Split) -> tuple[float, float]:
    """Returns the weights of labels 0 and 1: as given, or balanced over the training films."""
    fixed = config.fixed_class_weights()
    if fixed is not None:
        return fixed
    negative, positive = compute_class_weight(
        "balanced", classes=np.array([0, 1]), y=list(split.labels)
    )
    return float(negative), float(positive)


def save_model(model: keras.Model, path: pathlib.Path) -> None:
    """Saves a model whole or not at all."""
    temporary = path.with_name(f"unfinished-{path.name}")
    model.save(temporary)
    os.replace(temporary, path)


def describe_chain(run: Run) -> dict[str, Any]:
    """Says what the weights learned before this run, where another run gave them."""
    if run.config.init_from is None:
        return {}
    return {"chain": transfer.read_chain(pathlib.Path(run.config.init_from))}


def describe_run(run: Run) -> dict[str, Any]:
    """Says what is trained on what, for run.json and the report."""
    manifest = run.data.records.manifest
    described = catalogue.DATASETS[run.data.records.dataset]
    names = run.data.target.names
    return {
        "dataset": run.data.records.dataset,
        "dataset_title": described.title,
        "licence": described.licence,
        "citation": described.citation,
        "synthetic": run.data.records.dataset == "phantom",
        "dataset_dir": str(run.data.records.directory),
        "size": manifest["size"],
        "recipe": manifest["recipe"],
        "data_fingerprint": manifest["data_fingerprint"],
        "policies": {key: manifest[key] for key in ("label_policy", "split_policy", "leak_policy")},
        "target": run.data.target_name,
        "label_names": list(names),
        "splits": {
            split.name: split.describe(names)
            for split in (run.data.train, run.data.validation, run.data.test)
        },
        "weights": run.weights.name,
        "weights_warning": run.weights.warning,
        **describe_chain(run),
        "parameters": run.model.count_params(),
        "class_weights": list(run.class_weights),
        "versions": {
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
        },
        "devices": [device.name for device in tf.config.list_logical_devices()],
        "seed": run.config.seed,
    }
