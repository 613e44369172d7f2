"""What the model said about every film: the rows of predictions.csv.

write(run_dir / "predictions.csv", predictions)
predictions = read(run_dir / "predictions.csv")
"""

from __future__ import annotations

import csv
import dataclasses
import io
import os
import pathlib
from collections.abc import Iterable, Sequence

from flags.errors import CallerError


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The model's answer for one film; the fields are the columns of predictions.csv, in order.

    Attributes:
        film_id: unique name of the film within the data set.
        patient_id: patient; scores are resampled by it.
        label: the truth, the number of its class in the target.
        probability: the model's probability that the label is 1 or more, 0..1.
        split: split the film stands in, such as "test"; "" if not stated.
        side: left or right.
        view: CC or MLO.
        abnormality: kinds of lesion joined by "+".
        density: breast density as the data set grades it.
        assessment: BI-RADS assessment.
        probabilities: of each class, adding up to 1; empty if there are two classes. The columns
            probability_0, probability_1, ...

    Raises:
        CallerError: an id is missing, a text has a line break, the label is no class, or a
            probability is not in 0..1.
    """

    film_id: str
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
    probabilities: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.film_id:
            raise CallerError("a prediction has no film id; every film needs a unique one")
        if not self.patient_id:
            raise CallerError(
                f"film {self.film_id!r} has no patient id; scores are resampled by patient, so "
                "every film needs one (its own film id if patients are not known)"
            )
        texts = (self.film_id, self.patient_id, self.split, self.side, self.view)
        for text in (*texts, self.abnormality, self.density, self.assessment):
            if set(text) & set("\r\n\0"):
                raise CallerError(
                    f"film {self.film_id!r} has a line break in {text!r}, wanted none"
                )
        classes = max(2, len(self.probabilities))
        if self.label not in range(classes):
            raise CallerError(
                f"film {self.film_id!r} has label {self.label!r}, wanted "
                + ("0 or 1" if classes == 2 else f"0 to {classes - 1}")
            )
        for probability in (self.probability, *self.probabilities):
            if not 0 <= probability <= 1:  # NaN fails both comparisons
                raise CallerError(
                    f"film {self.film_id!r} has probability {probability!r}, wanted 0 to 1; "
                    "if it is nan the training diverged: lower the learning rate and train again"
                )


COLUMNS = tuple(f.name for f in dataclasses.fields(Prediction) if f.name != "probabilities")
"""Header of predictions.csv; the first four are a contract with other programs. The probability of
each class follows where there are more than two."""


def write(path: pathlib.Path, predictions: Iterable[Prediction]) -> None:
    """Writes predictions in the order given; a reader sees the old file or the new one, whole.

    Probabilities are written with as many digits as it takes to read the same float64 back.
    """
    predictions = list(predictions)
    classes = {len(prediction.probabilities) for prediction in predictions} or {0}
    assert len(classes) == 1, classes
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(_header(*classes))
    for prediction in predictions:
        row = [getattr(prediction, name) for name in COLUMNS]
        row[2:4] = int(prediction.label), repr(float(prediction.probability))
        table.writerow([*row, *(repr(float(one)) for one in prediction.probabilities)])
    write_whole(path, text.getvalue())


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
    header = rows[0] if rows else []
    classes = len(header) - len(COLUMNS)
    if tuple(header) != _header(classes if classes > 2 else 0):
        raise CallerError(f"{path} has header {','.join(header)!r}, wanted {','.join(COLUMNS)!r}")
    return _predictions(path, rows[1:], columns=len(header))


def _header(classes: int) -> tuple[str, ...]:
    return (*COLUMNS, *(f"probability_{label}" for label in range(classes)))


def _predictions(
    path: pathlib.Path, rows: Sequence[Sequence[str]], *, columns: int
) -> list[Prediction]:
    """Turns rows into predictions, one record of each film."""
    record_of_film: dict[str, int] = {}
    predictions = []
    for record, row in enumerate(rows, start=1):
        try:
            prediction = _prediction(row, columns)
        except CallerError as error:
            raise CallerError(f"{path} record {record}: {error}") from error
        first = record_of_film.setdefault(prediction.film_id, record)
        if first != record:
            raise CallerError(
                f"{path} record {record}: film {prediction.film_id!r} stands in record {first} "
                "already; every film may stand there once"
            )
        predictions.append(prediction)
    return predictions


def _prediction(row: Sequence[str], columns: int) -> Prediction:
    """Turns one row into a prediction; the error does not know the file."""
    if len(row) != columns:
        raise CallerError(f"{len(row)} columns, wanted {columns}")
    film_id, patient_id, label, probability, *rest = row
    classes = max(2, columns - len(COLUMNS))
    if label not in map(str, range(classes)):
        wanted = "0 or 1" if classes == 2 else f"0 to {classes - 1}"
        raise CallerError(f"film {film_id!r} has label {label!r}, wanted {wanted}")
    texts = dict(zip(COLUMNS[4:], rest, strict=False))
    number, *of_classes = (
        _number(film_id, text) for text in (probability, *rest[len(COLUMNS) - 4 :])
    )
    return Prediction(
        film_id, patient_id, int(label), number, **texts, probabilities=tuple(of_classes)
    )


def _number(film_id: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise CallerError(
            f"film {film_id!r} has probability {text!r}, wanted a number from 0 to 1"
        ) from None


def write_whole(path: pathlib.Path, text: str) -> None:
    """Writes UTF-8 text so that no reader, and no interruption, ever sees half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
