"""What the trainer can be told: flags -> TrainingConfig, checked once.

config = TrainingConfig.from_flags(absl.flags.FLAGS)
"""

from __future__ import annotations

import dataclasses
from typing import Any

from absl import flags

from flags import (
    augmentation,
    catalogue,
    evaluation,
    features,
    network,
    optimization,
    search,
    selection,
    transfer,
    tta,
)
from records.errors import CallerError

STRATEGIES = {
    "default": "one device",
    "mirrored": "every GPU of this machine, the batch split among them",
    "multi_worker": "the machines TF_CONFIG names, the batch split among them",
    "tpu": "the TPU of this machine or the one TPU_NAME names",
}
CACHES = {
    "auto": "in memory if the records take less than a quarter of what is free",
    "memory": "in memory",
    "off": "read from disk every epoch",
}
MODES = {
    "train": "train, evaluate on the test split, write the report; resumes an interrupted run",
    "evaluate": "evaluate the model of --run_dir again and rewrite its report",
    "cross_validate": "train once for each fold, which is evaluated by the run that never saw it; "
    "the test split is left alone",
    "tune": "search the flags that --space names, with Optuna; evaluated on the validation images",
}


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """One training run, complete and valid; the flags below say what each field means."""

    mode: str = "train"
    dataset_dir: str | None = None
    run_dir: str | None = None
    # model
    base: str = "mobilenetv2"
    alpha: float = 1.0
    weights: str = "auto"
    input_scaling: str = "base"
    downsample_sets: str = "0"
    conv_after: str = "0"
    head: str = "gap"
    hidden: str = "512,32"
    activation: str = "relu"
    dropout: float = 0.2
    batch_norm: bool = False
    l2: float = 0.0
    # data
    target: str | None = None
    class_weights: str = "balanced"
    fold: int = 0
    batch_size: int = 8
    phase1_epochs: int = 100
    phase2_epochs: int = 50
    phase1_learning_rate: float = 1e-3
    phase2_learning_rate: float = 1e-5
    phase1_patience: int = 10
    phase2_patience: int = 5
    strategy: str = "default"
    cache: str = "auto"
    seed: int = 111
    deterministic: bool = False
    # data
    where: str = ""
    sampling: str = "none"
    skip_damaged: bool = False
    # transfer
    init_from: str | None = None
    init_parts: str = "all"
    unfreeze_from: str | None = None
    # training
    optimizer: str = "adam"
    momentum: float = 0.0
    weight_decay: float | None = None
    schedule: str = "constant"
    warmup_epochs: int = 0
    plateau: bool = True
    monitor: str = "val_loss"
    accumulate: int = 1
    precision: str = "float32"
    xla: bool = False
    ema: float = 0.0
    max_minutes: float = 0.0
    profile: str = ""
    # augmentation
    augment: str = augmentation.NONE
    # evaluating
    tta: str | None = None
    # speed
    feature_cache: str = "auto"
    feature_dir: str | None = None
    feature_gb: float = 10.0
    # search
    test_fold: int | None = None
    space: str | None = None
    sampler: str = "tpe"
    pruner: str = "none"
    trials: int = 20
    processes: int = 1

    def __post_init__(self) -> None:
        for flag, name, known in (
            ("mode", self.mode, {**MODES, **evaluation.MODES}),
            ("strategy", self.strategy, STRATEGIES),
            ("cache", self.cache, CACHES),
        ):
            catalogue.check_name(flag, name, known)
        network.check(self)
        if not (0 < self.phase1_learning_rate < 1 and 0 < self.phase2_learning_rate < 1):
            raise CallerError(
                f"--phase1_learning_rate={self.phase1_learning_rate} and "
                f"--phase2_learning_rate={self.phase2_learning_rate} must lie between 0 and 1"
            )
        if self.phase1_epochs + self.phase2_epochs == 0:
            raise CallerError("--phase1_epochs and --phase2_epochs are both 0: nothing to train")
        if self.mode == "evaluate" and self.run_dir is None:
            raise CallerError("--mode=evaluate needs --run_dir, the folder of a finished run")
        selection.check(self)
        transfer.check(self)
        optimization.check(self)
        features.check(self)
        tta.check(self.tta)
        search.check(self)

    @classmethod
    def from_flags(cls, values: flags.FlagValues) -> TrainingConfig:
        """Builds the configuration from parsed flags.

        Raises:
            CallerError: a value is unknown or contradicts another; one line with the remedy.
        """
        fields: dict[str, Any] = {
            field.name: values[field.name].value for field in dataclasses.fields(cls)
        }
        return cls(**fields)

    def to_json(self) -> dict[str, Any]:
        """Lists every field by name, as config.json keeps them."""
        return dataclasses.asdict(self)


def define() -> None:
    """Defines the trainer's flags on absl's FLAGS."""
    default = TrainingConfig()
    selection.define(default)
    text, number, fraction = flags.DEFINE_string, flags.DEFINE_integer, flags.DEFINE_float
    text("mode", default.mode, catalogue.describe("What to do", {**MODES, **evaluation.MODES}))
    text(
        "dataset_dir",
        None,
        "Folder of records, <output_dir>/<dataset>/<H>x<W>/<recipe>. "
        "Default: the only one under data/tfrecords.",
    )
    text("run_dir", None, "Folder of the run. Default: runs/ and a name made from the flags.")
    network.define(default)
    number("fold", default.fold, "Fold that validates; the others train.", lower_bound=0)
    number("batch_size", default.batch_size, "Images a step, over all devices.", lower_bound=1)
    number(
        "phase1_epochs",
        default.phase1_epochs,
        "At most so many epochs with the base frozen.",
        lower_bound=0,
    )
    number(
        "phase2_epochs",
        default.phase2_epochs,
        "At most so many epochs with all layers trained; 0: the base only makes features.",
        lower_bound=0,
    )
    fraction("phase1_learning_rate", default.phase1_learning_rate, "Learning rate of phase 1.")
    fraction("phase2_learning_rate", default.phase2_learning_rate, "Learning rate of phase 2.")
    number(
        "phase1_patience",
        default.phase1_patience,
        "Epochs without a better --monitor that end phase 1; half of them cut the rate.",
        lower_bound=1,
    )
    number(
        "phase2_patience",
        default.phase2_patience,
        "The same for phase 2.",
        lower_bound=1,
    )
    text("strategy", default.strategy, catalogue.describe("Devices", STRATEGIES))
    text("cache", default.cache, catalogue.describe("Where records wait between epochs", CACHES))
    number("seed", default.seed, "Seed of initial weights, order of images and dropout.")
    flags.DEFINE_bool(
        "deterministic", default.deterministic, "Same weights to the last bit; slower on GPUs."
    )
    transfer.define(default)
    optimization.define(default)
    features.define(default)
    tta.define()
    search.define(default)
