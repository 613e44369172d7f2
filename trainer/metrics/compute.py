"""Scores of a list of predictions, each with its interval over patients.

metrics = score(predictions, split="test", label_names=("benign", "malignant"))
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from records.errors import CallerError
from trainer.metrics import binary, decisions, delong, levels, multiclass, scoring, subgroups
from trainer.metrics.intervals import RESAMPLES, SEED, Bootstrap
from trainer.metrics.prediction_arrays import PredictionArrays, class_columns
from trainer.metrics.predictions import Prediction

THRESHOLD = 0.5
"""Probability above which an image counts as label 1; like Keras's BinaryAccuracy, not at it."""


def score(
    predictions: Sequence[Prediction],
    *,
    split: str,
    label_names: Sequence[str],
    ordinal: bool = False,
    threshold: float = THRESHOLD,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> dict[str, Any]:
    """Computes the content of metrics.json: plain numbers, texts and None, never NaN.

    Two classes have the metrics in `two_classes.NAMES`; more have those of `class_metrics`. Beside
    them: the same of calibrated probabilities, at the threshold chosen on validation images, of
    breasts and patients, and of subgroups of images.

    Each metric is {"value", "low", "high"}. One that is not defined is all None and has
    "not_defined_because"; one without an interval has low and high None and
    "interval_not_defined_because".

    Args:
        predictions: the images of one split.
        split: its name.
        label_names: name of each class.
        ordinal: whether each class is above the one before; of more than two.
        threshold: probability above which an image counts as label 1, 0..1.
        resamples: how often patients are drawn with replacement, at least 1.
        seed: of the draws.

    Raises:
        CallerError: a prediction names another split.
    """
    check_split(predictions, split)
    images = PredictionArrays.of(predictions, label_names, ordinal=ordinal)
    bootstrap = Bootstrap(resamples, seed)
    answers = scoring.answers_of(images, threshold)
    cells = multiclass.confusion_matrix(images.labels, answers, len(label_names))
    metrics = scoring.score(images, bootstrap, names=scoring.names_of(images), threshold=threshold)
    if not images.several:
        metrics["auc"]["delong"] = delong.interval(images.labels, images.probabilities[:, 1])
    return {
        "split": split,
        "images": len(images.labels),
        **images.sizes(),
        **({"ordinal": ordinal} if images.several else {"threshold": threshold}),
        "majority_baseline": float(cells.sum(axis=1).max() / cells.sum()) if cells.any() else None,
        **metrics,
        "confusion_matrix": cells.tolist(),
        "interval": str(bootstrap),
        "predicts_one_class": bool(np.count_nonzero(cells.sum(axis=0)) == 1),
        "calibrated": _calibrated(predictions, images, bootstrap),
        "chosen_threshold": _at_chosen_threshold(predictions, images, bootstrap),
        "levels": levels.score(predictions, images, bootstrap, threshold=threshold),
        "subgroups": subgroups.score(predictions, images, bootstrap, threshold=threshold),
    }


def check_split(predictions: Sequence[Prediction], split: str) -> None:
    """Refuses predictions that name another split.

    Raises:
        CallerError: names the image.
    """
    for prediction in predictions:
        if prediction.split not in ("", split):
            raise CallerError(
                f"image {prediction.image_id!r} is of split {prediction.split!r}, wanted "
                f"{split!r}; "
                "score one split at a time"
            )


def _calibrated(
    predictions: Sequence[Prediction], images: PredictionArrays, bootstrap: Bootstrap
) -> dict[str, Any]:
    """Scores the calibrated probabilities as such, if every image has one."""
    of_images = [
        image.calibrated_probabilities if images.several else image.calibrated
        for image in predictions
    ]
    given = [one for one in of_images if one not in (None, ())]
    if not given or len(given) < len(of_images):
        return _lacking(len(of_images) - len(given), images, "calibrated probability")
    of_classes = np.array(given) if images.several else class_columns(np.array(given))
    calibrated = dataclasses.replace(images, probabilities=of_classes)
    names = [name for name in scoring.names_of(images) if name in scoring.CALIBRATION]
    return scoring.score(calibrated, bootstrap, names=names, threshold=THRESHOLD)


def _at_chosen_threshold(
    predictions: Sequence[Prediction], images: PredictionArrays, bootstrap: Bootstrap
) -> dict[str, Any]:
    """Scores answers at the threshold that each image's own model chose on validation images."""
    if images.several:
        return {"not_defined_because": "a threshold parts two classes, here are more"}
    given = [image.threshold for image in predictions if image.threshold is not None]
    if not given or len(given) < len(predictions):
        return _lacking(len(predictions) - len(given), images, "threshold chosen on validation")
    called = images.probabilities[:, 1] > np.array(given)
    cells = multiclass.confusion_matrix(images.labels, called.astype(np.int64), 2)
    return {
        "thresholds": sorted(set(given)),
        **binary.score(images, bootstrap, names=decisions.NAMES, called=called),
        "confusion_matrix": cells.tolist(),
    }


def _lacking(count: int, images: PredictionArrays, what: str) -> dict[str, Any]:
    """Says what images lack."""
    if len(images.labels) == 0:
        return {"not_defined_because": images.lack()}
    return {"not_defined_because": f"{count} of {len(images.labels)} images have no {what}"}
