"""Labels, class probabilities and patients of images, breasts or patients, as arrays.

images = PredictionArrays.of(predictions, ("benign", "malignant"))
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from records.errors import CallerError
from trainer.metrics.intervals import Floats
from trainer.metrics.metric_table import kind_of
from trainer.metrics.predictions import Labels, Prediction


class Sizes(TypedDict):
    """How many patients there are, and how many of each class."""

    patients: int
    labels: dict[str, int]


def unit_of(predictions: Sequence[Prediction]) -> str:
    """Returns what was predicted, a key of `records.schema.VIEWS`."""
    if not any(one.image_ids for one in predictions):
        return "image"
    return "breast" if all(one.columns["side"] for one in predictions) else "exam"


@dataclasses.dataclass(frozen=True, eq=False)
class PredictionArrays:
    """What is scored together.

    Attributes:
        labels: [n], the class each truly is, 0..K-1.
        probabilities: [n, K], of each class, rows adding up to 1.
        patients: [n], whose it is.
        names: of the K classes, two or more.
        ordinal: whether each class is above the one before; of more than two.
        unit: what each is: image, breast, exam or patient.
        whole: what they make up: split or subgroup.
        threshold: of two classes, above which 1 is called; of all or of each, [n].
    """

    labels: Labels
    probabilities: Floats
    patients: NDArray[np.str_]
    names: Sequence[str]
    ordinal: bool = False
    unit: str = "image"
    whole: str = "split"
    threshold: float | Floats = 0.5

    @classmethod
    def of(
        cls, predictions: Sequence[Prediction], names: Sequence[str], *, ordinal: bool = False
    ) -> PredictionArrays:
        """Makes columns of predictions, in their order.

        Raises:
            CallerError: a prediction is of another number of classes.
        """
        for image in predictions:
            classes = len(image.probabilities)
            if classes != len(names):
                raise CallerError(
                    f"image {image.image_id!r} has a prediction of {classes} classes, wanted "
                    f"{len(names)}: {', '.join(names)}; score with the names it was trained with"
                )
        return cls(
            np.array([image.label for image in predictions], np.int64),
            np.array([image.probabilities for image in predictions]).reshape(-1, len(names)),
            np.array([image.patient_id for image in predictions], np.str_),
            names,
            ordinal,
            unit_of(predictions),
        )

    @property
    def kind(self) -> str:
        """Kind of target, one of `table.KINDS`."""
        return kind_of(self.names, ordinal=self.ordinal)

    def take(self, rows: NDArray[np.bool_]) -> PredictionArrays:
        """Returns a subgroup, its rows chosen by [n]."""
        return dataclasses.replace(
            self,
            labels=self.labels[rows],
            probabilities=self.probabilities[rows],
            patients=self.patients[rows],
            whole="subgroup",
            threshold=self.threshold if isinstance(self.threshold, float) else self.threshold[rows],
        )

    def sizes(self) -> Sizes:
        """Counts patients, and images (breasts, patients) of each class."""
        counts = np.bincount(self.labels, minlength=len(self.names)).tolist()
        return {
            "patients": len(np.unique(self.patients)),
            "labels": dict(zip(self.names, counts, strict=True)),
        }

    def lack(self) -> str | None:
        """Names the classes without an image, as a reason; None if all have some."""
        if len(self.labels) == 0:
            return f"there are no {self.unit}s in this {self.whole}"
        empty = [name for name, count in self.sizes()["labels"].items() if count == 0]
        return f"no {self.unit} of this {self.whole} is {' or '.join(empty)}" if empty else None
