"""Predictions of evaluated images, and predictions.csv, which holds one an image.

write(run_dir / "predictions.csv", predictions)
predictions = read(run_dir / "predictions.csv")
"""

from __future__ import annotations

import csv
import dataclasses
import io
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from records import csv_text, files, schema
from records.errors import CallerError
from trainer.metrics.intervals import Floats

Labels = NDArray[np.int64]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassProbabilities:
    """What a network gives for one image: the probability of each class.

    Attributes:
        probabilities: of each of the K classes, two or more, adding up to 1.
        calibrated_probabilities: the same calibrated, empty if the network could not be.
        threshold: what `probability` must exceed for the image to count as label 1, chosen on the
            validation images of the network, 0..1; None if none could be.

    Raises:
        CallerError: a probability is not in 0..1, or there are not as many calibrated ones.
    """

    probabilities: tuple[float, ...]
    calibrated_probabilities: tuple[float, ...] = ()
    threshold: float | None = None

    @property
    def probability(self) -> float:
        """Probability that the label is 1 or more, 0..1."""
        return _of_one_or_more(self.probabilities)

    @property
    def calibrated(self) -> float | None:
        """Calibrated probability that the label is 1 or more, 0..1; None if there is none."""
        if not self.calibrated_probabilities:
            return None
        return _of_one_or_more(self.calibrated_probabilities)

    def __post_init__(self) -> None:
        for probability in reversed(self.probabilities):  # of two classes the one that was given
            if not 0 <= probability <= 1:  # NaN fails both comparisons
                raise CallerError(
                    f"{self._name()} has probability {probability!r}, wanted 0 to 1; if it is "
                    "nan the training diverged: lower the learning rate and train again"
                )
        calibrated = self.calibrated_probabilities
        names = [f"calibrated_{label}" for label in range(len(calibrated))]
        if len(calibrated) == 2:
            names = ["", "calibrated"]
        derived = dict(zip(names[::-1], calibrated[::-1], strict=True))
        derived |= {} if self.threshold is None else {"threshold": self.threshold}
        for name, value in derived.items():
            if not 0 <= value <= 1:
                raise CallerError(f"{self._name()} has {name} {value!r}, wanted 0 to 1")
        if len(calibrated) not in (0, len(self.probabilities)):
            raise CallerError(
                f"{self._name()} has {len(calibrated)} calibrated probabilities, wanted "
                f"{len(self.probabilities)} or none"
            )

    def _name(self) -> str:
        return "a prediction"


def as_probabilities(row: Sequence[float] | Floats) -> tuple[float, ...]:
    """Turns the probabilities of the classes [K] into what a prediction holds.

    Of two classes predictions.csv keeps that of label 1 alone; that of label 0 is what is left.
    """
    values = tuple(map(float, row))
    return two_classes(values[1]) if len(values) == 2 else values


def two_classes(probability: float) -> tuple[float, float]:
    """Puts the probability of label 0 before that of label 1."""
    return 1 - float(probability), float(probability)


