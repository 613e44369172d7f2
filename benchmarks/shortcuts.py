"""What a table alone tells of cancer: logistic regressions on its columns, no pixel seen.

python -m benchmarks.shortcuts --records=FOLDER --table=train.csv [--columns=age,machine_id]

The folds are those of the records; breasts of a fold are scored by a model of the other folds. A
network that is not better than these may have learned age or machine. All columns but age are
one-hot. AUC of breasts, 95 % interval by bootstrap over patients.
"""

from __future__ import annotations

import csv
import pathlib

import numpy as np
from absl import app, flags
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler

RECORDS = flags.DEFINE_string("records", None, "Folder of records with folds.", required=True)
TABLE = flags.DEFINE_string("table", None, "Table of the dataset, RSNA's columns.", required=True)
COLUMNS = flags.DEFINE_list("columns", ["age", "machine_id", "site_id", "density"], "To try.")
RESAMPLES = 2000


def main(_: list[str]) -> None:
    sources = pathlib.Path(RECORDS.value) / "sources.csv"
    breasts = read_breasts(sources, pathlib.Path(TABLE.value))
    labels = np.array([int(breast["cancer"]) for breast in breasts])
    patients = np.array([breast["patient_id"] for breast in breasts])
    print(f"{len(breasts)} breasts of {len(set(patients))} patients, {labels.sum()} with cancer")
    for columns in [*([column] for column in COLUMNS.value), COLUMNS.value]:
        scores = score_folds(breasts, labels, columns)
        low, high = interval(labels, scores, patients)
        auc = roc_auc_score(labels, scores)
        print(f"{'+'.join(columns):40} AUC {auc:.3f} ({low:.3f} to {high:.3f})", flush=True)


def read_breasts(sources: pathlib.Path, table: pathlib.Path) -> list[dict[str, str]]:
    """Joins the folds of the records with the table, a row a breast."""
    with sources.open(newline="") as file:
        rows = csv.DictReader(file)
        folds = {row["image_id"]: row["split"] for row in rows if row["status"] == "written"}
    breasts: dict[tuple[str, str], dict[str, str]] = {}
    with table.open(newline="") as file:
        for row in csv.DictReader(file):
            fold = folds.get(f"{row['patient_id']}_{row['image_id']}")
            if fold is not None:
                breasts.setdefault((row["patient_id"], row["laterality"]), {**row, "fold": fold})
    return list(breasts.values())


def score_folds(
    breasts: list[dict[str, str]], labels: np.ndarray, columns: list[str]
) -> np.ndarray:
    """Scores each fold by a model of the others; [breasts] probabilities."""
    known = [float(breast["age"]) for breast in breasts if breast["age"]]

    def value(breast: dict[str, str], column: str) -> str | float:
        return float(breast["age"] or np.median(known)) if column == "age" else breast[column]

    inputs = [{column: value(breast, column) for column in columns} for breast in breasts]
    folds = np.array([breast["fold"] for breast in breasts])
    scores = np.empty(len(breasts))
    for fold in set(folds):
        (test,), (rest,) = np.nonzero(folds == fold), np.nonzero(folds != fold)
        model = make_pipeline(DictVectorizer(), MaxAbsScaler(), LogisticRegression(max_iter=1000))
        model.fit([inputs[i] for i in rest], labels[rest])
        scores[test] = model.predict_proba([inputs[i] for i in test])[:, 1]
    return scores


def interval(labels: np.ndarray, scores: np.ndarray, patients: np.ndarray) -> tuple[float, float]:
    """Bounds of the 95 % interval of the AUC over resamples of patients."""
    rows = [np.nonzero(patients == patient)[0] for patient in np.unique(patients)]
    generator, aucs = np.random.default_rng(0), []
    for _ in range(RESAMPLES):
        drawn = np.concatenate([rows[i] for i in generator.integers(0, len(rows), len(rows))])
        aucs.append(roc_auc_score(labels[drawn], scores[drawn]))
    return tuple(np.percentile(aucs, [2.5, 97.5]))


if __name__ == "__main__":
    app.run(main)
