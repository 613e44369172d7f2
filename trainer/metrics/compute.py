"""Metrics of a list of predictions, each with its interval over patients: metrics.json.

metrics = score(predictions, split="test", label_names=("benign", "malignant"))
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from records.errors import CallerError
from trainer.metrics import levels, metric_table, multiclass, scoring, significance, subgroups
from trainer.metrics.called_class import THRESHOLD, called_classes
from trainer.metrics.intervals import RESAMPLES, SEED, Bootstrap
from trainer.metrics.metrics_json import Metrics, Scores
from trainer.metrics.prediction_arrays import PredictionArrays
from trainer.metrics.predictions import Labels, Prediction


def score(
    predictions: Sequence[Prediction],
    *,
    split: str,
    label_names: Sequence[str],
    ordinal: bool = False,
    threshold: float = THRESHOLD,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Metrics:
    """Computes the content of metrics.json.

    Its metrics are those of `metric_table.keys`. Beside them: the same of calibrated
    probabilities, at the threshold chosen on validation images, of breasts and patients, and of
    subgroups of images.

    Args:
        predictions: the images of one split.
        split: its name.
        label_names: name of each class.
        ordinal: whether each class is above the one before; of more than two.
        threshold: probability above which an image counts as label 1, 0..1.
        resamples: how often patients are resampled with replacement, at least 1.
        seed: of the resamples.

    Raises:
        CallerError: a prediction names another split.
    """
    check_split(predictions, split)
    images = PredictionArrays.of(predictions, label_names, ordinal=ordinal)
    bootstrap = Bootstrap(resamples, seed)
    called = called_classes(images.probabilities, threshold=threshold, ordinal=ordinal)
    cells = multiclass.confusion_matrix(images.labels, called, len(label_names))
    names = metric_table.keys(images.kind)
    metrics = scoring.score(images, bootstrap, names=names, threshold=threshold)
    two = images.kind == "binary"
    if two:
        positive = images.probabilities[:, 1]
        delong = significance.delong_interval(images.labels, positive)
        metrics["auc"] = dataclasses.replace(metrics["auc"], delong=delong)
    return Metrics(
        split=split,
        images=len(images.labels),
        unit=images.unit,
        **images.sizes(),
        threshold=threshold if two else None,
        ordinal=None if two else ordinal,
        majority_baseline=float(cells.sum(axis=1).max() / cells.sum()) if cells.any() else None,
        metrics=metrics,
        confusion_matrix=_as_rows(cells),
        interval=str(bootstrap),
        predicts_one_class=bool(np.count_nonzero(cells.sum(axis=0)) == 1),
        calibrated=_calibrated(predictions, images, bootstrap),
        chosen_threshold=_at_chosen_threshold(predictions, images, bootstrap),
        levels=levels.score(predictions, images, bootstrap, threshold=threshold),
        subgroups=subgroups.score(predictions, images, bootstrap, threshold=threshold),
    )


def check_split(predictions: Sequence[Prediction], split: str) -> None:
    """Refuses predictions that name another split.

    Raises:
        CallerError: names the image.
    """
    for prediction in predictions:
        if prediction.split not in ("", split):
            raise CallerError(
                f"image {prediction.image_id!r} is of split {prediction.split!r}, wanted "
                f"{split!r}; score one split at a time"
            )


def _calibrated(
    predictions: Sequence[Prediction], images: PredictionArrays, bootstrap: Bootstrap
) -> Scores:
    """Scores the calibrated probabilities as such, if every image has one."""
    given = [row for image in predictions if (row := image.calibrated_probabilities)]
    if not given or len(given) < len(predictions):
        return _lacking(len(predictions) - len(given), images, "calibrated probability")
    calibrated = dataclasses.replace(images, probabilities=np.array(given))
    names = [metric.key for metric in metric_table.of_kind(images.kind) if metric.calibration]
    metrics = scoring.score(calibrated, bootstrap, names=names, threshold=THRESHOLD)
    return Scores(metrics=metrics)


def _at_chosen_threshold(
    predictions: Sequence[Prediction], images: PredictionArrays, bootstrap: Bootstrap
) -> Scores:
    """Scores decisions at the threshold that each image's own model chose on validation images."""
    if images.kind != "binary":
        return Scores(not_defined_because="a threshold parts two classes, here are more")
    given = [image.threshold for image in predictions if image.threshold is not None]
    if not given or len(given) < len(predictions):
        return _lacking(len(predictions) - len(given), images, "threshold chosen on validation")
    thresholds = np.array(given)
    called = called_classes(images.probabilities, threshold=thresholds)
    names = metric_table.keys(images.kind, section="decisions")
    return Scores(
        thresholds=tuple(sorted(set(given))),
        metrics=scoring.score(images, bootstrap, names=names, threshold=thresholds),
        confusion_matrix=_as_rows(multiclass.confusion_matrix(images.labels, called, 2)),
    )


def _lacking(count: int, images: PredictionArrays, what: str) -> Scores:
    """Scores that are not defined, with the reason: images lack something."""
    if len(images.labels) == 0:
        return Scores(not_defined_because=str(images.lack()))
    return Scores(not_defined_because=f"{count} of {len(images.labels)} images have no {what}")


def _as_rows(cells: Labels) -> tuple[tuple[int, ...], ...]:
    return tuple(map(tuple, cells.tolist()))
