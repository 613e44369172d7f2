"""How well a run tells its classes apart: metrics.json -> its AUC in words, and a warning.

describe(scores)  # test AUC 0.946 (95 % 0.881 to 0.990) on 94 images of 34 patients
"""

from __future__ import annotations

from records.printable import counted
from trainer.metrics.metrics_json import Metrics

CHANCE = 0.5
"""AUC of a model that guesses, for any number of classes each against the rest."""


def describe(scores: Metrics) -> str:
    """Writes the AUC of a run with its interval, and the images it was evaluated on."""
    name = "mean AUC of the classes" if len(scores.labels) > 2 else "AUC"
    where = f"{counted(scores.images, f'{scores.unit}s')} of {counted(scores.patients, 'patients')}"
    return f"{scores.split} {name} {scores['auc'].describe()} on {where}"


def warn(scores: Metrics) -> list[str]:
    """Lists warnings to read before any prediction of a run: that it is no better than chance."""
    found = []
    if scores.predicts_one_class:
        counts = [sum(column) for column in zip(*scores.confusion_matrix, strict=True)]
        name = list(scores.labels)[counts.index(max(counts))]
        found.append(f"the model predicts one class for every image: all images are {name}")
    interval = scores["auc"].interval
    if interval is None:
        found.append("the model is not shown to be better than guessing: its AUC has no interval")
        return found
    low, high = interval
    if low <= CHANCE <= high:
        found.append(
            "the model is not shown to be better than guessing: the interval of its AUC, "
            f"{low:.3f} to {high:.3f}, holds {CHANCE}"
        )
    elif high < CHANCE:
        found.append(f"the model is worse than guessing: its AUC is below {CHANCE}")
    return found
