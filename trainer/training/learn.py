"""Configuration -> model.keras: opens data, builds the network, trains both phases, saves."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import platform
from typing import Any

import keras
import tensorflow as tf

from flags import datasets, targets
from flags.training import TrainingConfig
from records import files
from records.preprocessing import Preparation
from trainer.data import class_balance, damage, dataset, run_folder, training_statistics
from trainer.data.dataset import Data
from trainer.model import augmentation, feature_cache
from trainer.training import initial_weights, monitoring, phases, strategy
from trainer.training.run import Run


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


def learn(config: TrainingConfig, *, with_test: bool = True) -> Learned:
    """Trains a network, or resumes an interrupted run; a finished one is left as it is.

    Args:
        config: what to train.
        with_test: whether the test images are to be opened; they are never read here.

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
    deadline = monitoring.Deadline(60 * config.max_minutes, devices)
    data = dataset.open_data(config, with_test=with_test)
    if data.test is not None:
        name = data.records.dataset
        initial_weights.check_apart(config, dataset=name, evaluated=data.test.parts)
    class_weights = class_balance.choose_class_weights(config, data.train.labels, data.target)
    directory, content = run_folder.check_run(config, data.records, data.target_name)
    strategy.wait_for_all(devices)
    if not (directory / "model.keras").is_file():
        fractions = class_balance.weighted_fractions(config, data.train.labels, class_weights)
        with devices.scope():
            model, weights = initial_weights.build(
                config, data.records.size, kind=data.target.kind, fractions=fractions
            )
        run = Run(config, data, directory, devices, model, weights, class_weights, deadline)
        chief = strategy.is_chief(devices)
        with (
            damage.named(data.records.directory, data.records.manifest["shards"]),
            run_folder.hold(directory) if chief else contextlib.nullcontext(),
        ):
            train_phases(run, content)
    return Learned(directory, data, devices)


def train_phases(run: Run, content: dict[str, Any]) -> None:
    """Trains both phases, and saves the best epoch's model in the run folder.

    Args:
        run: what learns.
        content: of config.json.
    """
    chief = strategy.is_chief(run.devices)
    if chief:
        run_folder.open_run(run.directory, content)
        run_folder.write_description(run.directory, describe_run(run))
        show_beginning(run)
    for number in (1, 2):
        phases.train_phase(run, number)
    if chief:
        describe_end(run)
        training_statistics.write(run.directory, run.data.train, run.data.records.size)
        save_model(run.model, run.directory / "model.keras")
        feature_cache.discard(run.directory)


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
    images = class_balance.epoch_size(run.data.train.labels, run.config.sampling)
    dead = monitoring.dead_units(run.model, phases.validation_batches(run))
    with tf.summary.create_file_writer(str(run.tensorboard)).as_default(step=0):
        for layer, fraction in dead.items():
            tf.summary.scalar(f"dead units/{layer}", fraction)
    description = {
        **run_folder.read_json(path),
        "throughput": monitoring.measure(run.directory / "history.csv", images=images),
        "dead_units": dead,
    }
    files.write_json(path, description)


def save_model(model: keras.Model, path: pathlib.Path) -> None:
    """Saves a model whole or not at all."""
    temporary = path.with_name(f"unfinished-{path.name}")
    with files.replacing(path, temporary=temporary):
        augmentation.without(model).save(temporary)


def describe_chain(run: Run) -> dict[str, Any]:
    """Says what the weights learned before this run, where another run gave them."""
    if run.config.init_from is None:
        return {}
    return {"chain": initial_weights.read_chain(pathlib.Path(run.config.init_from))}


def describe_run(run: Run) -> dict[str, Any]:
    """Says what is trained on what, for run.json and the report."""
    manifest = run.data.records.manifest
    described = datasets.DATASETS[run.data.records.dataset]
    names = run.data.target.names
    salvage = run.data.records.salvage
    return {
        "dataset": run.data.records.dataset,
        "dataset_title": described.title,
        "licence": described.licence,
        "citation": described.citation,
        "synthetic": run.data.records.dataset == "phantom",
        "dataset_dir": str(run.data.records.directory),
        "size": manifest["size"],
        "recipe": manifest["recipe"],
        "preparation": Preparation.from_manifest(manifest).to_json(),
        "data_fingerprint": manifest["data_fingerprint"],
        "policies": {key: manifest[key] for key in ("label_policy", "split_policy", "leak_policy")},
        "target": run.data.target_name,
        "label_names": list(names),
        "kind": run.data.target.kind,
        "absent_classes": [
            name
            for name in targets.TARGETS[run.data.target_name].names
            if name not in run.data.target.names
        ],
        "where": run.config.where,
        "sampling": run.config.sampling,
        "damaged_records": list(salvage.damaged) if salvage else [],
        "splits": {
            split.name: split.describe(names)
            for split in (run.data.train, run.data.validation, run.data.test)
            if split is not None
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
