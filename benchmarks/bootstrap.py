"""Seconds of 2,000 resamples of patients with every metric, against a plain loop of scikit-learn.

python -m benchmarks.bootstrap [--images=641] [--resamples=2000] [--loop=50] [--rounds=5]

The loop draws the same patients, repeats their images, and computes what scikit-learn has a
function for; it is timed over a part of the resamples.
"""

from __future__ import annotations

import importlib.metadata
import resource
import time
from collections.abc import Callable

import numpy as np
from absl import app, flags
from sklearn import metrics as reference
from sklearn.linear_model import LogisticRegression

from benchmarks import machine
from trainer.metrics import compute, metric_table, scoring
from trainer.metrics.intervals import Bootstrap
from trainer.metrics.prediction_arrays import PredictionArrays
from trainer.metrics.predictions import Prediction, two_classes

IMAGES = flags.DEFINE_integer("images", 641, "Images; the test set of CBIS-DDSM has 641.")
RESAMPLES = flags.DEFINE_integer("resamples", 2000, "How often patients are drawn.")
LOOP = flags.DEFINE_integer("loop", 50, "Resamples the plain loop is timed over.")
ROUNDS = flags.DEFINE_integer("rounds", 5, "Rounds; the fastest counts.")
NAMES = metric_table.keys("binary")
_PATIENTS = 201  # of the test set of CBIS-DDSM


def main(_: list[str]) -> None:
    libraries = ("scikit-learn", "scipy")
    print(machine.describe())
    print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in libraries))
    predictions = _draw_images()
    images, bootstrap = (
        PredictionArrays.of(predictions, ("benign", "malignant")),
        Bootstrap(RESAMPLES.value),
    )
    ours = _clock(
        lambda: scoring.score(images, bootstrap, names=NAMES, threshold=0.5),
        ROUNDS.value,
    )
    loop = _clock(lambda: _loop(images, LOOP.value), 1) * RESAMPLES.value / LOOP.value
    names = ("benign", "malignant")
    whole = _clock(lambda: compute.score(predictions, split="", label_names=names), 1)
    print(f"{IMAGES.value} images of {_PATIENTS} patients, {RESAMPLES.value} resamples:")
    print(f"  {len(NAMES)} metrics of images   {ours:7.2f} s")
    print(
        f"  plain loop             {loop:7.2f} s (from {LOOP.value} resamples), {loop / ours:.0f}x"
    )
    print(f"  all of metrics.json    {whole:7.2f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  memory at most         {peak:7.0f} MiB")
    print(f"after the benchmark: {machine.describe_load()}")


def _draw_images() -> list[Prediction]:
    """Makes predictions of two views of two breasts of each patient, as many as asked for."""
    generator = np.random.default_rng(0)
    labels = generator.integers(2, size=IMAGES.value)
    odds = generator.normal(labels - 0.6, 1.2)
    return [
        Prediction(
            f"f{place}",
            f"p{place % _PATIENTS}",
            int(label),
            probabilities=two_classes(1 / (1 + np.exp(-one))),
            columns={
                "side": ("left", "right")[place // _PATIENTS % 2],
                "view": ("CC", "MLO")[place // _PATIENTS // 2 % 2],
                "density": str(1 + place % 4),
                "abnormality": ("mass", "calcification")[place % 2],
                "assessment": str(2 + place % 4),
            },
            calibrated_probabilities=two_classes(1 / (1 + np.exp(-one / 2))),
            threshold=0.4,
        )
        for place, (label, one) in enumerate(zip(labels, odds, strict=True))
    ]


def _loop(images: PredictionArrays, resamples: int) -> None:
    """Draws patients and computes metrics one resample after the other."""
    names, generator = np.unique(images.patients), np.random.default_rng(0)
    rows = {name: np.flatnonzero(images.patients == name) for name in names}
    for _ in range(resamples):
        drawn = generator.integers(len(names), size=len(names))
        index = np.concatenate([rows[names[one]] for one in drawn])
        labels, probabilities = images.labels[index], images.probabilities[index, 1]
        answers = probabilities > 0.5
        for function in (
            reference.accuracy_score,
            reference.balanced_accuracy_score,
            reference.precision_score,
            reference.recall_score,
            reference.f1_score,
            reference.matthews_corrcoef,
        ):
            function(labels, answers)
        for function in (
            reference.roc_auc_score,
            reference.average_precision_score,
            reference.brier_score_loss,
            reference.log_loss,
            reference.roc_curve,
        ):
            function(labels, probabilities)
        reference.roc_auc_score(labels, probabilities, max_fpr=0.1)
        odds = np.log(probabilities / (1 - probabilities))[:, None]
        LogisticRegression(C=np.inf).fit(odds, labels)


def _clock(function: Callable[[], object], rounds: int) -> float:
    """Returns the fastest of some rounds, seconds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


if __name__ == "__main__":
    app.run(main)
