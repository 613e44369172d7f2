"""Flags of cross-validation and search."""

from __future__ import annotations

from typing import TYPE_CHECKING

from absl import flags

from flags import catalogue
from records.errors import CallerError

if TYPE_CHECKING:
    from flags.training import TrainingConfig

SAMPLERS = {
    "tpe": "what did well so far, tree-structured Parzen estimators",
    "random": "at random",
    "grid": "every combination",
}
PRUNERS = {
    "none": "every trial is trained to its end",
    "median": "a trial worse than the median of the others at the same epoch is stopped",
}


def check(config: TrainingConfig) -> None:
    """Checks the fields of a configuration that belong here.

    Raises:
        CallerError: a value is unknown or contradicts another.
    """
    catalogue.check_name("sampler", config.sampler, SAMPLERS)
    catalogue.check_name("pruner", config.pruner, PRUNERS)
    if config.mode == "tune" and config.space is None:
        raise CallerError(
            "--mode=tune needs --space, a file that names what to search; see docs/training.md"
        )
    if config.mode != "tune" and config.space is not None:
        raise CallerError(f"--space={config.space} goes with --mode=tune")
    if config.mode == "tune" and config.test_fold is not None:
        raise CallerError("--mode=tune evaluates on the validation images; leave out --test_fold")
    if config.mode == "cross_validate" and (config.fold != 0 or config.test_fold is not None):
        raise CallerError(
            "--mode=cross_validate evaluates every fold in turn; leave out --fold and --test_fold"
        )
    if config.fold == config.test_fold:
        raise CallerError(
            f"--fold={config.fold} and --test_fold={config.test_fold} are one fold: it can't both "
            "validate and be evaluated"
        )
    if config.mode in ("cross_validate", "tune") and config.strategy == "multi_worker":
        raise CallerError(
            f"--mode={config.mode} begins many runs and does not go with --strategy=multi_worker; "
            "run the folds one by one with --test_fold"
        )


def define(default: TrainingConfig) -> None:
    """Defines the flags."""
    text, number = flags.DEFINE_string, flags.DEFINE_integer
    number("test_fold", None, "Fold that is evaluated in place of the test split.", lower_bound=0)
    text("space", None, "File of --mode=tune with lines such as 'dropout = 0 0.2 0.5'.")
    text("sampler", default.sampler, catalogue.describe("What to try next", SAMPLERS))
    text("pruner", default.pruner, catalogue.describe("Which trials to stop early", PRUNERS))
    number("trials", default.trials, "Trials of a search, all together.", lower_bound=1)
    number("processes", default.processes, "Trials at a time.", lower_bound=1)
