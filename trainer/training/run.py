"""A run under way, and its phases: what the stages of training hand to each other."""

from __future__ import annotations

import dataclasses
import pathlib

import keras
import tensorflow as tf

from flags import optimization_config
from flags.training_config import TrainingConfig
from trainer.data.dataset import Data
from trainer.data.run_json import BaseBatchNorm
from trainer.model.backbones import BaseWeights
from trainer.training import callbacks, checkpoints


@dataclasses.dataclass(frozen=True)
class Run:
    """A run under way.

    Attributes:
        devices: strategy the model was built under.
        batch_norm: what phase 2 does with the base's batch normalisation, None if it has none.
        class_weights: weight of each class in the loss.
        deadline: when to stop.
    """

    config: TrainingConfig
    data: Data
    directory: pathlib.Path
    devices: tf.distribute.Strategy
    model: keras.Model
    weights: BaseWeights
    batch_norm: BaseBatchNorm | None
    class_weights: tuple[float, ...]
    deadline: callbacks.Deadline

    @property
    def monitor(self) -> checkpoints.Monitor:
        """What decides which epoch is best."""
        return checkpoints.Monitor(
            self.config.monitor, optimization_config.MONITORS[self.config.monitor]
        )

    @property
    def history(self) -> pathlib.Path:
        """Table of all epochs."""
        return self.directory / "history.csv"

    @property
    def tensorboard(self) -> pathlib.Path:
        """Folder of TensorBoard's files."""
        return self.directory / "tensorboard"


@dataclasses.dataclass(frozen=True)
class Phase:
    """One phase of a run.

    Attributes:
        number: 1 or 2.
        epochs: at most so many.
        rate: learning rate it begins with.
        patience: epochs without a better value that end it.
        folder: its epochs' weights; the best ones stay beside it when it is done.
    """

    number: int
    epochs: int
    rate: float
    patience: int
    folder: pathlib.Path

    @property
    def best_path(self) -> pathlib.Path:
        """File of the best weights: it is there when the phase is done."""
        return self.folder.with_suffix(".weights.h5")


def skips_phase1(config: TrainingConfig, weights: BaseWeights) -> bool:
    """Whether phase 1 would only fit a head to the noise that a frozen random base makes.

    Who gives both --weights=random and another --phase1_epochs than the default gets it.
    """
    insists = config.weights == "random" and config.phase1_epochs != TrainingConfig().phase1_epochs
    both = min(config.phase1_epochs, config.phase2_epochs) > 0
    return both and not weights.pretrained and not insists


def phase_of(run: Run, number: int) -> Phase:
    """Gathers the flags of a phase."""
    config = run.config
    first = number == 1
    epochs = config.phase1_epochs if first else config.phase2_epochs
    return Phase(
        number=number,
        epochs=0 if first and skips_phase1(config, run.weights) else epochs,
        rate=config.phase1_learning_rate if first else config.phase2_learning_rate,
        patience=config.phase1_patience if first else config.phase2_patience,
        folder=run.directory / "checkpoints" / f"phase{number}",
    )
