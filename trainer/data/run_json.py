"""Content of run.json as frozen dataclasses: what was trained on what, for the report.

run = run_folder.read_description(directory)
run.label_names, run.splits["train"].patients, run.throughput
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from flags.transfer_config import LEARNING_BATCH
from records import version
from records.preprocessing import Preparation
from records.printable import counted
from trainer.metrics import typed_json


@dataclasses.dataclass(frozen=True, kw_only=True)
class SplitCounts:
    """Images of a split.

    Attributes:
        folds: parts of the data set that it is made of.
        images: how many are learned from or evaluated.
        patients: whose they are.
        labels: images of each class.
        left_out: those without a label for the target.
        filtered: those that do not meet --where.
        damaged: those whose records are damaged.
        epoch: images of an epoch, repeated ones as often as they stand in it.
    """

    folds: tuple[str, ...]
    images: int
    patients: int
    labels: dict[str, int]
    left_out: int
    filtered: int = dataclasses.field(default=0, metadata=typed_json.ALWAYS)
    damaged: int = dataclasses.field(default=0, metadata=typed_json.ALWAYS)
    epoch: int | None = None


@dataclasses.dataclass(frozen=True)
class Throughput:
    """What training cost: images/s, percent of it spent waiting (None: not measured), GB."""

    images_per_second: float
    waiting_percent: float | None
    peak_memory_gb: float


@dataclasses.dataclass(frozen=True)
class BaseBatchNorm:
    """Batch normalisation of the base in phase 2.

    Attributes:
        learns: whether it does, or keeps what it came with.
        batch: images it normalises together, those of one device.
        devices: how many there are.
        momentum: of its moving statistics.
    """

    learns: bool
    batch: int
    devices: int = 1
    momentum: float | None = None

    def describe(self, setting: str) -> str:
        """Says what phase 2 does with it, and why; `setting` is --base_batch_norm."""
        images = counted(self.batch, "images")
        if self.devices > 1:
            images += f" on each of {self.devices} devices"
        if self.learns:
            return f"learns from {images}, momentum {self.momentum:g}"
        few = setting == "auto" and self.batch < LEARNING_BATCH
        why = f": {images}, fewer than {LEARNING_BATCH}" if few else ""
        return f"is frozen (--base_batch_norm={setting}{why})"


@dataclasses.dataclass(frozen=True)
class AlsoPredicted:
    """A column learned beside the target, on the validation images that state it.

    Attributes:
        values: its classes.
        images: that state one of them.
        accuracy: fraction called right.
        majority: fraction of the commonest class.
        auc: mean of each class against the rest.
    """

    values: tuple[str, ...]
    images: int
    accuracy: float | None = None
    majority: float | None = None
    auc: float | None = None


@dataclasses.dataclass(frozen=True)
class FoldDescription:
    """A fold of a cross-validation.

    Attributes:
        run: name of its folder.
        minutes: it took.
        splits: its own.
        metrics: its metrics.json; of an earlier version until they are scored again.
        calibration: its calibration.json without the curve.
        members: paths of several networks' runs, relative to its own.
    """

    run: str
    minutes: float
    splits: dict[str, SplitCounts]
    metrics: dict[str, Any]
    calibration: dict[str, Any] | None = None
    members: tuple[str, ...] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunDescription:
    """All of run.json: of a run of one network, a cross-validation or an ensemble.

    None is what was not stated: by an earlier version, at that stage, or by the members of an
    ensemble alike. `folds` are those of a cross-validation, `members` paths of an ensemble's.
    `unit` is a key of `records.schema.VIEWS`; where it has `views`, they are `joined_by` that value
    of --views. `reader_columns` are those of `side_inputs` that a reader wrote, `base_source`
    digests the file of a base of one's own. `program`, with its commit, trained or evaluated last,
    at `finished` (UTC).
    """

    dataset: str
    dataset_title: str
    licence: str
    citation: str
    synthetic: bool
    dataset_dir: str
    size: str
    recipe: str
    unit: str = "image"
    views: tuple[str, ...] | None = None
    joined_by: str | None = None
    preparation: Preparation | None = None
    data_fingerprint: str
    policies: dict[str, str]
    target: str
    label_names: tuple[str, ...]
    kind: str | None = None
    absent_classes: tuple[str, ...] | None = None
    where: str | None = None
    sampling: str | None = None
    damaged_records: tuple[str, ...] | None = None
    splits: dict[str, SplitCounts]
    weights: str
    weights_warning: str | None = dataclasses.field(default=None, metadata=typed_json.ALWAYS)
    chain: tuple[str, ...] | None = None
    base_batch_norm: BaseBatchNorm | None = None
    base_source: str | None = None
    side_inputs: tuple[str, ...] | None = None
    reader_columns: tuple[str, ...] | None = None
    also_predicted: dict[str, AlsoPredicted] | None = None
    parameters: int
    class_weights: tuple[float, ...]
    versions: dict[str, str]
    devices: tuple[str, ...]
    seed: int | str
    throughput: Throughput | None = None
    dead_units: dict[str, float] | None = None
    minutes: dict[str, float] | None = None
    images_per_second: float | None = None
    predicts_one_class: bool | None = None
    test_time_augmentation: str | None = None
    folds: tuple[FoldDescription, ...] | None = None
    members: tuple[str, ...] | None = None
    program: str | None = None
    finished: str | None = None

    @property
    def ordinal(self) -> bool:
        """Whether each class is above the one before."""
        return self.kind == "ordinal"

    def stamp(self) -> RunDescription:
        """Adds the program at work and the time, when a run was trained or evaluated."""
        return dataclasses.replace(self, program=version.describe(), finished=version.now())


def mean_weights(runs: Sequence[RunDescription]) -> tuple[float, ...]:
    """Averages the class weights of several runs."""
    import numpy as np  # --help must not wait for it

    return tuple(np.mean([run.class_weights for run in runs], axis=0).tolist())


def mean_speed(runs: Sequence[RunDescription]) -> float | None:
    """Averages the images/s of several runs, None if one was not measured."""
    speeds = [run.images_per_second for run in runs]
    known = [speed for speed in speeds if speed is not None]
    import numpy as np  # --help must not wait for it

    return float(np.mean(known)) if len(known) == len(speeds) else None
