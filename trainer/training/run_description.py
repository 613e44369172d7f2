"""A run under way -> its entries of run.json."""

from __future__ import annotations

import dataclasses
import pathlib
import platform

import keras
import numpy as np
import tensorflow as tf

from flags import column_config, datasets, network_config, own_base, targets
from records.preprocessing import Preparation
from trainer.data import class_balance
from trainer.data.run_json import RunDescription
from trainer.model import auxiliary
from trainer.training import initial_weights, phases, throughput
from trainer.training.run import Run, skips_phase1

PHASE1_SKIPPED = "phase 1 is skipped: features of a frozen random base are noise"


def describe_run(run: Run) -> RunDescription:
    """Describes what is trained on what."""
    manifest = run.data.records.manifest
    described = datasets.DATASETS[run.data.records.dataset]
    names = run.data.target.names
    salvage = run.data.records.salvage
    source = run.config.init_from
    of_target = targets.TARGETS[run.data.target_name].names
    splits = (run.data.train, run.data.validation, run.data.test)
    return RunDescription(
        dataset=run.data.records.dataset,
        dataset_title=described.title,
        licence=described.licence,
        citation=described.citation,
        synthetic=run.data.records.dataset == "phantom",
        dataset_dir=str(run.data.records.directory),
        size=str(manifest.size),
        recipe=manifest.recipe,
        unit=manifest.unit,
        views=manifest.views or None,
        joined_by=network_config.join_of(run.config.views) if manifest.views else None,
        preparation=Preparation.from_manifest(manifest),
        data_fingerprint=manifest.data_fingerprint,
        policies=manifest.policies,
        target=run.data.target_name,
        label_names=names,
        kind=run.data.target.kind,
        absent_classes=tuple(name for name in of_target if name not in names),
        where=run.config.where,
        sampling=run.config.sampling,
        damaged_records=tuple(salvage.damaged) if salvage else (),
        splits={split.name: split.describe(names) for split in splits if split is not None},
        weights=run.weights.name,
        weights_warning=_warn(run),
        chain=tuple(initial_weights.read_chain(pathlib.Path(source))) if source else None,
        side_inputs=tuple(run.data.side) or None,
        reader_columns=tuple(c for c in run.data.side if c in column_config.READER) or None,
        base_source=own_base.fingerprint(run.config.base),
        base_batch_norm=run.batch_norm if run.config.phase2_epochs else None,
        parameters=run.model.count_params(),
        class_weights=run.class_weights,
        versions={
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
        },
        devices=tuple(device.name for device in tf.config.list_logical_devices()),
        seed=run.config.seed,
    )


def describe_end(run: Run, description: RunDescription) -> RunDescription:
    """Adds what is known when both phases are over: throughput, and dead units by layer."""
    images = class_balance.epoch_size(run.data.train.labels, run.config.sampling)
    return dataclasses.replace(
        description.stamp(),
        throughput=throughput.measure(run.directory / "history.csv", images=images),
        dead_units=dead_units(run.model, phases.validation_batches(run)),
        also_predicted=auxiliary.evaluate(run.model, run.data.also, phases.validation_batches(run))
        if run.data.also
        else None,
    )


def dead_units(model: keras.Model, batches: tf.data.Dataset) -> dict[str, float]:
    """Returns, by layer, the fraction of ReLU units of the head that are 0 on every image.

    Args:
        model: its own layers with ReLU are looked at, not those inside its base.
        batches: of (images, labels).
    """
    outputs = {
        layer.name: layer.output
        for layer in model.layers
        if getattr(layer, "activation", None) is keras.activations.relu
        and len(layer.output.shape) == 2
    }
    if not outputs:
        return {}
    inner = keras.Model(model.input, outputs)
    alive = {name: np.zeros(output.shape[-1], bool) for name, output in outputs.items()}
    for images, _ in batches:
        for name, values in inner(images, training=False).items():
            alive[name] |= (keras.ops.convert_to_numpy(values) > 0).any(axis=0)
    return {name: round(float(1 - units.mean()), 4) for name, units in alive.items()}


def _warn(run: Run) -> str | None:
    """Writes the warnings about the weights a run begins with; None if there are none."""
    found = [run.weights.warning] if run.weights.warning else []
    if skips_phase1(run.config, run.weights):
        found.append(PHASE1_SKIPPED)
    return "; ".join(found) or None
