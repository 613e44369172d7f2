"""Images, breasts or patients with their truth and what a model said, as columns.

images = Evaluated.of(predictions, ("benign", "malignant"))
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from records.errors import CallerError
from trainer.metrics.intervals import Floats
from trainer.metrics.predictions import Prediction

Labels = NDArray[np.int64]


@dataclasses.dataclass(frozen=True, eq=False)
class PredictionArrays:
    """What is scored together.

    Attributes:
        labels: [n], the class each truly is, 0..K-1.
        probabilities: [n, K], of each class, rows adding up to 1.
        patients: [n], whose it is.
        names: of the K classes, two or more.
        ordinal: whether each class is above the one before; of more than two.
        unit: what each is: image, breast or patient.
        whole: what they make up: split or subgroup.
    """

    labels: Labels
    probabilities: Floats
    patients: NDArray[np.str_]
    names: Sequence[str]
    ordinal: bool = False
    unit: str = "image"
    whole: str = "split"

    @classmethod
    def of(
        cls, predictions: Sequence[Prediction], names: Sequence[str], *, ordinal: bool = False
    ) -> PredictionArrays:
        """Makes columns of predictions, in their order.

        Raises:
            CallerError: a prediction is of another number of classes.
        """
        for image in predictions:
            classes = max(2, len(image.probabilities))
            if classes != len(names):
                raise CallerError(
                    f"image {image.image_id!r} has a prediction of {classes} classes, wanted "
                    f"{len(names)}: {', '.join(names)}; score with the names it was trained with"
                )
        return cls(
            np.array([image.label for image in predictions], np.int64),
            class_columns([image.probability for image in predictions])
            if len(names) == 2
            else np.array([image.probabilities for image in predictions]).reshape(-1, len(names)),
            np.array([image.patient_id for image in predictions], np.str_),
            names,
            ordinal,
        )

    @property
    def several(self) -> bool:
        """Whether there are more than two classes."""
        return len(self.names) > 2

    def take(self, rows: NDArray[np.bool_]) -> PredictionArrays:
        """Returns a subgroup, its rows chosen by [n]."""
        return dataclasses.replace(
            self,
            labels=self.labels[rows],
            probabilities=self.probabilities[rows],
            patients=self.patients[rows],
            whole="subgroup",
        )

    def sizes(self) -> dict[str, Any]:
        """Counts patients, and images (breasts, patients) of each class."""
        counts = np.bincount(self.labels, minlength=len(self.names)).tolist()
        return {
            "patients": len(np.unique(self.patients)),
            "labels": dict(zip(self.names, counts, strict=True)),
        }

    def lack(self) -> str | None:
        """Says which class has no image; None if all have."""
        if len(self.labels) == 0:
            return f"there are no {self.unit}s in this {self.whole}"
        empty = [name for name, count in self.sizes()["labels"].items() if count == 0]
        return f"no {self.unit} of this {self.whole} is {' or '.join(empty)}" if empty else None


def class_columns(probabilities: Sequence[float] | Floats) -> Floats:
    """Puts the probability of label 0 before that of label 1: [n] -> [n, 2]."""
    of_one = np.asarray(probabilities, np.float64)
    return np.stack([1 - of_one, of_one], axis=1)
