"""The report of a run: metrics.json, predictions and run.json -> report.html, one page.

path = write(run_dir)    # reads run_dir's files, writes run_dir/report.html
path = rescore(run_dir)  # the same, after metrics.json was computed anew from predictions.csv
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence

import jinja2
import numpy as np

from flags import datasets, own_base
from flags.network_config import BASES
from flags.targets import TARGETS
from records import files
from records.errors import CallerError
from trainer.data import run_folder
from trainer.data.run_json import FoldDescription, RunDescription
from trainer.evaluation import calibration
from trainer.metrics import compute, metric_table, multiclass, over_folds, predictions, typed_json
from trainer.metrics.called_class import THRESHOLD, called_classes
from trainer.metrics.metrics_json import Metrics, OverFolds
from trainer.metrics.prediction_arrays import PredictionArrays
from trainer.metrics.predictions import Prediction
from trainer.reports import drawings, findings, gallery, template

TEMPLATE = "report.html.j2"


def rescore(run_dir: pathlib.Path) -> pathlib.Path:
    """Computes metrics.json anew from predictions.csv, and writes the report.

    The folds of a cross-validation that are still there get the same.

    Returns:
        Path of the report.

    Raises:
        CallerError: a file is missing, lacks a value, or does not belong to the others.
    """
    run = run_folder.read_description(run_dir)
    images = predictions.read(run_dir / "predictions.csv")
    splits = {image.split for image in images}
    if len(splits) != 1:
        raise CallerError(
            f"{run_dir / 'predictions.csv'} holds images of {len(splits)} splits, wanted one; "
            "evaluate the run again"
        )
    scores = compute.score(
        images, split=splits.pop() or "test", label_names=run.label_names, ordinal=run.ordinal
    )
    if run.folds:
        over_folds = _rescore_folds(run_dir, run, run.folds, images)
        scores = dataclasses.replace(scores, over_folds=over_folds)
    with files.keeping(run_dir, run_folder.EVALUATION):
        run_folder.write_metrics(run_dir, scores)
        return write(run_dir)


def _rescore_folds(
    run_dir: pathlib.Path,
    run: RunDescription,
    folds: Sequence[FoldDescription],
    images: Sequence[Prediction],
) -> dict[str, OverFolds]:
    """Does the same for the folds that are there; puts their scores and images into the whole.

    Returns:
        metrics.json's "over_folds".
    """
    folders = [run_dir / fold.run for fold in folds]
    there = [folder for folder in folders if (folder / "predictions.csv").is_file()]
    rescored = {}
    for folder in there:
        rescore(folder)
        rescored[folder.name] = typed_json.to_json(run_folder.read_metrics(folder))
    folds = [
        dataclasses.replace(fold, metrics=rescored.get(fold.run, fold.metrics)) for fold in folds
    ]
    if there == folders:
        gallery.gather(run_dir, folders, images, ordinal=run.ordinal)
    run_folder.write_description(run_dir, dataclasses.replace(run, folds=tuple(folds)))
    return over_folds.summarise(_metrics_of_folds(run_dir, folds))


def _metrics_of_folds(run_dir: pathlib.Path, folds: Sequence[FoldDescription]) -> list[Metrics]:
    """Reads what run.json holds of the metrics of each fold of a cross-validation."""
    remedy = "give the command that began it again"
    return [
        typed_json.from_json(
            Metrics, fold.metrics, path=run_dir / run_folder.RUN, remedy=remedy, within="metrics."
        )
        for fold in folds
    ]


def write(run_dir: pathlib.Path) -> pathlib.Path:
    """Writes run_dir/report.html from the other files of the run, the same bytes for the same ones.

    It reads config.json, run.json, predictions.csv, metrics.json, and history.csv of what was
    trained in this folder; calibration.json and images/ where they are there.

    Args:
        run_dir: folder of a finished run.

    Returns:
        Path of the report.

    Raises:
        CallerError: a file is missing, lacks a value, or does not belong to the others.
    """
    scores = run_folder.read_metrics(run_dir, whole=True)
    run = run_folder.read_description(run_dir)
    images = predictions.read(run_dir / "predictions.csv")
    try:
        names = run.label_names
        mine = [image for image in images if image.split in ("", scores.split)]
        _check_same_images(run_dir, scores, mine)
        trained_here = not (run.folds or run.members)
        text = template.read(TEMPLATE).render(
            run=run,
            config=run_folder.read_json(run_dir / "config.json"),
            metrics=scores,
            metrics_of_folds=_metrics_of_folds(run_dir, run.folds or ()),
            names=names,
            bases=BASES,
            short_name=own_base.short_name,
            datasets=datasets,
            targets=TARGETS,
            calibration=calibration.read(run_dir),
            no_threshold=calibration.why_no_threshold(run_dir, run.folds),
            findings=findings.describe(scores, names) if mine else [],
            curves=drawings.of_training(run_dir / "history.csv") if trained_here else [],
            images=gallery.read(run_dir),
            official=run.dataset not in datasets.DATASETS
            or run.dataset == "table"
            or datasets.DATASETS[run.dataset].official_split,
            picture=lambda name: gallery.data_uri(run_dir / gallery.FOLDER / name),
            several=len(names) > 2,
            kind=scores.kind,
            table=metric_table,
            drawings=drawings.of_scores(scores, mine, names),
            **_commonest(scores, names),
        )
    except jinja2.UndefinedError as error:
        raise CallerError(
            f"the files of {run_dir} lack a value the report needs: {error}; "
            f"write them anew with python -m trainer evaluate --run={run_dir}"
        ) from error
    files.write_text(run_dir / "report.html", text)
    return run_dir / "report.html"


def _check_same_images(
    run_dir: pathlib.Path, scores: Metrics, images: Sequence[Prediction]
) -> None:
    """Refuses scores that were not computed from these predictions."""
    evaluated = PredictionArrays.of(images, list(scores.labels), ordinal=bool(scores.ordinal))
    called = called_classes(
        evaluated.probabilities,
        threshold=THRESHOLD if scores.threshold is None else scores.threshold,
        ordinal=evaluated.ordinal,
    )
    cells = multiclass.confusion_matrix(evaluated.labels, called, len(evaluated.names))
    stated = [list(row) for row in scores.confusion_matrix]
    if cells.tolist() != stated:
        raise CallerError(
            f"{run_dir}/metrics.json has confusion matrix {stated}, but "
            f"predictions.csv gives {cells.tolist()} for split {scores.split!r}; "
            f"score them again with python -m trainer report --run={run_dir}"
        )


def _commonest(scores: Metrics, names: Sequence[str]) -> dict[str, str]:
    """Names the class most images are of, and the one most are called; the first of equals."""
    cells = np.array(scores.confusion_matrix)
    majority, called = (names[int(cells.sum(axis=axis).argmax())] for axis in (1, 0))
    return {"majority": majority, "called": called}
