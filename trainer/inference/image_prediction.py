"""Predictions of input images -> averages of a breast, predictions.json, predictions.csv, lines.

content = write(output_dir, predictions, formatter, about)   # predictions.json, predictions.csv
"""

from __future__ import annotations

import dataclasses
import io
import pathlib
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from beam_jobs.imaging.image_kind import find_special
from records import csv_text, files
from records.version import NOTICE
from trainer.evaluation import calibration
from trainer.metrics.called_class import THRESHOLD, called_class
from trainer.metrics.predictions import ClassProbabilities, mean_probabilities

Output = TypeVar("Output", bound=ClassProbabilities)
_TRAINED_ON = "the network learned from this very image: how it predicts others can't be seen by it"
_VALIDATED_ON = (
    "this very image helped to choose the network's best epoch and threshold: it is predicted a "
    "little too well"
)


@dataclasses.dataclass(frozen=True)
class ImagePrediction:
    """One image and what came of it.

    Attributes:
        image: path of its file, as given.
        error: why there is no prediction, "" if there is one.
        exam: running number of the examination, None where it is not known.
        exam_known_by: table, name, study, or patient and date; "" of an image that stands alone.
        copy_of: the image given before of which this is a copy; it has no prediction of its own.
        unused: why its breast was predicted without it, "" of all others.
        absent: views its breast was predicted without, by a network of several views.
        side: left or right, "" if not known.
        view: CC, MLO or another projection, "" if not known.
        kind: what makes it no standard view (magnification, ...), "" if nothing does.
        intent: presentation or processing (raw), "" if not known.
        discrepancies: where its header and its table or pixels disagree.
        remarks: on polarity and grey levels that no header states.
        size: (rows, columns) of the image, None if it could not be decoded.
        prediction: of the network, None if there is none.
        distance: from the training images, see `training_statistics`; None if not known.
        distance_limit: largest distance that is not unlike; None if not known.
        unlike: how it differs from the images the network learned from, empty if it does not.
        not_stated: what the network takes beside the pixels and is not known of the image.
        trained_on: whether the network learned from this very image.
        validated_on: whether it chose the network's best epoch and threshold.
        heat_map: file of the picture, relative to the output folder; "" if there is none.
        pictures: for a page: the image, and it under its heat map, as far as they are drawn.
    """

    image: str
    error: str = ""
    exam: int | None = None
    exam_known_by: str = ""
    copy_of: str = ""
    unused: str = ""
    absent: tuple[str, ...] = ()
    side: str = ""
    view: str = ""
    kind: str = ""
    intent: str = ""
    discrepancies: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    prediction: ClassProbabilities | None = None
    unlike: tuple[str, ...] = ()
    not_stated: tuple[str, ...] = ()
    distance: float | None = None
    distance_limit: float | None = None
    trained_on: bool = False
    validated_on: bool = False
    heat_map: str = ""
    pictures: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to know before the prediction is read."""
        found = [_TRAINED_ON] if self.trained_on else [_VALIDATED_ON] * self.validated_on
        found += [f"table or pixels and header disagree in {part}" for part in self.discrepancies]
        found += self.remarks
        if self.kind:
            found.append(f"no standard view by its header: {self.kind}")
        if self.intent == "processing":
            found.append("raw (FOR PROCESSING) by its header")
        if self.absent:
            found.append(f"its breast was predicted without {' and '.join(self.absent)}")
        if self.not_stated:
            found.append(f"predicted without what goes with it: {'; '.join(self.not_stated)}")
        if self.unlike:
            found.append(f"unlike the images the network learned from: {'; '.join(self.unlike)}")
        return tuple(found)

    def notes(self, *, briefly: bool) -> tuple[str, ...]:
        """Says why there is no prediction, or what to know before it is read.

        Args:
            briefly: how it is unlike the training images without what those are like, which was
                said of an earlier image.
        """
        found = (self.error,) if self.error else self.warnings
        if not (briefly and self.unlike):
            return found
        shorter = "; ".join(reason.partition(", ")[0] for reason in self.unlike)
        return tuple(note.replace("; ".join(self.unlike), shorter) for note in found)


def average(predicted: Sequence[Output]) -> Output:
    """Averages predictions: of several networks on one image, or of one breast's images.

    What one of them lacks is left out. Thresholds are averaged as well: networks have each their
    own, images of a breast the same.
    """
    thresholds = [one.threshold for one in predicted if one.threshold is not None]
    calibrated = [one.calibrated_probabilities for one in predicted]
    return dataclasses.replace(
        predicted[0],
        probabilities=mean_probabilities([one.probabilities for one in predicted]),
        calibrated_probabilities=mean_probabilities(calibrated) if all(calibrated) else (),
        threshold=float(np.mean(thresholds)) if len(thresholds) == len(predicted) else None,
    )


@dataclasses.dataclass(frozen=True)
class Formatter:
    """Formats predictions of one run by the names of its classes, which may be grades."""

    names: tuple[str, ...]
    ordinal: bool = False

    def columns(self, prediction: ClassProbabilities | None) -> dict[str, Any]:
        """Returns the values of a prediction, by column; None where one is not defined."""
        several = self.names if len(self.names) > 2 else ()
        columns = ("class", "probability", "calibrated", "threshold", "confidence")
        if prediction is None:
            return dict.fromkeys((*columns, *(f"probability of {name}" for name in several)))
        label = called_class(prediction, ordinal=self.ordinal)
        threshold = THRESHOLD if prediction.threshold is None else prediction.threshold
        values = (
            self.names[label],
            prediction.probability,
            prediction.calibrated,
            None if several else threshold,
            calibration.confidence_of(prediction, label),
        )
        of_classes = zip(several, prediction.probabilities, strict=False)  # of two classes none
        return {
            **dict(zip(columns, values, strict=True)),
            **{f"probability of {name}": fraction for name, fraction in of_classes},
        }

    def sentence(self, prediction: ClassProbabilities) -> str:
        """Writes a prediction as a sentence."""
        values = self.columns(prediction)
        if len(self.names) > 2:
            fractions = (f"{name} {values[f'probability of {name}']:.3f}" for name in self.names)
            parts = [", ".join(fractions)]
            if values["confidence"] is not None:
                parts.append(f"confidence {values['confidence']:.2f}")
        else:
            of_class = f"probability of {self.names[1]} {values['probability']:.3f}"
            parts = [f"{of_class}, threshold {values['threshold']:.3f}"]  # the two decide together
            if values["calibrated"] is not None:
                parts.append(f"calibrated {values['calibrated']:.3f}")
        return f"{values['class']} ({'; '.join(parts)})"


def find_left_out(predicted: Sequence[ImagePrediction]) -> list[str]:
    """Says of each image why it is left out of its breast's mean, "" if it is not."""
    return find_special(
        [
            # what could not be predicted, or belongs to nothing known, is nobody's twin
            ((one.exam or f"image {index}", one.side, one.view), one.kind, one.intent)
            if one.prediction is not None
            else (f"image {index}", one.kind, one.intent)
            for index, one in enumerate(predicted)
        ]
    )


