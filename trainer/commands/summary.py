"""The last lines on the terminal of a verb that evaluates: the score of a run and its report."""

from __future__ import annotations

import pathlib

from trainer.data import run_folder
from trainer.evaluation import discrimination


def print_scores(directory: pathlib.Path) -> None:
    """Prints the score of a run folder with its interval, and where the report is."""
    scores = run_folder.read_metrics(directory)
    for warning in discrimination.warn(scores):
        print(f"warning: {warning}")
    print(
        f"{discrimination.describe(scores)}; accuracy {_three(scores['accuracy'].value)}, always "
        f"the larger class would have {_three(scores.majority_baseline)}"
    )
    if scores.over_folds:
        folds = scores.over_folds["auc"]
        mean, sd = _three(folds.mean), _three(folds.sd)
        print(f"mean of the folds' AUC {mean}, standard deviation {sd}, {folds.folds} folds")
    print(f"report: {(directory / 'report.html').resolve()}")


def _three(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3f}"
