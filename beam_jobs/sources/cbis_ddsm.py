"""CBIS-DDSM: four case tables, and films as the NBIA retriever or a flat download leaves them.

Lee et al., Scientific Data 4:170177, 2017. A table row is one lesion on one film. Films are found
by the SeriesInstanceUID of their headers (folder and file names differ between downloads), else by
a folder named as in the tables, else by PatientID.
"""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable, Iterator, Sequence

from beam_jobs.imaging.decode import Identity
from beam_jobs.sources import files
from beam_jobs.sources.film import Film, Lesion, describe, is_mixed
from beam_jobs.storage import Folder
from flags.errors import CallerError

# calcifications first, as the authors of the paper joined them: their folds depend on it
TABLES = (
    ("calc_case_description_train_set.csv", "train"),
    ("mass_case_description_train_set.csv", "train"),
    ("calc_case_description_test_set.csv", "test"),
    ("mass_case_description_test_set.csv", "test"),
)
_COLUMNS = (
    "patient_id",
    "left or right breast",
    "image view",
    "abnormality type",
    "assessment",
    "pathology",
    "subtlety",
    "image file path",
)
_PATHOLOGIES = {
    "BENIGN": "benign",
    "BENIGN_WITHOUT_CALLBACK": "benign",
    "MALIGNANT": "malignant",
}


@dataclasses.dataclass(frozen=True)
class _Row:
    """One line of a table: a lesion, and the film it lies on."""

    patient_id: str
    side: str
    view: str
    density: str
    official_split: str
    folder: str
    series_uid: str
    lesion: Lesion


def read(
    data_dir: Folder,
    *,
    label_policy: str,
    cache: Folder,
    patient_prefix: str = "P_",
    report: Callable[[int, int], None] | None = None,
) -> list[Film]:
    """Lists the films of the tables, with the file of each where it is there.

    Args:
        data_dir: folder with tables and films, searched recursively.
        label_policy: a name of `flags.catalogue.LABEL_POLICIES`.
        cache: file that keeps what was read from headers.
        patient_prefix: how patient ids start; tells this data set from its look-alikes.
        report: called with (headers read, headers to read).

    Raises:
        CallerError: a table is missing or is not as published; with file and record.
    """
    found = files.list_files(data_dir)
    rows = [row for name, split in TABLES for row in _read_table(data_dir, found, name, split)]
    strangers = [row.patient_id for row in rows if not row.patient_id.startswith(patient_prefix)]
    if strangers:
        raise CallerError(
            f"{data_dir}: patient {strangers[0]} is not named {patient_prefix}...; "
            "these tables belong to another --dataset"
        )
    candidates = [
        file for file in found if "." not in file.name or file.name.lower().endswith(".dcm")
    ]
    folders = {row.folder for row in rows}
    identities = files.scan_headers(
        data_dir,
        candidates,
        cache=cache,
        keep_patient_id=folders.__contains__,
        report=report,
    )
    locate = _FileFinder(candidates, identities)
    return [locate.add_file(film, views) for film, views in _group(rows, label_policy)]


def _read_table(
    data_dir: Folder, found: Sequence[files.DataFile], name: str, split: str
) -> Iterator[_Row]:
    paths = [file.path for file in found if file.name == name]
    if not paths:
        raise CallerError(
            f"{data_dir} holds no {name}; put the four case tables of CBIS-DDSM beside the films "
            "(docs/data.md says where to get them)"
        )
    contents = {(data_dir / path).read_bytes() for path in paths}
    if len(contents) > 1:
        raise CallerError(f"{data_dir} holds different files named {name}: {', '.join(paths)}")
    path = data_dir / paths[0]
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, strict=True)
            fields, records = reader.fieldnames or (), list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise CallerError(f"{path} is not a CSV table in UTF-8: {error}") from error
    missing = [column for column in _COLUMNS if column not in fields]
    if missing:
        raise CallerError(
            f"{path} has no column {', '.join(map(repr, missing))}; "
            f"its header is {', '.join(fields) or 'empty'}"
        )
    for number, record in enumerate(records, 1):
        try:
            yield _parse_row(record, split)
        except ValueError as error:
            raise CallerError(f"{path} record {number}: {error}") from error


