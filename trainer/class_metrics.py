"""Scores of predictions of more than two classes, each with its interval over patients.

metrics = score(predictions, split="test", label_names=("A", "B", "C", "D"), ordinal=True)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.intervals import (
    RESAMPLES,
    SEED,
    Floats,
    figure,
    ratio,
    resample,
    undefined,
    weights_by_score,
)
from trainer.predictions import Prediction

NAMES = ("auc", "accuracy", "balanced_accuracy", "macro_f1")
ORDINAL_NAMES = (*NAMES, "kappa")
"""kappa: Cohen, Weighted kappa, Psychological Bulletin 70, 1968, with squared distances."""

Labels = NDArray[np.int64]


def score(
    predictions: Sequence[Prediction],
    *,
    split: str,
    label_names: Sequence[str],
    ordinal: bool,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> dict[str, Any]:
    """Computes the content of metrics.json for more than two classes.

    `auc` is the mean over the classes of one class against the rest; with `balanced_accuracy` and
    `macro_f1` it is defined only where every class has films. `kappa` is there if `ordinal`.

    Args:
        predictions: the films of one split, with the probability of each class.
        split: its name.
        label_names: name of each class.
        ordinal: whether each class is above the one before.
        resamples: how often patients are drawn with replacement, at least 1.
        seed: of the draws.
    """
    labels, probabilities, patients = columns(predictions, len(label_names))
    cells = confusion_matrix(labels, answers_of(probabilities, ordinal=ordinal), len(label_names))
    values = measure(labels, probabilities, np.ones((1, len(labels))), ordinal=ordinal)
    blocks = [
        measure(labels, probabilities, weights, ordinal=ordinal)
        for weights in resample(patients, resamples=resamples, seed=seed)
    ]
    sizes = cells.sum(axis=1)
    only_patient = len(np.unique(patients)) == 1
    return {
        "split": split,
        "films": len(labels),
        "patients": len(np.unique(patients)),
        "labels": {name: int(size) for name, size in zip(label_names, sizes, strict=True)},
        "ordinal": ordinal,
        "majority_baseline": float(sizes.max() / sizes.sum()) if len(labels) else None,
        **{
            name: undefined(_reason(name, cells, label_names))
            if np.isnan(value[0])
            else figure(
                float(value[0]),
                np.concatenate([block[name] for block in blocks]),
                only_patient=only_patient,
            )
            for name, value in values.items()
        },
        "confusion_matrix": cells.tolist(),
        "interval": f"95 % percentile bootstrap over patients, {resamples} resamples, seed {seed}",
        "predicts_one_class": bool(len(labels) and np.count_nonzero(cells.sum(axis=0)) == 1),
    }


def columns(
    predictions: Sequence[Prediction], classes: int
) -> tuple[Labels, Floats, NDArray[np.str_]]:
    """Takes labels [films], probabilities [films, classes] and patients [films] out."""
    return (
        np.array([prediction.label for prediction in predictions], np.int64),
        np.array([prediction.probabilities for prediction in predictions], np.float64).reshape(
            -1, classes
        ),
        np.array([prediction.patient_id for prediction in predictions], np.str_),
    )


def answers_of(probabilities: Floats, *, ordinal: bool) -> Labels:
    """Says which class each film, a row of probabilities [films, K], is called.

    The likeliest; of grades the median: the first whose successors share no more than a half.
    """
    if not ordinal:
        return probabilities.argmax(axis=1)
    above = 1 - np.cumsum(probabilities[:, :-1], axis=1)
    return np.count_nonzero(above > 0.5, axis=1)


def confusion_matrix(labels: Labels, answers: Labels, classes: int) -> Labels:
    """Counts films as [K, K]: a row a label, a column an answer."""
    cells = np.zeros((classes, classes), np.int64)
    np.add.at(cells, (labels, answers), 1)
    return cells


def measure(
    labels: Labels, probabilities: Floats, weights: Floats, *, ordinal: bool
) -> dict[str, Floats]:
    """Computes every figure for every row of weights.

    Args:
        labels: [films], 0..K-1.
        probabilities: [films, K].
        weights: [rows, films], how often each film counts; whole numbers.
        ordinal: whether to compute kappa too.

    Returns:
        For each of NAMES or ORDINAL_NAMES [rows], NaN where it is not defined.
    """
    films, classes = probabilities.shape
    kind = np.zeros((films, classes * classes))
    kind[np.arange(films), labels * classes + answers_of(probabilities, ordinal=ordinal)] = 1
    cells: Floats = (weights @ kind).reshape(-1, classes, classes)
    right: Floats = np.diagonal(cells, axis1=1, axis2=2)
    truly, called, total = cells.sum(axis=2), cells.sum(axis=1), cells.sum(axis=(1, 2))
    areas = np.stack(
        [_area(labels == label, probabilities[:, label], weights) for label in range(classes)]
    )
    figures = {
        "auc": areas.mean(axis=0),
        "accuracy": ratio(right.sum(axis=1), total),
        "balanced_accuracy": ratio(right, truly).mean(axis=1),
        "macro_f1": np.where(
            (truly > 0).all(axis=1), ratio(2 * right, truly + called).mean(axis=1), np.nan
        ),
    }
    if ordinal:
        figures["kappa"] = _kappa(cells, truly, called, total)
    return figures


def _area(truth: NDArray[np.bool_], scores: Floats, weights: Floats) -> Floats:
    """Mann-Whitney for each row of weights: pairs in the right order, a tie counts half."""
    negatives, positives = weights_by_score(truth.astype(np.int64), scores, weights)
    beaten = np.cumsum(negatives, axis=1) - negatives / 2
    pairs: Floats = positives.sum(axis=1) * negatives.sum(axis=1)
    return ratio((positives * beaten).sum(axis=1), pairs)


def _kappa(cells: Floats, truly: Floats, called: Floats, total: Floats) -> Floats:
    """1 - squared distances seen / squared distances if truth and answer were independent."""
    grades = np.arange(cells.shape[1])
    distances = np.square(grades[:, None] - grades).astype(np.float64)
    seen = (cells * distances).sum(axis=(1, 2)) * total
    by_chance = np.einsum("ri,ij,rj->r", truly, distances, called)
    return 1 - ratio(seen, by_chance)


def _reason(name: str, cells: Labels, label_names: Sequence[str]) -> str:
    """Says why the figure `name` is not defined for a confusion matrix [K, K]."""
    if not cells.any():
        return "there are no films in this split"
    if name == "kappa":
        return "all films are of one class and called that"
    empty = [n for n, size in zip(label_names, cells.sum(axis=1), strict=True) if size == 0]
    return f"no film of this split is {' or '.join(empty)}"
