"""What the model said about every image: the rows of predictions.csv.

write(run_dir / "predictions.csv", predictions)
predictions = read(run_dir / "predictions.csv")
"""

from __future__ import annotations

import csv
import dataclasses
import io
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

from records import files
from records.errors import CallerError


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The model's answer for one image; the fields are the columns of predictions.csv, in order.

    Attributes:
        image_id: unique name of the image within the data set.
        patient_id: patient; scores are resampled by it.
        label: the truth, the number of its class in the target.
        probability: the model's probability that the label is 1 or more, 0..1.
        split: split the image stands in, such as "test"; "" if not stated.
        side: left or right.
        view: CC or MLO.
        abnormality: kinds of lesion joined by "+".
        density: breast density as the data set grades it.
        assessment: BI-RADS assessment.
        calibrated: calibrated probability that the label is 1 or more, 0..1; None if the model
            could not be calibrated.
        threshold: what `probability` must exceed for the image to count as label 1, chosen on the
            validation images of the model that made this prediction, 0..1; None if none could be.
        probabilities: of each class, adding up to 1; empty if there are two classes. The columns
            probability_0, probability_1, ...
        calibrated_probabilities: the same calibrated, or empty; the columns calibrated_0, ...

    Raises:
        CallerError: an id is missing, a text has a line break, the label is no class, a
            probability is not in 0..1, or there are not as many calibrated ones.
    """

    image_id: str
    patient_id: str
    label: int
    probability: float
    _: dataclasses.KW_ONLY
    split: str = ""
    side: str = ""
    view: str = ""
    abnormality: str = ""
    density: str = ""
    assessment: str = ""
    calibrated: float | None = None
    threshold: float | None = None
    probabilities: tuple[float, ...] = ()
    calibrated_probabilities: tuple[float, ...] = ()

    @property
    def probability_of_truth(self) -> float:
        """What the model gave to the class the image is of, 0..1."""
        if self.probabilities:
            return self.probabilities[self.label]
        return self.probability if self.label else 1 - self.probability

    def __post_init__(self) -> None:
        if not self.image_id:
            raise CallerError("a prediction has no image id; every image needs a unique one")
        if not self.patient_id:
            raise CallerError(
                f"image {self.image_id!r} has no patient id; scores are resampled by patient, so "
                "every image needs one (its own image id if patients are not known)"
            )
        texts = (self.image_id, self.patient_id, self.split, self.side, self.view)
        for text in (*texts, self.abnormality, self.density, self.assessment):
            if set(text) & set("\r\n\0"):
                raise CallerError(
                    f"image {self.image_id!r} has a line break in {text!r}, wanted none"
                )
        classes = max(2, len(self.probabilities))
        if self.label not in range(classes):
            raise CallerError(
                f"image {self.image_id!r} has label {self.label!r}, wanted "
                + ("0 or 1" if classes == 2 else f"0 to {classes - 1}")
            )
        for probability in (self.probability, *self.probabilities):
            if not 0 <= probability <= 1:  # NaN fails both comparisons
                raise CallerError(
                    f"image {self.image_id!r} has probability {probability!r}, wanted 0 to 1; "
                    "if it is nan the training diverged: lower the learning rate and train again"
                )
        derived = {"calibrated": self.calibrated, "threshold": self.threshold}
        derived |= {f"calibrated_{k}": p for k, p in enumerate(self.calibrated_probabilities)}
        for name, value in derived.items():
            if value is not None and not 0 <= value <= 1:
                raise CallerError(f"image {self.image_id!r} has {name} {value!r}, wanted 0 to 1")
        calibrated = len(self.calibrated_probabilities)
        if calibrated not in (0, len(self.probabilities)):
            raise CallerError(
                f"image {self.image_id!r} has {calibrated} calibrated probabilities, wanted "
                f"{len(self.probabilities)} or none"
            )


_OF_CLASSES = {"probability": "probabilities", "calibrated": "calibrated_probabilities"}
_NUMBERS = ("probability", "calibrated", "threshold")
COLUMNS = tuple(
    field.name for field in dataclasses.fields(Prediction) if field.name not in _OF_CLASSES.values()
)
"""Header of predictions.csv; the first four are a contract with other programs. Where there are
more than two classes the probability of each follows, then the calibrated ones if there are any."""
_EARLIER = COLUMNS[: COLUMNS.index("calibrated")]  # of files written before there was calibration


def write(path: pathlib.Path, predictions: Iterable[Prediction]) -> None:
    """Writes predictions in the order given; a reader sees the old file or the new one, whole.

    Probabilities are written with as many digits as it takes to read the same float64 back.
    """
    predictions = list(predictions)
    classes = {len(prediction.probabilities) for prediction in predictions} or {0}
    assert len(classes) == 1, classes
    calibrated = max((len(image.calibrated_probabilities) for image in predictions), default=0)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(_header(COLUMNS, max(classes), calibrated))
    for image in predictions:
        of_classes = image.calibrated_probabilities or [None] * calibrated
        row = [_text(name, getattr(image, name)) for name in COLUMNS]
        table.writerow(
            [*row, *(_text("calibrated", p) for p in (*image.probabilities, *of_classes))]
        )
    files.write_text(path, text.getvalue())


def read(path: pathlib.Path) -> list[Prediction]:
    """Reads and checks what `write` wrote.

    Raises:
        CallerError: there is no such file, its header differs, or a record is not usable; names
            the file and the record, counted from 1 after the header.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.reader(file, strict=True) if row]
    except FileNotFoundError:
        raise CallerError(
            f"{path} does not exist; run the trainer with --mode=evaluate to write it"
        ) from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise CallerError(f"{path} is not a CSV file in UTF-8: {error}") from error
    header = tuple(rows[0]) if rows else ()
    columns = COLUMNS if "threshold" in header else _EARLIER
    classes, calibrated = (
        sum(name.startswith(f"{key}_") for name in header) for key in _OF_CLASSES
    )
    if (
        header != _header(columns, classes, calibrated)
        or classes in (1, 2)
        or calibrated not in (0, classes)
    ):
        raise CallerError(f"{path} has header {','.join(header)!r}, wanted {','.join(COLUMNS)!r}")
    return _predictions(path, header, rows[1:])