def breasts(
    predicted: Sequence[ImagePrediction], special_views: str = "exclude"
) -> list[tuple[list[ImagePrediction], ClassProbabilities]]:
    """Averages the images of each breast: those of one examination and side, in order.

    Args:
        predicted: one an image.
        special_views: exclude leaves out what is no standard view of its own; keep.
    """
    groups: dict[tuple[int, str], list[ImagePrediction]] = {}
    for one, reason in zip(predicted, find_left_out(predicted), strict=True):
        if reason and special_views == "exclude":
            continue
        if one.prediction is not None and one.exam is not None and one.side:
            groups.setdefault((one.exam, one.side), []).append(one)
    return [
        (images, average([image.prediction for image in images if image.prediction is not None]))
        for images in groups.values()
    ]


def write(
    output_dir: pathlib.Path,
    predicted: Sequence[ImagePrediction],
    formatter: Formatter,
    about: dict[str, Any],
    special_views: str = "exclude",
) -> dict[str, Any]:
    """Writes predictions.json and predictions.csv, whole or not at all.

    Args:
        output_dir: an existing folder.
        predicted: one an image.
        formatter: of the run that predicted.
        about: of the run; its "warnings" and its "evaluation" hold for every image.
        special_views: see `breasts`.

    Returns:
        the content of predictions.json.
    """
    together = breasts(predicted, special_views)
    of_breast = {image.image: (len(images), mean) for images, mean in together for image in images}
    rows = [_describe(one, formatter, *of_breast.get(one.image, (0, None))) for one in predicted]
    content = {
        "notice": NOTICE,
        **about,
        "images": rows,
        "breasts": [
            {
                "exam": images[0].exam,
                "side": images[0].side,
                "images": [image.image for image in images],
                "views": [image.view for image in images],
                **formatter.columns(mean),
            }
            for images, mean in together
        ],
    }
    files.write_json(output_dir / "predictions.json", content)
    text = io.StringIO()
    of_run = {f"run_{key}": value for key, value in about["evaluation"].items()}
    of_run |= {**{key: about[key] for key in ("program", "finished")}, "notice": NOTICE}
    with_run = (
        {**row, "warnings": "; ".join((*about["warnings"], *row["warnings"])), **of_run}
        for row in rows
    )
    csv_text.write(text, [*rows[0], *of_run], with_run)
    files.write_text(output_dir / "predictions.csv", text.getvalue())
    return content


def _describe(
    one: ImagePrediction, formatter: Formatter, images: int, breast: ClassProbabilities | None
) -> dict[str, Any]:
    """Returns the row of an image, the same columns for every image of a run."""
    height, width = one.size or (None, None)
    of_breast = formatter.columns(breast)
    return {
        "image": one.image,
        "error": one.error,
        "exam": one.exam,
        "exam_known_by": one.exam_known_by,
        "copy_of": one.copy_of,
        "unused": one.unused,
        "side": one.side,
        "view": one.view,
        "kind": one.kind,
        "intent": one.intent,
        "height": height,
        "width": width,
        **formatter.columns(one.prediction),
        "breast_images": images,
        **{f"breast_{key}": of_breast[key] for key in ("class", "probability", "calibrated")},
        "unlike": bool(one.unlike) if one.size else None,
        "distance": one.distance,
        "distance_limit": one.distance_limit,
        "trained_on": one.trained_on if one.size else None,
        "validated_on": one.validated_on if one.size else None,
        "heat_map": one.heat_map,
        "warnings": list(one.warnings),
    }
