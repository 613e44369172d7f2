"""Scores of a list of predictions, each with its interval over patients.

metrics = score(predictions, split="test", label_names=("benign", "malignant"))
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from flags.errors import CallerError
from trainer.predictions import Prediction
from trainer.scores import class_metrics, decisions, delong, levels, scoring, subgroups, two_classes
from trainer.scores.intervals import RESAMPLES, SEED, Draws
from trainer.scores.judged import Judged, class_columns

THRESHOLD = 0.5
"""Probability above which a film counts as label 1; like Keras's BinaryAccuracy, not at it."""


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

    Two classes have the figures in `two_classes.NAMES`; more have those of `class_metrics`. Beside
    them: the same of calibrated probabilities, at the threshold chosen on validation films, of
    breasts and patients, and of subgroups of films.

    Each figure is {"value", "low", "high"}. One that is not defined is all None and has
    "not_defined_because"; one without an interval has low and high None and
    "interval_not_defined_because".

    Args:
        predictions: the films of one split.
        split: its name.
        label_names: name of each class.
        ordinal: whether each class is above the one before; of more than two.
        threshold: probability above which a film counts as label 1, 0..1.
        resamples: how often patients are drawn with replacement, at least 1.
        seed: of the draws.

    Raises:
        CallerError: a prediction names another split.
    """
    check_split(predictions, split)
    films = Judged.of(predictions, label_names, ordinal=ordinal)
    draws = Draws(resamples, seed)
    answers = scoring.answers_of(films, threshold)
    cells = class_metrics.confusion_matrix(films.labels, answers, len(label_names))
    figures = scoring.score(films, draws, names=scoring.names_of(films), threshold=threshold)
    if not films.several:
        figures["auc"]["delong"] = delong.interval(films.labels, films.probabilities[:, 1])
    return {
        "split": split,
        "films": len(films.labels),
        **films.sizes(),
        **({"ordinal": ordinal} if films.several else {"threshold": threshold}),
        "majority_baseline": float(cells.sum(axis=1).max() / cells.sum()) if cells.any() else None,
        **figures,
        "confusion_matrix": cells.tolist(),
        "interval": str(draws),
        "predicts_one_class": bool(np.count_nonzero(cells.sum(axis=0)) == 1),
        "calibrated": _calibrated(predictions, films, draws),
        "chosen_threshold": _at_chosen_threshold(predictions, films, draws),
        "levels": levels.score(predictions, films, draws, threshold=threshold),
        "subgroups": subgroups.score(predictions, films, draws, threshold=threshold),
    }


def check_split(predictions: Sequence[Prediction], split: str) -> None:
    """Refuses predictions that name another split.

    Raises:
        CallerError: names the film.
    """
    for prediction in predictions:
        if prediction.split not in ("", split):
            raise CallerError(
                f"film {prediction.film_id!r} is of split {prediction.split!r}, wanted {split!r}; "
                "score one split at a time"
            )


def _calibrated(predictions: Sequence[Prediction], films: Judged, draws: Draws) -> dict[str, Any]:
    """Scores the calibrated probabilities as such, if every film has one."""
    of_films = [
        film.calibrated_probabilities if films.several else film.calibrated for film in predictions
    ]
    given = [one for one in of_films if one not in (None, ())]
    if not given or len(given) < len(of_films):
        return _lacking(len(of_films) - len(given), films, "calibrated probability")
    of_classes = np.array(given) if films.several else class_columns(np.array(given))
    calibrated = dataclasses.replace(films, probabilities=of_classes)
    names = [name for name in scoring.names_of(films) if name in scoring.CALIBRATION]
    return scoring.score(calibrated, draws, names=names, threshold=THRESHOLD)


def _at_chosen_threshold(
    predictions: Sequence[Prediction], films: Judged, draws: Draws
) -> dict[str, Any]:
    """Scores answers at the threshold that each film's own model chose on validation films."""
    if films.several:
        return {"not_defined_because": "a threshold parts two classes, here are more"}
    given = [film.threshold for film in predictions if film.threshold is not None]
    if not given or len(given) < len(predictions):
        return _lacking(len(predictions) - len(given), films, "threshold chosen on validation")
    called = films.probabilities[:, 1] > np.array(given)
    cells = class_metrics.confusion_matrix(films.labels, called.astype(np.int64), 2)
    return {
        "thresholds": sorted(set(given)),
        **two_classes.score(films, draws, names=decisions.NAMES, called=called),
        "confusion_matrix": cells.tolist(),
    }


def _lacking(count: int, films: Judged, what: str) -> dict[str, Any]:
    """Says what films lack."""
    if len(films.labels) == 0:
        return {"not_defined_because": films.lack()}
    return {"not_defined_because": f"{count} of {len(films.labels)} films have no {what}"}
