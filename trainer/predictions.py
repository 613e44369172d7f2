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
        label: 0 or 1, the truth as the target names it.
        probability: the model's probability of label 1, 0..1.
        split: split the film stands in, such as "test"; "" if not stated.
        side: left or right.
        view: CC or MLO.
        abnormality: kinds of lesion joined by "+".
        density: breast density as the data set grades it.
        assessment: BI-RADS assessment.

    Raises:
        CallerError: an id is missing, a text has a line break, the label is not 0 or 1, or the
            probability not in 0..1.
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
        if self.label not in (0, 1):
            raise CallerError(f"film {self.film_id!r} has label {self.label!r}, wanted 0 or 1")
        if not 0 <= self.probability <= 1:  # NaN fails both comparisons
            raise CallerError(
                f"film {self.film_id!r} has probability {self.probability!r}, wanted 0 to 1; "
                "if it is nan the training diverged: lower the learning rate and train again"
            )


COLUMNS = tuple(field.name for field in dataclasses.fields(Prediction))
"""Header of predictions.csv; the first four are a contract with other programs."""


def write(path: pathlib.Path, predictions: Iterable[Prediction]) -> None:
    """Writes predictions in the order given; a reader sees the old file or the new one, whole.

    Probabilities are written with as many digits as it takes to read the same float64 back.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for prediction in predictions:
        film_id, patient_id, label, probability, *rest = dataclasses.astuple(prediction)
        table.writerow([film_id, patient_id, int(label), repr(float(probability)), *rest])
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
    if tuple(header) != COLUMNS:
        raise CallerError(f"{path} has header {','.join(header)!r}, wanted {','.join(COLUMNS)!r}")
    return _predictions(path, rows[1:])


def _predictions(path: pathlib.Path, rows: Sequence[Sequence[str]]) -> list[Prediction]:
    """Turns rows into predictions, one record of each film."""
    record_of_film: dict[str, int] = {}
    predictions = []
    for record, row in enumerate(rows, start=1):
        try:
            prediction = _prediction(row)
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


def _prediction(row: Sequence[str]) -> Prediction:
    """Turns one row into a prediction; the error does not know the file."""
    if len(row) != len(COLUMNS):
        raise CallerError(f"{len(row)} columns, wanted {len(COLUMNS)}")
    film_id, patient_id, label, probability, *rest = row
    if label not in ("0", "1"):
        raise CallerError(f"film {film_id!r} has label {label!r}, wanted 0 or 1")
    try:
        number = float(probability)
    except ValueError:
        raise CallerError(
            f"film {film_id!r} has probability {probability!r}, wanted a number from 0 to 1"
        ) from None
    return Prediction(
        film_id, patient_id, int(label), number, **dict(zip(COLUMNS[4:], rest, strict=True))
    )


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
