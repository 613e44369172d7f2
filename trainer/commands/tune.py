"""Search for the flags that do best on the validation images, with Optuna.

Every trial is a process that leaves a run folder trials/<number>/; this process alone draws what to
try, reads the trials' history.csv, and keeps the study in study.db. The score of a trial is that of
the model it keeps: the best epoch of its last phase. No image outside the training folds is read.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
from absl import logging
from optuna.study import StudyDirection
from optuna.trial import TrialState

from flags import optimization, space
from flags.space import Dimension
from flags.training import TrainingConfig
from records import files
from records.errors import CallerError, OutOfTime
from trainer.data import dataset, run_folder
from trainer.model import feature_cache
from trainer.reports import study_page
from trainer.training import checkpoints

MAX_FAILED = 3
"""A search none of whose first trials succeeds is stopped after so many."""
_POLL_SECONDS = 0.5
_DIRECTIONS = {"min": StudyDirection.MINIMIZE, "max": StudyDirection.MAXIMIZE}


@dataclasses.dataclass
class Job:
    """A trial under way; `epoch` is the last one Optuna was told of."""

    trial: optuna.Trial
    process: subprocess.Popen[bytes]
    directory: pathlib.Path
    epoch: int = -1


@dataclasses.dataclass(frozen=True)
class Search:
    """A search under way; `config` is that of every trial but for the flags searched."""

    config: TrainingConfig
    dimensions: tuple[Dimension, ...]
    directory: pathlib.Path
    study: optuna.Study

    @property
    def monitor(self) -> checkpoints.Monitor:
        """What the trials are ranked by, and whether less or more of it is better."""
        return checkpoints.Monitor(self.config.monitor, optimization.MONITORS[self.config.monitor])


def tune(config: TrainingConfig) -> list[str]:
    """Runs the trials that are still to be run; writes study.html and best.flags.

    Returns:
        lines for the terminal.

    Raises:
        CallerError: data or run folder do not fit the configuration, the space is wrong, or no
            trial succeeds.
        OutOfTime: --max_minutes are over before all trials are begun.
    """
    end = time.monotonic() + (60 * config.max_minutes or math.inf)
    assert config.space is not None
    dimensions = space.read(config.space, config)
    goal = _goal(config, dimensions)
    data = dataset.open_data(config, with_test=False)
    directory, content = run_folder.check_run(config, data.records, data.target_name)
    _check_space(directory, dimensions)
    run_folder.open_run(directory, content)
    busy = f"another process is at work on {directory}; wait for it"
    with files.hold(directory / "lock", busy=busy):
        _write_space(directory, dimensions)
        search = Search(
            dataclasses.replace(config, dataset_dir=str(data.records.directory)),
            dimensions,
            directory,
            _open_study(config, directory),
        )
        if config.sampler == "grid":
            _queue_grid(search, goal)
        _requeue(search.study)
        _run_trials(search, goal, end)
        _check_success(search.study)
        page = study_page.write(directory, search.study, dimensions, monitor=config.monitor)
        feature_cache.discard(directory)
    best = search.study.best_trial
    _write_best(search, best)
    states = [trial.state for trial in study_page.counted(search.study)]
    return [
        f"{states.count(TrialState.COMPLETE)} trials, {states.count(TrialState.PRUNED)} stopped "
        f"early, {states.count(TrialState.FAIL)} failed; best {config.monitor} {best.value:.4f} by "
        + ", ".join(f"{name}={value}" for name, value in best.params.items()),
        f"best flags: {(directory / 'best.flags').resolve()}",
        f"report: {page.resolve()}",
    ]


def _goal(config: TrainingConfig, dimensions: Sequence[Dimension]) -> int:
    """Counts the trials to run; a grid may have fewer than --trials."""
    if config.sampler != "grid":
        return config.trials
    for dimension in dimensions:
        if dimension.grid is None:
            raise CallerError(
                f"--sampler=grid: {dimension.name} is a range of numbers without end; write its "
                "values one by one, or give --sampler=random"
            )
    return min(config.trials, math.prod(len(d.grid or ()) for d in dimensions))


def _check_space(directory: pathlib.Path, dimensions: Sequence[Dimension]) -> None:
    path = directory / "space.json"
    if path.is_file() and run_folder.read_json(path) != _describe(dimensions):
        raise CallerError(f"{directory} holds a search of another --space; give another --run_dir")


def _write_space(directory: pathlib.Path, dimensions: Sequence[Dimension]) -> None:
    files.write_json(directory / "space.json", _describe(dimensions))


def _describe(dimensions: Sequence[Dimension]) -> dict[str, Any]:
    return {d.name: {"kind": d.kind, "values": list(d.values)} for d in dimensions}


def _open_study(config: TrainingConfig, directory: pathlib.Path) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruner = {"none": optuna.pruners.NopPruner, "median": optuna.pruners.MedianPruner}
    return optuna.create_study(
        study_name="study",
        storage=f"sqlite:///{(directory / 'study.db').resolve()}",
        direction=_DIRECTIONS[optimization.MONITORS[config.monitor]],
        pruner=pruner[config.pruner](),
        load_if_exists=True,
    )


def _queue_grid(search: Search, goal: int) -> None:
    """Queues the first `goal` combinations; Optuna's GridSampler wants to end Optuna's own loop."""
    names = [dimension.name for dimension in search.dimensions]
    grid = itertools.product(*(dimension.grid or () for dimension in search.dimensions))
    for values in itertools.islice(grid, goal):
        search.study.enqueue_trial(dict(zip(names, values, strict=True)), skip_if_exists=True)


def _requeue(study: optuna.Study) -> None:
    """Queues the trials that were under way when the search was killed, in their own folders."""
    for trial in study.get_trials(states=[TrialState.RUNNING]):
        study.tell(trial.number, state=TrialState.FAIL)
        folder = trial.user_attrs.get("folder")
        if folder is not None:  # else it had drawn nothing yet
            study.enqueue_trial(trial.params, user_attrs={"folder": folder, "again": True})


def _run_trials(search: Search, goal: int, end: float) -> None:
    """Keeps --processes trials under way until all have ended; begins none after `end`."""
    jobs: list[Job] = []
    try:
        while True:
            while (
                len(jobs) < search.config.processes
                and _begun(search.study) < goal
                and time.monotonic() < end
            ):
                if (job := _start(search)) is not None:
                    jobs.append(job)
            if not jobs:
                break
            time.sleep(_POLL_SECONDS)
            jobs = [job for job in jobs if not _follow(search, job)]
    finally:
        for job in jobs:
            job.process.kill()
            job.process.wait()
    if (begun := _begun(search.study)) < goal:
        raise OutOfTime(
            f"--max_minutes={search.config.max_minutes:g} are over after {begun} of {goal} trials; "
            "give the same command again to go on"
        )


def _begun(study: optuna.Study) -> int:
    trials = study_page.counted(study)
    if sum(trial.state == TrialState.FAIL for trial in trials) >= MAX_FAILED:
        _check_success(study)
    return len(trials)


def _check_success(study: optuna.Study) -> None:
    """Makes sure that a trial has succeeded; else there is no best one."""
    trials = study_page.counted(study)
    failed = [trial for trial in trials if trial.state == TrialState.FAIL]
    if failed and not any(trial.state == TrialState.COMPLETE for trial in trials):
        raise CallerError(
            f"{len(failed)} trials failed and none succeeded; the last: "
            f"{failed[-1].user_attrs['error']}"
        )


def _start(search: Search) -> Job | None:
    """Draws a trial and starts its process; None if the configuration drawn is none."""
    study = search.study
    study.sampler = _make_sampler(search)
    trial = study.ask()
    drawn = {dimension.name: _suggest(trial, dimension) for dimension in search.dimensions}
    folder = trial.user_attrs.get("folder", f"{trial.number:03d}")
    trial.set_user_attr("folder", folder)
    directory = search.directory / "trials" / folder
    logging.info("trial %d in %s: %s", trial.number, directory, drawn)
    try:
        config = dataclasses.replace(
            space.apply(search.config, drawn),
            run_dir=str(directory),
            feature_dir=search.config.feature_dir or str(feature_cache.folder_of(search.directory)),
        )
    except CallerError as error:
        _fail(search, trial, str(error))
        return None
    directory.parent.mkdir(exist_ok=True)
    with directory.with_suffix(".log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "trainer.commands.tune_trial"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            # several processes share a GPU only if none takes all of its memory
            env={"TF_FORCE_GPU_ALLOW_GROWTH": "true", **os.environ},
        )
    assert process.stdin is not None
    process.stdin.write(json.dumps(config.to_json()).encode() + b"\n")
    process.stdin.flush()
    return Job(trial, process, directory)


def _make_sampler(search: Search) -> optuna.samplers.BaseSampler:
    """Makes the sampler of the next draw.

    Its seed is that of the search and the number of draws before, so that a search resumed again
    draws what it would have drawn.
    """
    bootstrap = sum("again" not in trial.user_attrs for trial in search.study.trials)
    seed = int(np.random.SeedSequence([search.config.seed, bootstrap]).generate_state(1)[0])
    if search.config.sampler == "tpe":
        return optuna.samplers.TPESampler(seed=seed)
    return optuna.samplers.RandomSampler(seed=seed)


def _suggest(trial: optuna.Trial, dimension: Dimension) -> Any:
    if dimension.kind == "choices":
        return trial.suggest_categorical(dimension.name, dimension.values)
    low, high = dimension.values
    suggest = trial.suggest_int if isinstance(low, int) else trial.suggest_float
    return suggest(dimension.name, low, high, log=dimension.kind == "log")


def _follow(search: Search, job: Job) -> bool:
    """Tells Optuna of new epochs and of the end; returns whether the trial has ended."""
    code = job.process.poll()  # before the history: what is written until the end is read
    history = checkpoints.read_history(job.directory / "history.csv")
    for row in history:
        epoch, score = int(row["epoch"]), float(row[search.config.monitor])
        if epoch <= job.epoch or not math.isfinite(score):
            continue
        job.epoch = epoch
        job.trial.report(score, epoch)
        if job.trial.should_prune():
            job.process.kill()
            job.process.wait()
            search.study.tell(job.trial, state=TrialState.PRUNED)
            return True
    if code is None:
        return False
    if code == 0:
        search.study.tell(job.trial, score_of(history, search.monitor))
    else:
        _fail(search, job.trial, _last_words(job.directory.with_suffix(".log"), code))
    return True


def score_of(history: Sequence[dict[str, str]], monitor: checkpoints.Monitor) -> float:
    """Returns the score of the model a run keeps: the best epoch of its last phase."""
    last = max(int(row["phase"]) for row in history)
    choose = {"min": min, "max": max}[monitor.mode]
    return choose(float(row[monitor.name]) for row in history if int(row["phase"]) == last)


def _fail(search: Search, trial: optuna.Trial, error: str) -> None:
    logging.warning("trial %d failed: %s", trial.number, error)
    trial.set_user_attr("error", error)
    search.study.tell(trial, state=TrialState.FAIL)


def _last_words(log: pathlib.Path, code: int) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    said = lines[-1].removeprefix("error: ") if lines else "nothing said"
    return f"killed by signal {-code}" if code < 0 else f"{said} (exit code {code}, {log})"


def _write_best(search: Search, best: optuna.trial.FrozenTrial) -> None:
    """Writes the flags of the best trial as far as they differ from the defaults."""
    config = space.apply(search.config, best.params)
    lines = [
        f"# Best of {search.directory}, trial {best.number}: {config.monitor} {best.value:.6g} "
        f"on the validation images (fold {config.fold}).",
        "# Chosen for that score, which is therefore too good; evaluate it on images it never saw.",
    ]
    plain = TrainingConfig()
    for name, value in config.to_json().items():
        if value != getattr(plain, name):
            switch = name if value else f"no{name}"
            lines.append(f"--{switch}" if isinstance(value, bool) else f"--{name}={value}")
    files.write_text(search.directory / "best.flags", "\n".join(lines) + "\n")
