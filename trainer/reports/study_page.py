"""The results page of a search: study and trials -> study.html.

path = write(directory, study, dimensions, monitor="val_loss")
"""

from __future__ import annotations

import datetime
import pathlib
from collections.abc import Sequence
from typing import Any

import optuna
from markupsafe import Markup
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState

from flags.search_space import Dimension
from records import files
from trainer.data import run_folder
from trainer.reports import study_plots, template
from trainer.training import checkpoints, hyperparameter_search

FILE = "study.html"
STATES = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "stopped early",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "under way",
}


def write(
    directory: pathlib.Path,
    study: optuna.Study,
    dimensions: Sequence[Dimension],
    *,
    monitor: str,
) -> pathlib.Path:
    """Writes study.html from the study and the run folders of its trials."""
    trials = hyperparameter_search.counted(study)
    finished = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    minimize = study.direction == optuna.study.StudyDirection.MINIMIZE
    best = study.best_trial
    page = template.read("study.html.j2").render(
        directory=directory.name,
        run=run_folder.read_description(directory / "trials" / best.user_attrs["folder"]),
        config=run_folder.read_json(directory / "config.json"),
        monitor=monitor,
        finished=max(filter(None, (trial.datetime_complete for trial in finished)))
        .astimezone(datetime.timezone.utc)
        .isoformat(),
        better="lower" if minimize else "higher",
        dimensions=dimensions,
        best=best,
        trials=[
            _row(directory, trial, monitor)
            for trial in sorted(
                trials,
                key=lambda t: (
                    t.state != TrialState.COMPLETE,
                    (t.value if minimize else -t.value) if t.value is not None else 0,
                    t.number,
                ),
            )
        ],
        history=Markup(study_plots.history(finished, monitor=monitor, minimize=minimize)),
        importance=_importance(study, finished),
        slices=[
            Markup(study_plots.slice_of(finished, dimension, monitor=monitor))
            for dimension in dimensions
        ],
    )
    files.write_text(directory / FILE, page)
    return directory / FILE


def _row(directory: pathlib.Path, trial: FrozenTrial, monitor: str) -> dict[str, Any]:
    folder = pathlib.Path("trials") / trial.user_attrs.get("folder", "")
    history = checkpoints.read_history(directory / folder / "history.csv")
    return {
        "number": trial.number,
        "state": STATES[trial.state],
        "score": trial.value if trial.state == TrialState.COMPLETE else None,
        "params": trial.params,
        "epochs": len(history),
        "minutes": sum(float(row["seconds"]) for row in history) / 60,
        "error": trial.user_attrs.get("error", ""),
        "folder": folder.as_posix(),
    }


def _importance(study: optuna.Study, finished: Sequence[FrozenTrial]) -> Markup | None:
    """Draws the fraction of the scores' variance that each flag explains; None if there is none.

    fANOVA on a random forest: Hutter, Hoos & Leyton-Brown, An efficient approach for assessing
    hyperparameter importance, ICML 2014.
    """
    if len({trial.value for trial in finished}) < 2:
        return None
    fractions = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
    return Markup(study_plots.importance(fractions))
