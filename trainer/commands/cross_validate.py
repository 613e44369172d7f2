"""Trains once for each stored fold, which is evaluated by the run that never saw it.

  python -m trainer cross_validate --run_dir=runs/folds
  python -m trainer cross_validate --flagfile=flags/experiments/h.flags --dataset_dir=DIR

The test split is left alone. Finished folds are kept; the same command resumes the others.
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
import time
from collections.abc import Sequence

from flags.training_config import Seeds, TrainingConfig, check_one_machine
from records import files
from records.errors import CallerError


@dataclasses.dataclass(frozen=True)
class Config(Seeds, TrainingConfig):
    """Flags of the run of every fold, all but which fold that is."""

    def check(self) -> None:
        """Checks that no fold is chosen, since all are evaluated in turn."""
        super().check()
        if self.fold != 0 or self.test_fold is not None:
            raise CallerError(
                "cross_validate evaluates every fold in turn; leave out --fold and --test_fold"
            )
        check_one_machine(self)


def run(config: Config) -> int:
    """Trains and evaluates every fold, and scores all images together; returns the exit code.

    Raises:
        CallerError: data, weights or run folder do not fit the configuration.
        OutOfTime: --max_minutes are over before the last fold is finished.
    """
    from trainer.commands import train

    train.prepare_process(config)
    from trainer.commands import summary

    summary.print_scores(cross_validate(config))
    return 0


def cross_validate(config: Config) -> pathlib.Path:
    """Trains once for each fold and scores all predictions together; finished folds are kept.

    Returns:
        the folder, which holds predictions.csv, metrics.json, report.html and the folds' runs.

    Raises:
        CallerError: as `run`.
        OutOfTime: as `run`.
    """
    from trainer.data import records_folder, run_folder

    if not config.skip_damaged:  # else every record is read
        # what needs no TensorFlow, which takes seconds to import
        found = records_folder.find_directory(config.dataset_dir)
        records_folder.open_records(found, condition=config.where)
    from trainer.evaluation import cross_validation
    from trainer.model import feature_cache
    from trainer.reports import gallery, report_page

    folds = cross_validation.open_folds(config)
    directory, content = run_folder.check_run(
        config, folds.records, folds.target_name, kind="cross_validate"
    )
    configs = cross_validation.configure_folds(config, folds.records, directory)
    run_folder.open_run(directory, content)
    end = time.monotonic() + (60 * config.max_minutes or math.inf)
    runs = [_run_fold(of_fold, config.seeds, end=end) for of_fold in configs]
    with files.keeping(directory, run_folder.EVALUATION):
        predicted = cross_validation.pool(directory, runs, folds)
        gallery.gather(directory, runs, predicted, ordinal=folds.target.kind == "ordinal")
        report_page.write(directory)
    feature_cache.discard(directory)
    return directory


def _run_fold(config: TrainingConfig, seeds: Sequence[int], *, end: float) -> pathlib.Path:
    """Trains and evaluates one fold, or one for each seed, unless it is finished."""
    from trainer.commands import train
    from trainer.evaluation import cross_validation

    assert config.run_dir is not None
    if not seeds:
        train.train_until(config, end=end)
    elif not cross_validation.is_finished(config):
        train.train_seeds(config, seeds, end=end)
    return pathlib.Path(config.run_dir)
