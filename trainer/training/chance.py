"""Says when the AUC on the training images does not leave chance: nothing is being learned."""

from __future__ import annotations

import math
import pathlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import keras
from absl import logging

from trainer.training import checkpoints
from trainer.training.run import Phase, Run

EPOCHS = 3
"""Epochs after the warm-up that must all look like chance before it is said."""
_SLOW = 1e-4
_STRONG_DROPOUT = 0.5


def half_width(labels: Sequence[int]) -> float:
    """Returns how far from 0.5 an AUC may lie by chance, 95 %: the class that is rarest decides.

    The variance of Mann and Whitney's U where both classes have the same scores (1947).
    """
    images, fewest = len(labels), min(Counter(labels).values())
    return 1.96 * math.sqrt((images + 1) / (12 * fewest * (images - fewest)))


class Watch(keras.callbacks.Callback):
    """Warns once in phase 2; stands after what writes history.csv."""

    def __init__(self, run: Run, phase: Phase) -> None:
        super().__init__()
        self._run, self._phase = run, phase

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Looks at the phase so far, once enough of it is behind."""
        epochs = len(read(self._run.history, self._phase.number))
        if self._phase.number == 2 and epochs == EPOCHS + self._run.config.warmup_epochs:
            warn(self._run)


def read(history: pathlib.Path, phase: int) -> list[float]:
    """Reads the training AUC of each epoch of a phase."""
    rows = checkpoints.read_history(history)
    return [float(row["auc"]) for row in rows if int(row["phase"]) == phase]


def warn(run: Run) -> None:
    """Warns where the last epochs of phase 2 look like chance, if the images could tell."""
    last = read(run.history, 2)[-EPOCHS:]
    width = half_width(run.data.train.labels)
    if width >= 0.5 or len(last) < EPOCHS or any(abs(auc - 0.5) > width for auc in last):
        return
    logging.warning(
        "the training AUC has stayed at chance, 0.5 +- %.3f, for %d epochs of phase 2 (last %.3f): "
        "nothing is learned; likely causes: %s",
        width,
        len(last),
        last[-1],
        "; ".join(_causes(run)),
    )


def _causes(run: Run) -> list[str]:
    """Lists what may hold a network back, with the flag that lets go."""
    config = run.config
    found = {
        "frozen batch normalisation (--base_batch_norm=learn, batches of 8 or more)": (
            run.batch_norm is not None and not run.batch_norm.learns
        ),
        f"a low --phase2_learning_rate={config.phase2_learning_rate:g} (1e-4 to 1e-3)": (
            config.phase2_learning_rate < _SLOW
        ),
        "the rate cut on a plateau (--noplateau)": config.plateau,
        f"strong --augment={config.augment}": config.augment != "none",
        f"--dropout={config.dropout:g}": config.dropout >= _STRONG_DROPOUT,
        f"--input_scaling={config.input_scaling}": config.input_scaling != "base",
    }
    return [cause for cause, holds in found.items() if holds] + [
        "labels that the images do not show at this size"
    ]
