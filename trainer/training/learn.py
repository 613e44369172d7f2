"""Configuration -> model.keras: opens data, builds the network, trains both phases, saves."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from typing import Any

import keras
import tensorflow as tf
from absl import logging

from flags.training_config import TrainingConfig
from records import files
from records.errors import CallerError
from trainer.data import (
    class_balance,
    damage,
    input_pipeline,
    run_folder,
    training_statistics,
)
from trainer.data.dataset import Data
from trainer.model import augmentation, feature_cache
from trainer.training import (
    callbacks,
    chance,
    fine_tuning,
    initial_weights,
    log_lines,
    phases,
    run_description,
    strategy,
    tensorboard,
)
from trainer.training.run import Run, skips_phase1


@dataclasses.dataclass(frozen=True)
class Learned:
    """A trained network, and what it learned from.

    Attributes:
        directory: run folder, which holds model.keras.
        data: its splits.
        devices: strategy it was trained under.
    """

    directory: pathlib.Path
    data: Data
    devices: tf.distribute.Strategy


def learn(config: TrainingConfig, data: Data) -> Learned:
    """Trains a network, or resumes an interrupted run; a finished one is left as it is.

    Args:
        config: what to train.
        data: its splits.

    Raises:
        CallerError: data, weights or run folder do not fit the configuration, or the loss is no
            number.
        OutOfTime: --max_minutes are over before the training is.
    """
    keras.utils.set_random_seed(config.seed)
    keras.config.set_dtype_policy(config.precision)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    devices = strategy.make(config.strategy)
    if data.test is not None:
        name = data.records.dataset
        initial_weights.check_apart(config, dataset=name, evaluated=data.test.parts)
    directory, content = run_folder.check_run(config, data.records, data.target_name)
    strategy.wait_for_all(devices)
    if not (directory / "model.keras").is_file():
        run = _make_run(config, data, directory, devices)
        chief = strategy.is_chief(devices)
        with (
            damage.named(data.records.directory, data.records.manifest.shards),
            run_folder.hold(directory) if chief else contextlib.nullcontext(),
        ):
            _train_phases(run, content)
    return Learned(directory, data, devices)


def _make_run(
    config: TrainingConfig, data: Data, directory: pathlib.Path, devices: tf.distribute.Strategy
) -> Run:
    """Builds the network, and decides what does not stand in the configuration alone.

    Raises:
        CallerError: several devices are to learn other columns: Keras mixes up the losses that
            layers add on each.
    """
    if data.also and devices.num_replicas_in_sync > 1:
        raise CallerError(
            f"--also_predict is learned on one device, --strategy={config.strategy} has "
            f"{devices.num_replicas_in_sync}; leave one of them out"
        )
    deadline = callbacks.Deadline(60 * config.max_minutes, devices)
    class_weights = class_balance.choose_class_weights(config, data.train.labels, data.target)
    fractions = class_balance.weighted_fractions(config, data.train.labels, class_weights)
    with devices.scope():
        model, weights = initial_weights.build(
            config,
            data.records.size,
            views=data.records.manifest.views,
            kind=data.target.kind,
            fractions=fractions,
            side=data.side,
            also=data.also,
        )
    begun = (directory / run_folder.RUN).is_file()
    batch_norm = fine_tuning.choose_batch_norm(
        config,
        model,
        pretrained=weights.pretrained,
        devices=devices.num_replicas_in_sync,
        batches=input_pipeline.batches_in(data.train, config.batch_size),
        begun=run_folder.read_description(directory) if begun else None,
    )
    return Run(
        config, data, directory, devices, model, weights, batch_norm, class_weights, deadline
    )


def _train_phases(run: Run, content: dict[str, Any]) -> None:
    """Trains both phases, and saves the best epoch's model in the run folder.

    Args:
        run: what learns.
        content: of config.json.
    """
    chief = strategy.is_chief(run.devices)
    if chief:
        run_folder.open_run(run.directory, content)
        description = run_description.describe_run(run)
        run_folder.begin_description(run.directory, description)
        lines = log_lines.beginning(description, run.directory, base=run.model.name)
        logging.info("%s", "\n".join(lines))
        if skips_phase1(run.config, run.weights):
            logging.warning("%s", run_description.PHASE1_SKIPPED)
        _show_beginning(run)
    for number in (1, 2):
        phases.train_phase(run, number)
    if chief:
        chance.warn(run)
        begun = run_folder.read_description(run.directory)
        ended = run_description.describe_end(run, begun)
        run_folder.write_description(run.directory, ended)
        tensorboard.write_dead_units(ended.dead_units or {}, run.tensorboard)
        training_statistics.write(run.directory, run.data)
        _save_model(run.model, run.directory / "model.keras")
        feature_cache.discard(run.directory)


def _show_beginning(run: Run) -> None:
    """Draws the first batch as augmented, and writes it and the flags for TensorBoard."""
    path = run.directory / "first_batch.png"
    if path.is_file():
        return
    batches = phases.training_batches(run, first_epoch=0, last_epoch=1, cache=False)
    inputs, labels = next(iter(batches))
    seen = tensorboard.augmented_images(run.model, inputs)
    views = max(1, run.data.train.views)
    names = [run.data.target.names[int(label)] for label in labels.numpy()[:, 0]]
    tensorboard.draw_batch(seen, [name for name in names for _ in range(views)], path)
    tensorboard.show_batch(path, run.tensorboard)
    tensorboard.write_flags(run.config, run.tensorboard)


def _save_model(model: keras.Model, path: pathlib.Path) -> None:
    """Saves a model whole or not at all."""
    temporary = path.with_name(f"unfinished-{path.name}")
    with files.replacing(path, temporary=temporary):
        augmentation.without(model).save(temporary)
