"""Scores of a list of predictions, each with its interval over patients.

metrics = score(predictions, split="test", label_names=("benign", "malignant"))
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flags.errors import CallerError
from trainer import class_metrics
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

THRESHOLD = 0.5
"""Probability above which a film counts as label 1; like Keras's BinaryAccuracy, not at it."""
NAMES = ("auc", "accuracy", "precision", "recall", "specificity", "f1", "balanced_accuracy")


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

    Two classes have the figures in NAMES; more have those of `trainer.class_metrics`.

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
    if len(label_names) > 2:
        check_split(predictions, split)
        return class_metrics.score(
            predictions,
            split=split,
            label_names=label_names,
            ordinal=ordinal,
            resamples=resamples,
            seed=seed,
        )
    labels, probabilities, patients = columns(predictions, split)
    cells = confusion_matrix(labels, probabilities, threshold=threshold)
    values = measure(labels, probabilities, np.ones((1, len(labels))), threshold=threshold)
    samples = bootstrap(
        labels, probabilities, patients, threshold=threshold, resamples=resamples, seed=seed
    )
    only_patient = len(np.unique(patients)) == 1
    sizes = cells.sum(axis=1)
    return {
        "split": split,
        "films": len(labels),
        "patients": len(np.unique(patients)),
        "labels": {name: int(size) for name, size in zip(label_names, sizes, strict=True)},
        "threshold": threshold,
        "majority_baseline": float(sizes.max() / sizes.sum()) if len(labels) else None,
        **{
            name: undefined(_reason(name, cells, label_names))
            if np.isnan(values[name][0])
            else figure(float(values[name][0]), samples[name], only_patient=only_patient)
            for name in NAMES
        },
        "confusion_matrix": cells.tolist(),
        "interval": f"95 % percentile bootstrap over patients, {resamples} resamples, seed {seed}",
        "predicts_one_class": bool(len(labels) and not cells.sum(axis=0).all()),
    }


def columns(
    predictions: Sequence[Prediction], split: str
) -> tuple[NDArray[np.int64], Floats, NDArray[np.str_]]:
    """Takes labels, probabilities and patients, each [films], out of the predictions of a split.

    Raises:
        CallerError: a prediction names another split.
    """
    check_split(predictions, split)
    return (
        np.array([prediction.label for prediction in predictions], np.int64),
        np.array([prediction.probability for prediction in predictions], np.float64),
        np.array([prediction.patient_id for prediction in predictions], np.str_),
    )


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


def confusion_matrix(
    labels: NDArray[np.int64], probabilities: Floats, *, threshold: float = THRESHOLD
) -> NDArray[np.int64]:
    """Counts films as [[true 0, false 1], [false 0, true 1]]: a row a label, a column an answer."""
    cells = np.zeros((2, 2), np.int64)
    np.add.at(cells, (labels, (probabilities > threshold).astype(np.int64)), 1)
    return cells


def measure(
    labels: NDArray[np.int64],
    probabilities: Floats,
    weights: Floats,
    *,
    threshold: float = THRESHOLD,
) -> dict[str, Floats]:
    """Computes every figure for every row of weights.

    What weighs one class against the other (AUC, precision, F1, balanced accuracy) is defined
    only where both have films; F1 is 2 tp / (2 tp + fp + fn), so 0 if nothing is found.

    Args:
        labels: [films], 0 or 1.
        probabilities: [films], of label 1, 0..1.
        weights: [rows, films], how often each film counts; whole numbers.
        threshold: probability above which a film counts as label 1.

    Returns:
        For each of NAMES [rows], 0..1, NaN where it is not defined.
    """
    truth, answer = labels == 1, probabilities > threshold
    kinds = np.stack([~truth & ~answer, ~truth & answer, truth & ~answer, truth & answer], axis=1)
    tn, fp, fn, tp = (weights @ kinds.astype(np.float64)).T
    recall, specificity = ratio(tp, tp + fn), ratio(tn, tn + fp)
    negatives, positives = weights_by_score(labels, probabilities, weights)
    beaten = np.cumsum(negatives, axis=1) - negatives / 2  # a tie counts half
    both = (tp + fn > 0) & (tn + fp > 0)
    return {
        # Mann-Whitney: share of pairs of a positive and a negative film in the right order
        "auc": ratio((positives * beaten).sum(axis=1), (tp + fn) * (tn + fp)),
        "accuracy": ratio(tp + tn, tp + tn + fp + fn),
        "precision": np.where(both, ratio(tp, tp + fp), np.nan),
        "recall": recall,
        "specificity": specificity,
        "f1": np.where(both, ratio(2 * tp, 2 * tp + fp + fn), np.nan),
        "balanced_accuracy": (recall + specificity) / 2,
    }


def bootstrap(
    labels: NDArray[np.int64],
    probabilities: Floats,
    patients: NDArray[np.str_],
    *,
    threshold: float = THRESHOLD,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> dict[str, Floats]:
    """Measures resamples of whole patients; for each of NAMES [resamples], NaN if not defined."""
    blocks = [
        measure(labels, probabilities, weights, threshold=threshold)
        for weights in resample(patients, resamples=resamples, seed=seed)
    ]
    return {name: np.concatenate([block[name] for block in blocks]) for name in NAMES}


def _reason(name: str, cells: NDArray[np.int64], label_names: Sequence[str]) -> str:
    """Says why the figure `name` is not defined for a confusion matrix [2, 2]."""
    if not cells.any():
        return "there are no films in this split"
    for size, label_name in zip(cells.sum(axis=1), label_names, strict=True):
        if size == 0:
            return f"no film of this split is {label_name}"
    assert name == "precision", name
    return f"the model calls no film {label_names[1]}"
