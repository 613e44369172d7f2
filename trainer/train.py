"""Training, in two phases: the head on a frozen base, then all layers at a low learning rate.

Jaamour et al. 2023, transfer learning: Adam, early stopping on the validation loss (patience 10,
then 5), learning rate cut to a tenth on a plateau (patience 5, then 2).
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import platform
import shutil
import sys
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging
from sklearn.utils.class_weight import compute_class_weight

from flags import catalogue, schema
from flags.errors import CallerError
from flags.training import TrainingConfig
from trainer import checkpoints, evaluate, input_pipeline, models, run_folder, strategy
from trainer.records import (
    Records,
    Split,
    find_damaged,
    find_directory,
    open_records,
    select,
)


@dataclasses.dataclass(frozen=True)
class Data:
    """What a run learns from and is judged on; `test` is None where nothing is judged."""

    records: Records
    target: catalogue.Target
    target_name: str
    train: Split
    validation: Split
    test: Split | None


@dataclasses.dataclass(frozen=True)
class Run:
    """A run under way.

    Attributes:
        devices: strategy the model was built under.
        class_weights: weights of labels 0 and 1 in the loss.
    """

    config: TrainingConfig
    data: Data
    directory: pathlib.Path
    devices: tf.distribute.Strategy
    model: keras.Model
    weights: models.BaseWeights
    class_weights: tuple[float, float]


def train(config: TrainingConfig, *, judge: bool = True) -> pathlib.Path:
    """Trains, evaluates and reports; goes on where an interrupted run stopped.

    Args:
        config: what to train.
        judge: whether to evaluate and report; else no film is touched but those that train and
            validate.

    Returns:
        the run folder.

    Raises:
        CallerError: data, weights or run folder do not fit the configuration.
    """
    keras.utils.set_random_seed(config.seed)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    data = open_data(config, judge=judge)
    directory, content = run_folder.check_run(config, data.records, data.target_name)
    if not (directory / "model.keras").is_file():
        devices = strategy.make(config.strategy)
        with devices.scope():
            model, weights = models.build(config, data.records.size)
        class_weights = choose_class_weights(config, data.train)
        run = Run(config, data, directory, devices, model, weights, class_weights)
        run_folder.open_run(directory, content)
        run_folder.write_description(directory, describe_run(run))
        try:
            for phase in (1, 2):
                train_phase(run, phase)
        except tf.errors.DataLossError as error:
            damaged = find_damaged(data.records)
            raise CallerError(
                f"{data.records.directory}: {', '.join(damaged) or 'a record'} is damaged; remove "
                "it and give the command of the conversion again, then this one"
            ) from error
        save_model(model, directory / "model.keras")
    if data.test is not None:
        evaluate.evaluate(directory, data.test, data.target, data.records.size, config.batch_size)
    return directory


def open_data(config: TrainingConfig, *, judge: bool = True) -> Data:
    """Opens the records and forms the splits: train, validation and, to `judge`, the judged one.

    Raises:
        CallerError: there are no such records, or a split lacks a class.
    """
    records = open_records(find_directory(config.dataset_dir))
    for flag, fold in (("fold", config.fold), ("test_fold", config.test_fold)):
        if fold is not None and fold >= records.folds:
            raise CallerError(
                f"--{flag}={fold}: {records.directory} has folds 0 to {records.folds - 1}"
            )
    name = config.target or catalogue.DATASETS[records.dataset].target
    target = catalogue.TARGETS[name]
    folds = [schema.fold_name(fold) for fold in range(records.folds)]
    validating = folds[config.fold]
    judged = schema.TEST_SPLIT if config.test_fold is None else folds[config.test_fold]
    if judge and judged not in records.splits:
        raise CallerError(
            f"{records.directory} has no {judged} split; give --mode=cross_validate, or choose a "
            "fold to be judged with --test_fold"
        )
    return Data(
        records=records,
        target=target,
        target_name=name,
        train=select(
            records, "train", [fold for fold in folds if fold not in (validating, judged)], target
        ),
        validation=select(records, "validation", [validating], target),
        test=select(records, judged, [judged], target) if judge else None,
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


def train_phase(run: Run, phase: int) -> None:
    """Runs one phase, or what is left of it; leaves the model with the phase's best weights."""
    config, model = run.config, run.model
    epochs = (config.phase1_epochs, config.phase2_epochs)[phase - 1]
    patience = (config.phase1_patience, config.phase2_patience)[phase - 1]
    folder = run.directory / "checkpoints" / f"phase{phase}"
    best_path = folder.with_suffix(".weights.h5")
    if epochs == 0:
        return
    if best_path.is_file():
        model.load_weights(best_path)
        return
    _compile(run, phase)
    start, losses = _take_up(run, phase, folder)
    next_epoch = start + len(losses)
    if next_epoch < start + epochs and checkpoints.epochs_since_best(losses) < patience:
        stopping = keras.callbacks.EarlyStopping(checkpoints.MONITOR, patience=patience)
        plateau = keras.callbacks.ReduceLROnPlateau(
            checkpoints.MONITOR, factor=0.1, patience=max(1, patience // 2)
        )
        model.fit(
            _training_batches(run, first_epoch=next_epoch, last_epoch=start + epochs),
            steps_per_epoch=input_pipeline.batches_in(run.data.train, config.batch_size),
            initial_epoch=next_epoch,
            epochs=start + epochs,
            validation_data=_validation_batches(run),
            class_weight=dict(enumerate(run.class_weights)),
            shuffle=False,  # the pipeline has done it
            verbose=1 if sys.stdout.isatty() else 2,
            callbacks=[
                keras.callbacks.TensorBoard(run.directory / "tensorboard" / f"phase{phase}"),
                stopping,
                plateau,
                checkpoints.Replay(losses, stopping, plateau),
                checkpoints.Reseed(config.seed),
                checkpoints.Stamp(phase),
                keras.callbacks.CSVLogger(run.directory / "history.csv", append=True),
                checkpoints.Checkpoint(folder, losses),
            ],
        )
    _keep_best(run, phase, folder, best_path)


def _compile(run: Run, phase: int) -> None:
    if phase == 1:
        models.freeze_base(run.model)
        rate = run.config.phase1_learning_rate
    else:
        models.unfreeze_base(run.model, pretrained=run.weights.pretrained)
        rate = run.config.phase2_learning_rate
    with run.devices.scope():
        run.model.compile(
            optimizer=keras.optimizers.Adam(rate),
            loss="binary_crossentropy",
            metrics=["accuracy", keras.metrics.AUC(name="auc")],
        )


def _take_up(run: Run, phase: int, folder: pathlib.Path) -> tuple[int, dict[int, float]]:
    """Loads the newest epoch saved; returns the phase's first epoch, and the losses so far."""
    history = run.directory / "history.csv"
    rows = checkpoints.read_history(history)
    start = 1 + max((int(row["epoch"]) for row in rows if int(row["phase"]) < phase), default=-1)
    saved = checkpoints.saved_epochs(folder)
    last = saved[-1] if saved else start - 1
    checkpoints.cut_history(history, last_epoch=last)
    if not saved:
        return start, {}
    run.model.optimizer.build(run.model.trainable_variables)
    run.model.load_weights(checkpoints.epoch_path(folder, last))
    return start, {
        int(row["epoch"]): float(row[checkpoints.MONITOR])
        for row in rows
        if int(row["phase"]) == phase and int(row["epoch"]) <= last
    }


def _keep_best(run: Run, phase: int, folder: pathlib.Path, best_path: pathlib.Path) -> None:
    """Loads the best epoch's weights, keeps its file alone, and so marks the phase as done."""
    losses = {
        int(row["epoch"]): float(row[checkpoints.MONITOR])
        for row in checkpoints.read_history(run.directory / "history.csv")
        if int(row["phase"]) == phase
    }
    best = checkpoints.best_epoch(losses)
    run.model.load_weights(checkpoints.epoch_path(folder, best))
    logging.info("phase %d: best epoch %d, validation loss %.4f", phase, best, losses[best])
    os.replace(checkpoints.epoch_path(folder, best), best_path)
    shutil.rmtree(folder)


def _training_batches(run: Run, *, first_epoch: int, last_epoch: int) -> tf.data.Dataset:
    split = run.data.train
    return input_pipeline.training_batches(
        split,
        run.data.target,
        run.data.records.size,
        batch_size=run.config.batch_size,
        seed=run.config.seed,
        first_epoch=first_epoch,
        last_epoch=last_epoch,
        cache=input_pipeline.choose_cache(run.config.cache, split),
    )


def _validation_batches(run: Run) -> tf.data.Dataset:
    split = run.data.validation
    return input_pipeline.evaluation_batches(
        split,
        run.data.target,
        run.data.records.size,
        batch_size=run.config.batch_size,
        cache=input_pipeline.choose_cache(run.config.cache, split),
    )


def save_model(model: keras.Model, path: pathlib.Path) -> None:
    """Saves a model whole or not at all."""
    temporary = path.with_name(f"unfinished-{path.name}")
    model.save(temporary)
    os.replace(temporary, path)


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
            if split is not None
        },
        "weights": run.weights.name,
        "weights_warning": run.weights.warning,
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