def _parse_row(record: dict[str, str | None], split: str) -> _Row:
    """Reads a record; raises ValueError with column, value and what is allowed."""
    value = {key: (text or "").strip() for key, text in record.items() if key is not None}

    def choose(column: str, allowed: dict[str, str]) -> str:
        if value[column] not in allowed:
            raise ValueError(
                f"{column} {value[column]!r} is not one of {', '.join(sorted(allowed))}"
            )
        return allowed[value[column]]

    parts = value["image file path"].split("/")
    if len(parts) != 4 or not value["patient_id"]:
        raise ValueError("image file path is not <film>/<study>/<series>/<file>, or no patient_id")
    grades = {str(grade): str(grade) for grade in range(6)}
    stated = {**grades, "0": "", "": ""}
    return _Row(
        patient_id=value["patient_id"],
        side=choose("left or right breast", {"LEFT": "left", "RIGHT": "right"}),
        view=choose("image view", {"CC": "CC", "MLO": "MLO"}),
        density=_density(value, stated),
        official_split=split,
        folder=parts[0],
        series_uid=parts[2],
        lesion=Lesion(
            pathology=choose("pathology", _PATHOLOGIES),
            abnormality=choose(
                "abnormality type", {"mass": "mass", "calcification": "calcification"}
            ),
            assessment=choose("assessment", grades),
            subtlety=choose("subtlety", stated),
            mass_shape=_stated(value.get("mass shape", "")),
            mass_margins=_stated(value.get("mass margins", "")),
            calc_type=_stated(value.get("calc type", "")),
            calc_distribution=_stated(value.get("calc distribution", "")),
        ),
    )


def _density(value: dict[str, str], stated: dict[str, str]) -> str:
    """Reads the density; its column is spelt differently in the mass and the calc tables."""
    text = value.get("breast_density", value.get("breast density"))
    if text is None:
        raise ValueError("no column 'breast_density' or 'breast density'")
    if text not in stated:
        raise ValueError(f"breast density {text!r} is not 0 to 5")
    return stated[text]


def _stated(text: str) -> str:
    return "" if text == "N/A" else text


def _group(rows: Sequence[_Row], label_policy: str) -> Iterator[tuple[Film, list[_Row]]]:
    """Gathers the lesions of each film, in order of first appearance."""
    grouped: dict[tuple[str, ...], list[_Row]] = {}
    for row in rows:
        if label_policy == "paper":
            key: tuple[str, ...] = (row.official_split, row.series_uid)
        else:
            key = (row.patient_id, row.side, row.view)
        grouped.setdefault(key, []).append(row)
    for key, group in grouped.items():
        first = group[0]
        lesions = [row.lesion for row in group]
        mixed = label_policy == "paper" and is_mixed(lesions)
        splits = {row.official_split for row in group}
        film = Film(
            film_id=first.folder if label_policy == "paper" else "_".join(key).upper(),
            patient_id=first.patient_id,
            side=first.side,
            view=first.view,
            density=max(row.density for row in group),
            official_split="+".join(sorted(splits, reverse=True)),
            copies=";".join(dict.fromkeys(row.folder for row in group)),
            excluded="label_policy=paper: benign and malignant lesions" if mixed else "",
            **describe(lesions),
        )
        yield film, group


class _FileFinder:
    """Finds the file of a film among the files of a download."""

    def __init__(
        self,
        candidates: Sequence[files.DataFile],
        identities: dict[str, Identity],
    ) -> None:
        self._by_series: dict[str, files.DataFile] = {}
        self._by_folder: dict[str, files.DataFile] = {}
        self._by_patient: dict[str, files.DataFile] = {}
        for file in candidates:
            identity = identities.get(file.path)
            if identity is not None and identity.series_uid:
                _keep_larger(self._by_series, identity.series_uid, file)
                continue
            for folder in file.path.split("/")[:-1]:
                _keep_larger(self._by_folder, folder, file)
            if identity is not None and identity.patient_id:
                _keep_larger(self._by_patient, identity.patient_id, file)

    def add_file(self, film: Film, rows: Sequence[_Row]) -> Film:
        """Returns the film with path and size, unchanged if no file is its."""
        for index, names in (
            (self._by_series, [row.series_uid for row in rows]),
            (self._by_folder, [name for row in rows for name in (row.series_uid, row.folder)]),
            (self._by_patient, [row.folder for row in rows]),
        ):
            for name in names:
                if name in index:
                    return index[name].add_to(film)
        return film


def _keep_larger(index: dict[str, files.DataFile], name: str, file: files.DataFile) -> None:
    """Of two copies of a film the smaller one may have been cut short."""
    if name not in index or file.bytes > index[name].bytes:
        index[name] = file
