"""Metrics of breasts and of patients, each with one label and one prediction of its images.

levels = score(predictions, images, Bootstrap(), threshold=0.5)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trainer.metrics import scoring
from trainer.metrics.intervals import Bootstrap, Floats
from trainer.metrics.metric_table import of_kind
from trainer.metrics.metrics_json import Level, Scores
from trainer.metrics.prediction_arrays import PredictionArrays
from trainer.metrics.predictions import Prediction

UNITS = ("breast", "patient")
HOW = ("mean", "max")
"""Mean or largest probability of its images."""
NO_MAX = "the largest probability of each class do not add up to 1"


def score(
    predictions: Sequence[Prediction],
    images: PredictionArrays,
    bootstrap: Bootstrap,
    *,
    threshold: float,
) -> dict[str, Level]:
    """Scores breasts and patients, by mean and maximum of their images.

    They have all metrics but those of calibration: such a mean, and more so a maximum, is not the
    probability that any image is positive.

    Returns:
        By unit; what is not defined says why.
    """
    scored = {}
    for unit in UNITS if images.unit == "image" else UNITS[1:]:
        keys = keys_of(predictions, unit)
        if isinstance(keys, str):
            scored[unit] = Level(not_defined_because=keys)
            continue
        of_how = {
            how: _score(group(images, keys, unit=unit, how=how), bootstrap, threshold=threshold)
            if images.kind == "binary" or how == "mean"
            else Scores(not_defined_because=NO_MAX)
            for how in HOW
        }
        scored[unit] = Level(note(images, unit), of_how["mean"], of_how["max"])
    return scored


def _score(groups: PredictionArrays, bootstrap: Bootstrap, *, threshold: float) -> Scores:
    names = [one.key for one in of_kind(groups.kind) if not one.calibration]
    metrics = scoring.score(groups, bootstrap, names=names, threshold=threshold)
    return Scores(groups=len(groups.labels), **groups.sizes(), metrics=metrics)


def keys_of(predictions: Sequence[Prediction], unit: str) -> list[str] | str:
    """Names the breast or patient of each image, or the reason why that is not known."""
    if unit == "patient":
        return [image.patient_id for image in predictions]
    lacking = sum(not image.columns["side"] for image in predictions)
    if lacking:
        return f"{lacking} of {len(predictions)} images do not state their side"
    return [f"{image.patient_id}\n{image.columns['side']}" for image in predictions]


def note(evaluated: PredictionArrays, unit: str) -> str:
    """Writes how the label of a breast or patient follows from its images."""
    if evaluated.kind == "binary":
        return f"a {unit} is {evaluated.names[1]} if any of its {evaluated.unit}s is"
    if evaluated.ordinal:
        return f"a {unit} has the highest grade of its {evaluated.unit}s"
    return f"each {unit} whose {evaluated.unit}s are of several classes is left out"


def group(
    images: PredictionArrays, keys: Sequence[str], *, unit: str, how: str
) -> PredictionArrays:
    """Groups the images of each breast or patient.

    Two classes and grades: the highest label of its images. Classes without an order: those whose
    images agree.

    Args:
        images: to be put together.
        keys: [images], names of breasts or patients.
        unit: which of the two.
        how: mean or max of the probability of label 1; of several classes mean of each.
    """
    names, first, place = np.unique(np.array(keys, np.str_), return_index=True, return_inverse=True)
    highest, lowest = np.zeros(len(names), np.int64), np.full(len(names), len(images.names))
    np.maximum.at(highest, place, images.labels)
    np.minimum.at(lowest, place, images.labels)
    grouped = dataclasses.replace(
        images,
        labels=highest,
        probabilities=_combine(images.probabilities, place, len(names), how),
        patients=images.patients[first],
        unit=unit,
    )
    if images.kind == "classes":
        return dataclasses.replace(grouped.take(highest == lowest), whole=images.whole)
    return grouped


def _combine(probabilities: Floats, place: NDArray[np.intp], count: int, how: str) -> Floats:
    """Mean or max of the rows of probabilities that share a place 0..count-1."""
    if how == "max":
        assert probabilities.shape[1] == 2, probabilities.shape
        largest = np.zeros(count)
        np.maximum.at(largest, place, probabilities[:, 1])
        return np.stack([1 - largest, largest], axis=1)
    sums = np.zeros((count, probabilities.shape[1]))
    np.add.at(sums, place, probabilities)
    return sums / np.bincount(place, minlength=count)[:, None]