def _header(columns: Sequence[str], classes: int, calibrated: int) -> tuple[str, ...]:
    counts = zip(_OF_CLASSES, (classes, calibrated), strict=True)
    return (*columns, *(f"{key}_{label}" for key, count in counts for label in range(count)))


def _text(name: str, value: Any) -> str:
    """Writes a cell: nothing for None, plain numbers for NumPy's."""
    if value is None:
        return ""
    return repr(float(value)) if name in _NUMBERS else str(value)


def _predictions(
    path: pathlib.Path, header: Sequence[str], rows: Sequence[Sequence[str]]
) -> list[Prediction]:
    """Turns rows into predictions, one record of each image."""
    record_of_image: dict[str, int] = {}
    predictions = []
    for record, row in enumerate(rows, start=1):
        try:
            prediction = _prediction(header, row)
        except CallerError as error:
            raise CallerError(f"{path} record {record}: {error}") from error
        first = record_of_image.setdefault(prediction.image_id, record)
        if first != record:
            raise CallerError(
                f"{path} record {record}: image {prediction.image_id!r} stands in record {first} "
                "already; every image may stand there once"
            )
        predictions.append(prediction)
    return predictions


def _prediction(header: Sequence[str], row: Sequence[str]) -> Prediction:
    """Turns one row into a prediction; the error does not know the file."""
    if len(row) != len(header):
        raise CallerError(f"{len(row)} columns, wanted {len(header)}")
    cells: dict[str, Any] = dict(zip(header, row, strict=True))
    image_id = cells["image_id"]
    fields: dict[str, Any] = {name: text for name, text in cells.items() if name in COLUMNS}
    fields |= {name: _number(image_id, name, cells[name]) for name in _NUMBERS if name in cells}
    fields |= {
        field: tuple(
            number
            for name, text in cells.items()
            if name.startswith(f"{key}_") and (number := _number(image_id, name, text)) is not None
        )
        for key, field in _OF_CLASSES.items()
    }
    classes = max(2, len(fields["probabilities"]))
    if cells["label"] not in map(str, range(classes)):
        wanted = "0 or 1" if classes == 2 else f"0 to {classes - 1}"
        raise CallerError(f"image {image_id!r} has label {cells['label']!r}, wanted {wanted}")
    return Prediction(**{**fields, "label": int(cells["label"])})


def _number(image_id: str, name: str, text: str) -> float | None:
    """Reads a cell; None if it is empty, which probabilities may not be."""
    if not text and not name.startswith("probability"):
        return None
    try:
        return float(text)
    except ValueError:
        said = name.partition("_")[0]
        raise CallerError(
            f"image {image_id!r} has {said} {text!r}, wanted a number from 0 to 1"
        ) from None
