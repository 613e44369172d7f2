"""Scores of a list of predictions, each with its interval over patients.

metrics = score(predictions, split="test", label_names=("benign", "malignant"))

A score is the row of a weighted sum: films weigh 1 in the split itself, and as often as their
patient was drawn in a resample. So value and interval come from the same few lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flags.errors import CallerError
from trainer.predictions import Prediction

Floats = NDArray[np.float64]

THRESHOLD = 0.5
"""Probability above which a film counts as label 1; like Keras's BinaryAccuracy, not at it."""
RESAMPLES = 2000
SEED = 0
PERCENTILES = (2.5, 97.5)
"""Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13: percentile interval."""
MAX_UNDEFINED = 0.05
"""Share of resamples without the figure above which there is no interval."""
BLOCK_VALUES = 2**20
"""Weights held at a time, resamples x films: 8 MiB."""
NAMES = ("auc", "accuracy", "precision", "recall", "specificity", "f1", "balanced_accuracy")


def score(
    predictions: Sequence[Prediction],
    *,
    split: str,
    label_names: tuple[str, str],
    threshold: float = THRESHOLD,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> dict[str, Any]:
    """Computes the content of metrics.json: plain numbers, texts and None, never NaN.

    Each figure is {"value", "low", "high"}. One that is not defined is all None and has
    "not_defined_because"; one without an interval has low and high None and
    "interval_not_defined_because".

    Args:
        predictions: the films of one split.
        split: its name.
        label_names: names of labels 0 and 1.
        threshold: probability above which a film counts as label 1, 0..1.
        resamples: how often patients are drawn with replacement, at least 1.
        seed: of the draws.

    Raises:
        CallerError: a prediction names another split.
    """
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
            name: _undefined(_reason(name, cells, label_names))
            if np.isnan(values[name][0])
            else _figure(float(values[name][0]), samples[name], only_patient=only_patient)
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
    for prediction in predictions:
        if prediction.split not in ("", split):
            raise CallerError(
                f"film {prediction.film_id!r} is of split {prediction.split!r}, wanted {split!r}; "
                "score one split at a time"
            )
    return (
        np.array([prediction.label for prediction in predictions], np.int64),
        np.array([prediction.probability for prediction in predictions], np.float64),
        np.array([prediction.patient_id for prediction in predictions], np.str_),
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
    recall, specificity = _ratio(tp, tp + fn), _ratio(tn, tn + fp)
    negatives, positives = weights_by_score(labels, probabilities, weights)
    beaten = np.cumsum(negatives, axis=1) - negatives / 2  # a tie counts half
    both = (tp + fn > 0) & (tn + fp > 0)
    return {
        # Mann-Whitney: share of pairs of a positive and a negative film in the right order
        "auc": _ratio((positives * beaten).sum(axis=1), (tp + fn) * (tn + fp)),
        "accuracy": _ratio(tp + tn, tp + tn + fp + fn),
        "precision": np.where(both, _ratio(tp, tp + fp), np.nan),
        "recall": recall,
        "specificity": specificity,
        "f1": np.where(both, _ratio(2 * tp, 2 * tp + fp + fn), np.nan),
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


def resample(patients: NDArray[np.str_], *, resamples: int, seed: int) -> Iterator[Floats]:
    """Draws as many patients as there are, with replacement, again and again.

    Yields:
        Weights [rows, films], rows adding up to `resamples`: how often each film's patient
        was drawn.
    """
    if resamples < 1:
        raise CallerError(f"{resamples} resamples, wanted at least 1 (2000 is usual)")
    names, patient_of_film = np.unique(patients, return_inverse=True)
    generator = np.random.default_rng(seed)
    block = max(1, BLOCK_VALUES // max(1, len(patients)))
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        if len(names) == 0:
            yield np.zeros((rows, 0))
            continue
        drawn = generator.integers(len(names), size=(rows, len(names)))
        cell = drawn + len(names) * np.arange(rows)[:, None]
        times = np.bincount(cell.ravel(), minlength=cell.size).reshape(cell.shape)
        yield times[:, patient_of_film].astype(np.float64)


def weights_by_score(
    labels: NDArray[np.int64], probabilities: Floats, weights: Floats
) -> tuple[Floats, Floats]:
    """Sums the weights of labels 0 and 1 at each distinct probability, ascending: [rows, n]."""
    order = np.argsort(probabilities, kind="stable")
    _, starts = np.unique(probabilities[order], return_index=True)
    if len(starts) == 0:
        return weights, weights
    ordered = weights[:, order]
    truth = labels[order] == 1
    negatives = np.add.reduceat(ordered * ~truth, starts, axis=1)
    return negatives, np.add.reduceat(ordered * truth, starts, axis=1)


def _ratio(part: Floats, whole: Floats) -> Floats:
    """Divides; NaN where the whole is 0."""
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)


def _figure(value: float, samples: Floats, *, only_patient: bool) -> dict[str, Any]:
    """Puts a value and its interval together, or says why there is no interval."""
    defined = samples[~np.isnan(samples)]
    missing = 1 - len(defined) / len(samples)
    if only_patient:
        reason = "all films are of one patient"
    elif missing > MAX_UNDEFINED:
        reason = f"the figure is not defined in {100 * missing:.1f} % of the resamples"
    else:
        low, high = np.percentile(defined, PERCENTILES)
        return {"value": value, "low": float(low), "high": float(high)}
    return {"value": value, "low": None, "high": None, "interval_not_defined_because": reason}


def _undefined(reason: str) -> dict[str, Any]:
    """Stands in for a figure that is not defined."""
    return {"value": None, "low": None, "high": None, "not_defined_because": reason}


def _reason(name: str, cells: NDArray[np.int64], label_names: tuple[str, str]) -> str:
    """Says why the figure `name` is not defined for a confusion matrix [2, 2]."""
    if not cells.any():
        return "there are no films in this split"
    for size, label_name in zip(cells.sum(axis=1), label_names, strict=True):
        if size == 0:
            return f"no film of this split is {label_name}"
    assert name == "precision", name
    return f"the model calls no film {label_names[1]}"
