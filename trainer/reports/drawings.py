"""Plots of a report, with their alternative texts: metrics, predictions and history -> SVG."""

from __future__ import annotations

import csv
import itertools
import pathlib
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from records.errors import CallerError
from records.printable import counted
from trainer.metrics import curves
from trainer.metrics.called_class import THRESHOLD
from trainer.metrics.intervals import Floats
from trainer.metrics.metrics_json import Metrics
from trainer.metrics.prediction_arrays import PredictionArrays
from trainer.metrics.predictions import Prediction
from trainer.reports import metric_plots, svg
from trainer.reports.findings import name_thresholds, percent

MEASURES = {"Loss": "loss", "AUC": "auc", "Accuracy": "accuracy"}
"""Title of a training curve -> column of history.csv; the validation's has val_ before it."""

Drawings = dict[str, Markup | None]


def of_scores(scores: Metrics, images: Sequence[Prediction], names: Sequence[str]) -> Drawings:
    """Draws roc, precision_recall, histogram, reliability and calibrated; None what can't be."""
    drawings: Drawings = dict.fromkeys(
        ("roc", "precision_recall", "histogram", "reliability", "calibrated")
    )
    if not images:
        return drawings
    if len(names) > 2:
        return drawings | _of_classes(scores, images, names)
    return drawings | _of_two_classes(scores, images, names)


def _of_two_classes(
    scores: Metrics, images: Sequence[Prediction], names: Sequence[str]
) -> Drawings:
    evaluated = PredictionArrays.of(images, names)
    labels, probabilities = evaluated.labels, evaluated.probabilities[:, 1]
    histogram = svg.histogram(
        labels,
        probabilities,
        names=names,
        threshold=THRESHOLD if scores.threshold is None else scores.threshold,
        alt=f"Histograms of the probability of {names[1]}: {(labels == 0).sum()} images "
        f"that are {names[0]}, {(labels == 1).sum()} that are {names[1]}.",
    )
    drawn: Drawings = {"histogram": Markup(histogram)}
    about = f"the probability of {names[1]}", f"images that are {names[1]}"
    if scores["calibration_error"].value is not None:
        columns = {"reliability": probabilities, "calibrated": _calibrated(images)}
        for name, column in columns.items():
            if column is not None:
                drawn[name] = _reliability(name, labels == 1, column, evaluated.patients, about)
    return drawn if scores["auc"].value is None else drawn | _curves(scores, evaluated)


def _curves(scores: Metrics, evaluated: PredictionArrays) -> Drawings:
    """Draws ROC and precision-recall curve of two classes, with the thresholds on them."""
    labels, positive = evaluated.labels, evaluated.names[1]
    patients = evaluated.patients if scores["auc"].interval else None
    columns = labels, evaluated.probabilities[:, 1], patients
    false_alarms = {
        name: (1 - specificity, recall)
        for name, (specificity, recall) in _points(scores, "specificity", "recall").items()
    }
    roc = metric_plots.roc(
        *columns,
        points=false_alarms,
        alt=f"ROC curve of {len(labels)} images, area {scores['auc'].value:.3f}.",
    )
    precision_recall = metric_plots.precision_recall(
        *columns,
        points=_points(scores, "recall", "precision"),
        alt=f"Precision over recall of {len(labels)} images; "
        f"{percent(float(labels.mean()))} of the images are {positive}.",
    )
    return {"roc": Markup(roc), "precision_recall": Markup(precision_recall)}


def _calibrated(images: Sequence[Prediction]) -> Floats | None:
    """Takes the calibrated probabilities [images], if all have one."""
    given = [image.calibrated for image in images if image.calibrated is not None]
    return np.array(given, np.float64) if len(given) == len(images) else None


def _points(scores: Metrics, across: str, up: str) -> dict[str, tuple[float, float]]:
    """Places the thresholds on a curve, by two metrics, where both are defined."""
    metrics = {f"threshold {scores.threshold:g}": scores.metrics}
    chosen = scores.chosen_threshold
    if chosen and chosen.thresholds:
        metrics[f"chosen {name_thresholds(chosen.thresholds)}"] = chosen.metrics
    return {
        name: (x, y)
        for name, at in metrics.items()
        if (x := at[across].value) is not None and (y := at[up].value) is not None
    }


