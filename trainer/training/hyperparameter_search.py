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
from optuna.trial import FrozenTrial, TrialState

from flags import optimization_config, search_space
from flags.search_space import Dimension
from flags.training_config import TrainingConfig
from records import files, printable
from records.errors import CallerError
from trainer.data import run_folder
from trainer.model import feature_cache
from trainer.training import checkpoints

BEST = "best.flags"
MAX_FAILED = 3
"""A search none of whose first trials succeeds is stopped after so many."""
_POLL_SECONDS = 0.5
_DIRECTIONS = {"min": StudyDirection.MINIMIZE, "max": StudyDirection.MAXIMIZE}


@dataclasses.dataclass
class Job:
    """A trial under way; `epoch` is the last one reported to Optuna."""

    trial: optuna.Trial
    process: subprocess.Popen[bytes]
    directory: pathlib.Path
    epoch: int = -1


@dataclasses.dataclass(frozen=True)
class Search:
    """A search under way.

    Attributes:
        config: of every trial but for the flags searched.
        dimensions: what is searched.
        directory: of the search.
        study: Optuna's.
        sampler: key of `flags.search_config.SAMPLERS`.
        processes: trials at a time.
    """

    config: TrainingConfig
    dimensions: tuple[Dimension, ...]
    directory: pathlib.Path
    study: optuna.Study
    sampler: str = "tpe"
    processes: int = 1

    @property
    def monitor(self) -> checkpoints.Monitor:
        """What the trials are ranked by, and whether less or more of it is better."""
        return checkpoints.Monitor(
            self.config.monitor, optimization_config.MONITORS[self.config.monitor]
        )


def count_trials(dimensions: Sequence[Dimension], *, trials: int, sampler: str) -> int:
    """Counts the trials to run; a grid may have fewer than --trials.

    Raises:
        CallerError: a grid over a range of numbers without end.
    """
    if sampler != "grid":
        return trials
    for dimension in dimensions:
        if dimension.grid is None:
            raise CallerError(
                f"--sampler=grid: {dimension.name} is a range of numbers without end; write its "
                "values one by one, or give --sampler=random"
            )
    return min(trials, math.prod(len(d.grid or ()) for d in dimensions))


def check_space(directory: pathlib.Path, dimensions: Sequence[Dimension]) -> None:
    """Makes sure that a folder holds no search of another space.

    Raises:
        CallerError: it does.
    """
    path = directory / "space.json"
    if path.is_file() and run_folder.read_json(path) != _describe(dimensions):
        raise CallerError(f"{directory} holds a search of another --space; give another --run_dir")


def write_space(directory: pathlib.Path, dimensions: Sequence[Dimension]) -> None:
    """Writes space.json, what is searched."""
    files.write_json(directory / "space.json", _describe(dimensions))


def _describe(dimensions: Sequence[Dimension]) -> dict[str, Any]:
    return {d.name: {"kind": d.kind, "values": list(d.values)} for d in dimensions}


def open_study(directory: pathlib.Path, *, monitor: str, pruner: str) -> optuna.Study:
    """Opens study.db of a search, or begins it.

    Args:
        directory: of the search.
        monitor: key of `flags.optimization_config.MONITORS`.
        pruner: key of `flags.search_config.PRUNERS`.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruners = {"none": optuna.pruners.NopPruner, "median": optuna.pruners.MedianPruner}
    return optuna.create_study(
        study_name="study",
        storage=f"sqlite:///{(directory / 'study.db').resolve()}",
        direction=_DIRECTIONS[optimization_config.MONITORS[monitor]],
        pruner=pruners[pruner](),
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


def counted(study: optuna.Study) -> list[FrozenTrial]:
    """Lists the trials begun, without those that were killed: they are done again as another."""
    return [
        trial
        for trial in study.trials
        if trial.state != TrialState.WAITING
        and (trial.state != TrialState.FAIL or "error" in trial.user_attrs)
    ]


def run_trials(search: Search, goal: int, *, end: float) -> int:
    """Keeps processes of trials under way until all have ended.

    Args:
        search: what to search.
        goal: trials to begin, with those begun before.
        end: of `time.monotonic`, after which none is begun.

    Returns:
        how many were begun.

    Raises:
        CallerError: no trial succeeds.
    """
    if search.sampler == "grid":
        _queue_grid(search, goal)
    _requeue(search.study)
    jobs: list[Job] = []
    try:
        while True:
            while (
                len(jobs) < search.processes
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
    begun = _begun(search.study)
    if begun >= goal:
        _check_success(search.study)
    return begun


def _begun(study: optuna.Study) -> int:
    trials = counted(study)
    if sum(trial.state == TrialState.FAIL for trial in trials) >= MAX_FAILED:
        _check_success(study)
    return len(trials)


def _check_success(study: optuna.Study) -> None:
    """Makes sure that a trial has succeeded; else there is no best one."""
    trials = counted(study)
    failed = [trial for trial in trials if trial.state == TrialState.FAIL]
    if failed and not any(trial.state == TrialState.COMPLETE for trial in trials):
        raise CallerError(
            f"{printable.counted(len(failed), 'trials')} failed and none succeeded; the last: "
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
            search_space.apply(search.config, drawn),
            run_dir=str(directory),
            feature_dir=search.config.feature_dir or str(feature_cache.folder_of(search.directory)),
        )
    except CallerError as error:
        _fail(search, trial, str(error))
        return None
    directory.parent.mkdir(exist_ok=True)
    with directory.with_suffix(".log").open("ab") as log:
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
    """Makes the sampler of the next trial.

    Its seed is that of the search and the number of draws before, so that a search resumed again
    draws what it would have drawn.
    """
    suggested = sum("again" not in trial.user_attrs for trial in search.study.trials)
    seed = int(np.random.SeedSequence([search.config.seed, suggested]).generate_state(1)[0])
    if search.sampler == "tpe":
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
            name = search.config.monitor
            logging.info("trial %d stopped early: %s %.4f", job.trial.number, name, score)
            return True
    if code is None:
        return False
    if code == 0:
        score = score_of(history, search.monitor)
        search.study.tell(job.trial, score)
        best, name = search.study.best_trial, search.config.monitor
        logging.info(
            "trial %d: %s %.4f; best: %.4f, trial %d",
            job.trial.number,
            name,
            score,
            best.value,
            best.number,
        )
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
    message = lines[-1].removeprefix("error: ") if lines else "no message"
    return f"killed by signal {-code}" if code < 0 else f"{message} (exit code {code}, {log})"


def write_best(search: Search) -> None:
    """Writes best.flags: those of the best trial as far as they differ from the defaults."""
    best = search.study.best_trial
    config = search_space.apply(search.config, best.params)
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
    files.write_text(search.directory / BEST, "\n".join(lines) + "\n")
