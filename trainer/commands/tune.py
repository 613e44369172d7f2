"""Searches the flags that --space names, with Optuna, for the best score on the validation images.

  python -m trainer tune --space=space.txt --trials=40 --processes=2 --run_dir=runs/search

space.txt has lines such as
  dropout = 0 0.2 0.5                     one of these
  phase1_learning_rate = log 1e-5 1e-2    numbers, evenly on a logarithmic scale
Every trial is a run folder, trials/<number>/. Writes study.html and best.flags, the flags of the
best trial. No image outside the training folds is read; the same command resumes a search.
"""

from __future__ import annotations

import dataclasses
import math
import time
from typing import TYPE_CHECKING

from flags import search_space
from flags.search_config import Search
from flags.training_config import TrainingConfig, check_one_machine
from records import files
from records.errors import CallerError, OutOfTime
from records.printable import counted

if TYPE_CHECKING:
    import pathlib

    import optuna


@dataclasses.dataclass(frozen=True)
class Config(Search, TrainingConfig):
    """A search, and the flags of every trial that it does not vary."""

    def check(self) -> None:
        """Checks that there is something to search, on validation images."""
        super().check()
        if self.space is None:
            raise CallerError(
                "tune needs --space, a file that names what to search; see docs/training.md"
            )
        if self.test_fold is not None:
            raise CallerError("tune evaluates on the validation images; leave out --test_fold")
        check_one_machine(self)


def run(config: Config) -> int:
    """Runs the trials that are still to be run and prints the best; returns the exit code.

    Raises:
        CallerError: data or run folder do not fit the configuration, the space is wrong, or no
            trial succeeds.
        OutOfTime: --max_minutes are over before all trials are begun.
    """
    from trainer.commands import train

    train.prepare_process(config)
    for line in tune(config):
        print(line)
    return 0


def tune(config: Config) -> list[str]:
    """Runs the trials that are still to be run; writes study.html and best.flags.

    Returns:
        lines for the terminal.

    Raises:
        CallerError: as `run`.
        OutOfTime: as `run`.
    """
    from trainer.data import dataset, run_folder

    end = time.monotonic() + (60 * config.max_minutes or math.inf)
    assert config.space is not None
    dimensions = search_space.read(config.space, config)
    data = dataset.open_data(config, with_test=False)
    directory, content = run_folder.check_run(config, data.records, data.target_name, kind="tune")
    from trainer.model import feature_cache
    from trainer.reports import study_page
    from trainer.training import hyperparameter_search

    goal = hyperparameter_search.count_trials(
        dimensions, trials=config.trials, sampler=config.sampler
    )
    hyperparameter_search.check_space(directory, dimensions)
    run_folder.open_run(directory, content)
    busy = f"another process is at work on {directory}; wait for it"
    with files.hold(directory / "lock", busy=busy):
        hyperparameter_search.write_space(directory, dimensions)
        study = hyperparameter_search.open_study(
            directory, monitor=config.monitor, pruner=config.pruner
        )
        under_way = hyperparameter_search.Search(
            dataclasses.replace(config, dataset_dir=str(data.records.directory)),
            dimensions,
            directory,
            study,
            sampler=config.sampler,
            processes=config.processes,
        )
        begun = hyperparameter_search.run_trials(under_way, goal, end=end)
        if begun < goal:
            raise OutOfTime(
                f"--max_minutes={config.max_minutes:g} are over after {begun} of {goal} trials; "
                "give the same command again to go on"
            )
        with files.keeping(directory, (study_page.FILE, hyperparameter_search.BEST)):
            page = study_page.write(directory, study, dimensions, monitor=config.monitor)
            hyperparameter_search.write_best(under_way)
        feature_cache.discard(directory)
    return _describe(study, directory, page, monitor=config.monitor)


def _describe(
    study: optuna.Study, directory: pathlib.Path, page: pathlib.Path, *, monitor: str
) -> list[str]:
    """Writes how many trials ended how, the best one, and where to read on."""
    from optuna.trial import TrialState

    from trainer.training import hyperparameter_search

    states = [trial.state for trial in hyperparameter_search.counted(study)]
    best = study.best_trial
    return [
        f"{counted(states.count(TrialState.COMPLETE), 'trials')}, "
        f"{states.count(TrialState.PRUNED)} stopped early, "
        f"{states.count(TrialState.FAIL)} failed; best {monitor} {best.value:.4f} by "
        + ", ".join(f"{name}={value}" for name, value in best.params.items()),
        f"best flags: {(directory / 'best.flags').resolve()}",
        f"report: {page.resolve()}",
    ]
