"""Breasts and patients made of their films: one truth and one answer each.

levels = score(predictions, films, Draws(), threshold=0.5)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.predictions import Prediction
from trainer.scores import scoring
from trainer.scores.intervals import Draws, Floats
from trainer.scores.judged import Judged, class_columns

UNITS = ("breast", "patient")
HOW = ("mean", "max")
"""Mean or largest probability of its films."""


def score(
    predictions: Sequence[Prediction], films: Judged, draws: Draws, *, threshold: float
) -> dict[str, dict[str, Any]]:
    """Scores breasts and patients, by mean and maximum of their films.

    They have all figures but those of calibration: such a mean, and more so a maximum, is not the
    probability that any film is positive.

    Args:
        predictions: the films.
        films: the same as columns.
        draws: how patients are drawn.
        threshold: probability above which label 1 is called.

    Returns:
        {"breast": {"note", "mean": {"groups", "patients", "labels", figures}, "max": ...},
        "patient": ...}; "not_defined_because" in the place of what can't be told.
    """
    scored: dict[str, dict[str, Any]] = {}
    for unit in UNITS:
        keys = keys_of(predictions, unit)
        if isinstance(keys, str):
            scored[unit] = {"not_defined_because": keys}
            continue
        scored[unit] = {"note": note(films, unit)}
        for how in HOW:
            if films.several and how == "max":
                reason = "the largest probability of each class do not add up to 1"
                scored[unit][how] = {"not_defined_because": reason}
                continue
            groups = group(films, keys, unit=unit, how=how)
            names = [name for name in scoring.names_of(films) if name not in scoring.CALIBRATION]
            scored[unit][how] = {
                "groups": len(groups.labels),
                **groups.sizes(),
                **scoring.score(groups, draws, names=names, threshold=threshold),
            }
    return scored


def keys_of(predictions: Sequence[Prediction], unit: str) -> list[str] | str:
    """Says which breast or patient each film shows, or why that is not known."""
    if unit == "patient":
        return [film.patient_id for film in predictions]
    lacking = sum(not film.side for film in predictions)
    if lacking:
        return f"{lacking} of {len(predictions)} films do not state their side"
    return [f"{film.patient_id}\n{film.side}" for film in predictions]


def note(judged: Judged, unit: str) -> str:
    """Says how the label of a breast or patient follows from its films."""
    if not judged.several:
        return f"a {unit} is {judged.names[1]} if any of its films is"
    if judged.ordinal:
        return f"a {unit} has the highest grade of its films"
    return f"each {unit} whose films are of several classes is left out"


def group(films: Judged, keys: Sequence[str], *, unit: str, how: str) -> Judged:
    """Puts films of one breast or patient together.

    Two classes and grades: the highest label of its films. Classes without an order: those whose
    films agree.

    Args:
        films: to be put together.
        keys: [films], names of breasts or patients.
        unit: which of the two.
        how: mean or max of the probability of label 1; of several classes mean of each.
    """
    names, first, place = np.unique(np.array(keys, np.str_), return_index=True, return_inverse=True)
    highest, lowest = np.zeros(len(names), np.int64), np.full(len(names), len(films.names))
    np.maximum.at(highest, place, films.labels)
    np.minimum.at(lowest, place, films.labels)
    grouped = dataclasses.replace(
        films,
        labels=highest,
        probabilities=_combine(films.probabilities, place, len(names), how),
        patients=films.patients[first],
        unit=unit,
    )
    if films.several and not films.ordinal:
        return dataclasses.replace(grouped.take(highest == lowest), whole=films.whole)
    return grouped


def _combine(probabilities: Floats, place: NDArray[np.intp], count: int, how: str) -> Floats:
    """Mean or max of the rows of probabilities that share a place 0..count-1."""
    if how == "max":
        assert probabilities.shape[1] == 2, probabilities.shape
        largest = np.zeros(count)
        np.maximum.at(largest, place, probabilities[:, 1])
        return class_columns(largest)
    sums = np.zeros((count, probabilities.shape[1]))
    np.add.at(sums, place, probabilities)
    return sums / np.bincount(place, minlength=count)[:, None]