def _of_classes(scores: Metrics, images: Sequence[Prediction], names: Sequence[str]) -> Drawings:
    """Draws the same of more than two classes: each against the rest, and their reliability."""
    evaluated = PredictionArrays.of(images, names)
    labels, of_classes, patients = evaluated.labels, evaluated.probabilities, evaluated.patients
    said = f"of {', '.join(names)}, each against the rest, of {len(images)} images."
    drawn: Drawings = {
        "roc": Markup(
            metric_plots.of_classes(
                "roc", labels, of_classes, names=names, alt=f"ROC curves {said}"
            )
        ),
        "precision_recall": Markup(
            metric_plots.of_classes(
                "pr", labels, of_classes, names=names, alt=f"Precision over recall {said}"
            )
        ),
        "histogram": Markup(
            svg.histogram_of_classes(
                labels,
                of_classes,
                names=names,
                alt="Histograms of the probability of the true class: "
                + ", ".join(f"{(labels == n).sum()} images {name}" for n, name in enumerate(names)),
            )
        ),
    }
    if scores["calibration_error"].value is None:
        return drawn
    after = np.array([image.calibrated_probabilities for image in images])
    for name, rows in (("reliability", of_classes), ("calibrated", after)):
        if rows.size:
            right = rows.argmax(axis=1) == labels
            about = (
                "the probability of the likeliest class",
                "images whose likeliest class is right",
            )
            drawn[name] = _reliability(name, right, rows.max(axis=1), patients, about)
    return drawn


def _reliability(
    name: str,
    truth: NDArray[np.bool_],
    probabilities: Floats,
    patients: NDArray[np.str_],
    about: tuple[str, str],
) -> Markup:
    """Draws a reliability diagram; `about` says what is predicted and what is counted."""
    bins = curves.reliability(truth, probabilities, patients)
    listed = "; ".join(
        f"{counted(one.images, 'images')} at {percent(one.start)} to {percent(one.end)}: "
        f"{percent(one.fraction)}"
        for one in bins
    )
    alt = f"{about[0].capitalize()} and the fraction of {about[1]}: {listed}."
    labels = about[0].removeprefix("the "), f"fraction of {about[1]}"
    return Markup(metric_plots.reliability(bins, name=name, labels=labels, alt=alt))


def of_training(path: pathlib.Path) -> list[Markup]:
    """Draws each measure of history.csv over the epochs; none if no epoch was trained.

    Raises:
        CallerError: there is no such file, or a value is no number.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError:
        raise CallerError(f"{path} does not exist; --run wants a finished run") from None
    if not rows:
        return []
    epochs = _column(path, rows, "epoch")
    changes = [
        (epochs[index] + epochs[index + 1]) / 2
        for index, (row, after) in enumerate(itertools.pairwise(rows))
        if row.get("phase") != after.get("phase")
    ]
    drawings = []
    for title, column in MEASURES.items():
        training, validation = (_column(path, rows, name) for name in (column, f"val_{column}"))
        last = (
            "not stated" if np.isnan(one[-1]) else f"{one[-1]:.3f}"
            for one in (training, validation)
        )
        alt = (
            "{} over {} epochs; at the last {} on training images, {} on validation images.".format(
                title, len(rows), *last
            )
        )
        drawing = svg.curve(
            title,
            epochs=epochs,
            training=training,
            validation=validation,
            boundaries=changes,
            alt=alt,
        )
        drawings.append(Markup(drawing))
    return drawings


def _column(path: pathlib.Path, rows: Sequence[dict[str, str]], name: str) -> Floats:
    """Reads a column [epochs] of history.csv, NaN where it is empty."""
    if name not in rows[0]:
        raise CallerError(f"{path} lacks column {name!r}; train the run again")
    try:
        return np.array([float(row[name] or "nan") for row in rows])
    except (ValueError, TypeError) as error:  # TypeError: the row is too short
        raise CallerError(f"{path}, column {name!r}, is not all numbers: {error}") from error
