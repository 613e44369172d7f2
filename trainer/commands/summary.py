"""The last lines on the terminal: how fast a run was, its score and its report."""

from __future__ import annotations

import pathlib

from trainer.data import run_folder


def print_throughput(directory: pathlib.Path) -> None:
    """Prints how fast the training of a run was, where that was measured."""
    from trainer.training import throughput

    measured = run_folder.read_json(directory / "run.json").get("throughput")
    if measured:
        print(throughput.describe(measured))


def print_scores(directory: pathlib.Path) -> None:
    """Prints the score of a run folder with its interval, and where the report is."""
    scores = run_folder.read_json(directory / "metrics.json")
    auc = scores["auc"]
    if auc["value"] is None:
        score = f"not defined, {auc['not_defined_because']}"
    elif auc["low"] is None:
        score = f"{auc['value']:.3f} (no interval, {auc['interval_not_defined_because']})"
    else:
        score = f"{auc['value']:.3f} (95 % {auc['low']:.3f} to {auc['high']:.3f})"
    if scores["predicts_one_class"]:
        called = [sum(column) for column in zip(*scores["confusion_matrix"], strict=True)]
        name = list(scores["labels"])[called.index(max(called))]
        print(f"warning: the model predicts one class for every image: all images are {name}")
    name = "mean AUC of the classes" if len(scores["labels"]) > 2 else "AUC"
    print(
        f"{scores['split']} {name} {score} on {scores['images']} images "
        f"of {scores['patients']} patients; accuracy {scores['accuracy']['value']:.3f}, always the "
        f"larger class would have {scores['majority_baseline']:.3f}"
    )
    if "over_folds" in scores:
        folds = scores["over_folds"]["auc"]
        mean, sd = (_three(folds[key]) for key in ("mean", "sd"))
        print(f"mean of the folds' AUC {mean}, standard deviation {sd}, {folds['folds']} folds")
    print(f"report: {(directory / 'report.html').resolve()}")


def _three(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3f}"