def mean_probabilities(rows: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Averages the probabilities of several predictions [n, K], class by class: [K]."""
    return as_probabilities([float(np.mean(column)) for column in zip(*rows, strict=True)])


def _of_one_or_more(probabilities: Sequence[float]) -> float:
    return float(np.minimum(1.0, np.sum(probabilities[1:])))  # NaN stays NaN


@dataclasses.dataclass(frozen=True)
class Prediction(ClassProbabilities):
    """One evaluated image: whose it is, what it truly is, and what a network gave for it.

    Attributes:
        image_id: unique name of the image within the data set.
        patient_id: patient; scores are resampled by it.
        label: the truth, the number of its class in the target.
        split: split the image stands in, such as "test"; "" if not stated.
        image_ids: of a breast or examination the images of its views, joined by ';'.
        columns: of the record, by key of `schema.TITLES`; those not given are "".

    Raises:
        CallerError: an id is missing, the label is no class, a
            probability is not in 0..1, or there are not as many calibrated ones.
    """

    image_id: str
    patient_id: str
    label: int
    _: dataclasses.KW_ONLY
    split: str = ""
    image_ids: str = ""
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict, hash=False)

    @property
    def probability_of_truth(self) -> float:
        """Probability of the class the image is of, 0..1."""
        return self.probabilities[self.label]

    def __post_init__(self) -> None:
        if not self.image_id:
            raise CallerError("a prediction has no image id; every image needs a unique one")
        if not self.patient_id:
            raise CallerError(
                f"image {self.image_id!r} has no patient id; scores are resampled by patient, so "
                "every image needs one (its own image id if patients are not known)"
            )
        assert self.columns.keys() <= schema.TITLES.keys(), self.columns
        columns = {**dict.fromkeys(schema.TITLES, ""), **self.columns}
        object.__setattr__(self, "columns", columns)
        classes = len(self.probabilities)
        if self.label not in range(classes):
            raise CallerError(
                f"image {self.image_id!r} has label {self.label!r}, wanted {_labels(classes)}"
            )
        super().__post_init__()

    def _name(self) -> str:
        return f"image {self.image_id!r}"


def _labels(classes: int) -> str:
    return "0 or 1" if classes == 2 else f"0 to {classes - 1}"


_FIRST = ("image_id", "patient_id", "label", "probability", "split")
COLUMNS = (*_FIRST, *schema.TITLES, "calibrated", "threshold", "image_ids")
"""Header of predictions.csv; the first four are a contract with other programs, and the last stands
there only where the rows are breasts or examinations. Where there are
more than two classes the probability of each follows, probability_0, probability_1, ..., then the
calibrated ones, calibrated_0, ..., if there are any. A file written before there was a column need
not have it, except for _FIRST."""
_OF_CLASSES = {"probability": "probabilities", "calibrated": "calibrated_probabilities"}
_NUMBERS = ("probability", "calibrated", "threshold")


def write(path: pathlib.Path, predictions: Iterable[Prediction]) -> None:
    """Writes predictions in the order given; a reader sees the old file or the new one, whole.

    Probabilities are written with as many digits as it takes to read the same float64 back.
    """
    predictions = list(predictions)
    sizes = {len(prediction.probabilities) for prediction in predictions} or {2}
    assert len(sizes) == 1, sizes
    calibrated = max((len(image.calibrated_probabilities) for image in predictions), default=0)
    counts = [0 if count == 2 else count for count in (*sizes, calibrated)]
    text = io.StringIO()
    table = csv_text.writer(text)
    several = any(image.image_ids for image in predictions)
    columns = COLUMNS if several else COLUMNS[:-1]
    table.writerow(_header(columns, *counts))
    for image in predictions:
        of_classes = (image.probabilities, image.calibrated_probabilities or [None] * calibrated)
        numbers = [p for row, count in zip(of_classes, counts, strict=True) for p in row[:count]]
        texts = [
            image.columns[name] if name in image.columns else _text(name, getattr(image, name))
            for name in columns
        ]
        table.writerow([*texts, *(_text("probability", number) for number in numbers)])
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
        raise CallerError(f"{path} does not exist; python -m trainer evaluate writes it") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise CallerError(f"{path} is not a CSV file in UTF-8: {error}") from error
    header = tuple(rows[0]) if rows else ()
    columns = [name for name in COLUMNS if name in header or name in _FIRST]
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
    cells = dict(zip(header, row, strict=True))
    image_id = cells["image_id"]
    numbers = {
        name: _number(image_id, name, text)
        for name, text in cells.items()
        if name.partition("_")[0] in _NUMBERS
    }
    fields = {field: _probabilities(key, numbers) for key, field in _OF_CLASSES.items()}
    classes = len(fields["probabilities"])
    if cells["label"] not in map(str, range(classes)):
        raise CallerError(
            f"image {image_id!r} has label {cells['label']!r}, wanted {_labels(classes)}"
        )
    return Prediction(
        image_id,
        cells["patient_id"],
        int(cells["label"]),
        split=cells["split"],
        image_ids=cells.get("image_ids", ""),
        columns={key: cells[key] for key in schema.TITLES if key in cells},
        threshold=numbers.get("threshold"),
        **fields,
    )


def _probabilities(key: str, numbers: Mapping[str, float | None]) -> tuple[float, ...]:
    """Takes the probabilities of the classes out of a row: those of each, or that of label 1."""
    several = [value for name, value in numbers.items() if name.startswith(f"{key}_")]
    if not several:
        one = numbers.get(key)
        return () if one is None else two_classes(one)
    return tuple(value for value in several if value is not None)


def _number(image_id: str, name: str, text: str) -> float | None:
    """Reads a cell; None if it is empty, which probabilities may not be."""
    if not text and not name.startswith("probability"):
        return None
    try:
        return float(text)
    except ValueError:
        column = name.partition("_")[0]
        raise CallerError(
            f"image {image_id!r} has {column} {text!r}, wanted a number from 0 to 1"
        ) from None
