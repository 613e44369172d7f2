"""Flags of the training loop: epochs, optimizer, learning rate, what decides, devices, time."""

from __future__ import annotations

import dataclasses

from flags import schedule_spec as decay
from flags.fields import Flags, flag
from records.errors import CallerError

OPTIMIZERS = {
    "adam": "Adam, as published",
    "sgd": "gradient descent, with --momentum",
    "rmsprop": "RMSprop, with --momentum",
    "adagrad": "Adagrad",
    "adamw": "Adam with decoupled --weight_decay",
}
MOMENTUM = ("sgd", "rmsprop")
"""Optimizers that take --momentum."""
MONITORS = {"val_loss": "min", "val_auc": "max", "val_pr_auc": "max", "val_accuracy": "max"}
"""Columns of history.csv that may decide, and whether less or more of them is better."""
PRECISIONS = {
    "float32": "32 bits throughout",
    "mixed_float16": "16-bit arithmetic, 32-bit weights, loss scaled; for GPUs",
    "mixed_bfloat16": "the same in bfloat16; for TPUs and new GPUs and processors",
}
STRATEGIES = {
    "default": "one device",
    "mirrored": "every GPU of this machine, the batch split among them",
    "multi_worker": "the machines TF_CONFIG names, the batch split among them",
    "tpu": "the TPU of this machine or the one TPU_NAME names",
}


@dataclasses.dataclass(frozen=True)
class Optimization(Flags):
    """Two phases of training, what moves the weights in them, and on which devices."""

    batch_size: int = flag(8, "Images a step, over all devices.", low=1)
    phase1_epochs: int = flag(100, "At most so many epochs with the base frozen.", low=0)
    phase2_epochs: int = flag(
        50,
        "At most so many epochs with all layers trained; 0: the base only makes features.",
        low=0,
    )
    phase1_learning_rate: float = flag(1e-3, "Learning rate of phase 1.", above=0, below=1)
    phase2_learning_rate: float = flag(1e-5, "Learning rate of phase 2.", above=0, below=1)
    phase1_patience: int = flag(
        10, "Epochs without a better --monitor that end phase 1; half of them cut the rate.", low=1
    )
    phase2_patience: int = flag(5, "The same for phase 2.", low=1)
    optimizer: str = flag("adam", "What makes the steps", choices=OPTIMIZERS)
    momentum: float = flag(0.0, "Momentum of sgd and rmsprop, such as 0.9.", low=0, below=1)
    weight_decay: float | None = flag(
        None,
        "Decoupled weight decay. Default: Keras's 0.004 for adamw, none for the others.",
        low=0,
        below=1,
    )
    schedule: str = flag("constant", decay.describe())
    warmup_epochs: int = flag(
        0, "Epochs at the start of each phase in which the rate rises batch by batch from 0.", low=0
    )
    plateau: bool = flag(
        True, "Cut the rate to a tenth after half the patience without a better --monitor."
    )
    # trials that are ranked by different columns can't be compared
    monitor: str = flag(
        "val_loss",
        "What decides, where the target has it, about the best epoch, early stopping and --plateau",
        choices=dict.fromkeys(MONITORS, ""),
        searchable=False,
    )
    accumulate: int = flag(1, "Batches a step; their gradients are averaged.", low=1)
    precision: str = flag("float32", "Arithmetic", choices=PRECISIONS)
    xla: bool = flag(False, "Compile the steps with XLA.")
    ema: float = flag(
        0.0,
        "Moving average of weights over the steps, such as 0.99, which is then what is validated "
        "and kept; 0: none.",
        low=0,
        below=1,
    )
    strategy: str = flag("default", "Devices", choices=STRATEGIES, repeat=True)
    seed: int = flag(111, "Seed of initial weights, order of images and dropout.", repeat=True)
    deterministic: bool = flag(False, "Same weights to the last bit; slower on GPUs.", repeat=True)
    max_minutes: float = flag(
        0.0,
        "Stop after the epoch in which so many minutes are reached, to be resumed by the same "
        "command; 0: no limit.",
        low=0,
        identity=False,
        searchable=False,
    )
    profile: str = flag(
        "", "First and last batch to profile for TensorBoard: 10,20.", identity=False
    )

    def check(self) -> None:
        """Checks what optimizer, phases and devices demand of each other."""
        super().check()
        decay.parse(self.schedule)
        profiled(self)
        if self.momentum and self.optimizer not in MOMENTUM:
            raise CallerError(
                f"--momentum={self.momentum:g} goes with --optimizer={' or '.join(MOMENTUM)}, "
                f"not {self.optimizer}"
            )
        if self.accumulate > 1 and self.strategy != "default":
            raise CallerError(
                f"--accumulate={self.accumulate} does not go with --strategy={self.strategy}: "
                "Keras can't accumulate gradients of several devices; give a --batch_size that "
                "their memory holds together"
            )
        if self.phase1_epochs + self.phase2_epochs == 0:
            raise CallerError("--phase1_epochs and --phase2_epochs are both 0: nothing to train")
        shortest = min(epochs for epochs in (self.phase1_epochs, self.phase2_epochs) if epochs)
        if self.warmup_epochs >= shortest:
            raise CallerError(
                f"--warmup_epochs={self.warmup_epochs} leaves nothing of a phase of {shortest} "
                "epochs; give fewer"
            )


def profiled(config: Optimization) -> tuple[int, int] | None:
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
