"""Flags of the training loop: optimizer, learning rate, what decides, arithmetic, time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from absl import flags

from flags import catalogue, schedule
from records.errors import CallerError

if TYPE_CHECKING:
    from flags.training import TrainingConfig

OPTIMIZERS = {
    "adam": "Adam, as published",
    "sgd": "gradient descent, with --momentum",
    "rmsprop": "RMSprop, with --momentum",
    "adagrad": "Adagrad",
    "adamw": "Adam with decoupled --weight_decay",
}
MOMENTUM = ("sgd", "rmsprop")
"""Optimizers that take --momentum."""
MONITORS = {
    "val_loss": "min",
    "val_auc": "max",
    "val_pr_auc": "max",
    "val_accuracy": "max",
}
"""Columns of history.csv that may decide, and whether less or more of them is better."""
PRECISIONS = {
    "float32": "32 bits throughout",
    "mixed_float16": "16-bit arithmetic, 32-bit weights, loss scaled; for GPUs",
    "mixed_bfloat16": "the same in bfloat16; for TPUs and new GPUs and processors",
}


def check(config: TrainingConfig) -> None:
    """Checks the fields of a configuration that belong here.

    Raises:
        CallerError: a value is unknown, out of range, or contradicts another.
    """
    catalogue.check_name("optimizer", config.optimizer, OPTIMIZERS)
    catalogue.check_name("monitor", config.monitor, MONITORS)
    catalogue.check_name("precision", config.precision, PRECISIONS)
    schedule.parse(config.schedule)
    _check_range("momentum", config.momentum, below=1)
    if config.weight_decay is not None:
        _check_range("weight_decay", config.weight_decay, below=1)
    _check_range("ema", config.ema, below=1)
    _check_range("max_minutes", config.max_minutes, below=float("inf"))
    if config.momentum and config.optimizer not in MOMENTUM:
        raise CallerError(
            f"--momentum={config.momentum:g} goes with --optimizer={' or '.join(MOMENTUM)}, "
            f"not {config.optimizer}"
        )
    if config.accumulate < 1:
        raise CallerError(f"--accumulate={config.accumulate} is not at least 1")
    if config.accumulate > 1 and config.strategy != "default":
        raise CallerError(
            f"--accumulate={config.accumulate} does not go with --strategy={config.strategy}: "
            "Keras can't accumulate gradients of several devices; give a --batch_size that their "
            "memory holds together"
        )
    if config.warmup_epochs < 0:
        raise CallerError(f"--warmup_epochs={config.warmup_epochs} is not at least 0")
    shortest = min(e for e in (config.phase1_epochs, config.phase2_epochs) if e)
    if config.warmup_epochs >= shortest and config.warmup_epochs:
        raise CallerError(
            f"--warmup_epochs={config.warmup_epochs} leaves nothing of a phase of {shortest} "
            "epochs; give fewer"
        )
    profiled(config)


def profiled(config: TrainingConfig) -> tuple[int, int] | None:
    """Returns the first and last batch to profile, counted from 1, or None.

    Raises:
        CallerError: --profile is not two such numbers.
    """
    if not config.profile:
        return None
    try:
        first, last = (int(part) for part in config.profile.split(","))
    except ValueError:
        first, last = 0, 0
    if not 1 <= first <= last:
        raise CallerError(
            f"--profile={config.profile} is not the first and the last batch to profile, such as "
            "10,20"
        )
    return first, last


def _check_range(flag: str, value: float, *, below: float) -> None:
    if not 0 <= value < below:
        limit = "" if below == float("inf") else f" and less than {below:g}"
        raise CallerError(f"--{flag}={value} is not a number of at least 0{limit}")


def define(default: TrainingConfig) -> None:
    """Defines the flags."""
    text, number, fraction = flags.DEFINE_string, flags.DEFINE_integer, flags.DEFINE_float
    text("optimizer", default.optimizer, catalogue.describe("What makes the steps", OPTIMIZERS))
    fraction("momentum", default.momentum, "Momentum of sgd and rmsprop, such as 0.9.")
    fraction(
        "weight_decay",
        default.weight_decay,
        "Decoupled weight decay. Default: Keras's 0.004 for adamw, none for the others.",
    )
    text("schedule", default.schedule, schedule.describe())
    number(
        "warmup_epochs",
        default.warmup_epochs,
        "Epochs at the start of each phase in which the rate rises batch by batch from 0.",
        lower_bound=0,
    )
    flags.DEFINE_bool(
        "plateau",
        default.plateau,
        "Cut the rate to a tenth after half the patience without a better --monitor.",
    )
    text(
        "monitor",
        default.monitor,
        "What decides about the best epoch, early stopping and --plateau: "
        f"{', '.join(MONITORS)}, where the target has it.",
    )
    number("accumulate", default.accumulate, "Batches a step; their gradients are averaged.", 1)
    text("precision", default.precision, catalogue.describe("Arithmetic", PRECISIONS))
    flags.DEFINE_bool("xla", default.xla, "Compile the steps with XLA.")
    fraction(
        "ema",
        default.ema,
        "Moving average of weights over the steps, such as 0.99, which is then what is validated "
        "and kept; 0: none.",
    )
    fraction(
        "max_minutes",
        default.max_minutes,
        "Stop after the epoch in which so many minutes are reached, to be resumed by the same "
        "command; 0: no limit.",
    )
    text("profile", default.profile, "First and last batch to profile for TensorBoard: 10,20.")
