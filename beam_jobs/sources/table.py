"""Any table of images, CSV, Excel or Parquet: one row an image, or one row a lesion of an image.

The table's columns and values are mapped by --columns and --values. What is taken for granted is
said; a cell that is neither known nor mapped, an image without label and a table without patients
are refused.
"""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from beam_jobs.sources import (
    csv_rows,
    data_files,
    parquet_rows,
    table_cells,
    table_join,
    table_rows,
)
from beam_jobs.sources.source_options import DEFAULTS, SourceOptions
from beam_jobs.sources.source_row import Lesion, SourceRow, describe, is_mixed
from beam_jobs.sources.table_mapping import FINDING_SIDE, map_columns
from beam_jobs.sources.table_rows import Row
from beam_jobs.storage import Folder
from flags.table_columns import OF_FLAGS
from records import schema
from records.errors import CallerError
from records.printable import counted

_TABLES = (".csv", ".parquet", ".xlsx", ".tsv")
_OWN_KEYS = tuple(
    feature.key
    for feature in schema.FEATURES
    if feature.table and not feature.of_lesions and feature.key not in ("image_id", "patient_id")
)
_IMAGE_KEYS = ("path", "patient_id", *_OWN_KEYS, "split", *OF_FLAGS)
"""Columns an image has one value of, however many lesions."""
_LESION_KEYS = tuple(field.name for field in dataclasses.fields(Lesion) if field.name != "circle")
_OTHER_BREAST = "table: all its findings are of the other breast"
_NAME = re.compile(r"[^\W\d_]{2,}[-^, ]+[^\W\d_]{2,}.*")
"""An id that reads like a person's name: two words of letters."""
_VIEW = re.compile(r".*[^A-Za-z0-9](?:CC|MLO)", re.IGNORECASE)
"""An id that names a view, as PatientID of CBIS-DDSM: one image's, not its patient's."""


def read(data_dir: Folder, options: SourceOptions = DEFAULTS) -> list[SourceRow]:
    """Lists the images of the table, with the file of each where it is there.

    Args:
        data_dir: folder the paths of the table are relative to.
        options: table, columns, values, how files are found, and label policy.

    Raises:
        CallerError: the table can't be found or used; with line, column, value and remedy.
    """
    found = data_files.list_files(data_dir)
    path = data_dir / (options.table or _find_table(data_dir, found))
    records = _drop_repeats(_read_records(path), options)
    if not records:
        raise CallerError(f"{path} has no rows; a table has a header and a row for each image")
    by_header = options.match == "header"
    mapped = map_columns(
        path,
        list(records[0].cells),
        options.columns,
        by_header=by_header,
        exams=options.exams,
        note=options.note,
    )
    by_path = {file.path: file for file in found}
    rows = table_rows.parse(path, records, mapped, options)
    _unite_spellings([row for _, row in rows if "patient_id" in row], options)
    if by_header:
        rows = table_join.join(path, rows, data_dir=data_dir, files=found, options=options)
    else:
        table_rows.find_paths(
            path, rows, by_path, data_dir=str(data_dir), prefix=options.path_prefix
        )
    images = _group(path, rows)
    _note_patients(images, options)
    _note_contradictions(images, options)
    return [_make_image(name, rows, options.label_policy, by_path) for name, rows in images.items()]


def _find_table(data_dir: Folder, found: Sequence[data_files.DataFile]) -> str:
    tables = [file.path for file in found if file.name.lower().endswith(_TABLES)]
    tables = [path for path in tables if not path.rsplit("/", 1)[-1].startswith(("~$", "._"))]
    if len(tables) != 1:
        raise CallerError(
            f"{data_dir} holds {len(tables)} CSV, Excel or Parquet files"
            + (f" ({', '.join(tables[:3])})" if tables else "")
            + "; name the table by --table=FILE"
        )
    return tables[0]


def _read_records(path: Folder) -> list[csv_rows.Record]:
    try:
        if path.name.lower().endswith(".parquet"):
            return parquet_rows.read(path)
        return csv_rows.read(path, columns=())
    except OSError as error:
        raise CallerError(
            f"--table: {path} can't be read ({error.strerror}); relative paths start at --data_dir"
        ) from error


def _drop_repeats(
    records: Sequence[csv_rows.Record], options: SourceOptions
) -> list[csv_rows.Record]:
    """Leaves out rows that repeat another in every cell: typed twice, they are no second lesion."""
    distinct = {tuple(record.cells.values()): record for record in reversed(records)}
    if len(distinct) < len(records):
        repeats = counted(len(records) - len(distinct), "rows")
        options.note(f"left out: {repeats} of the table, the same as another in every cell")
    return list(reversed(distinct.values()))


def _group(path: Folder, rows: Iterable[tuple[str, Row]]) -> dict[str, list[Row]]:
    """Gathers the rows of each image.

    Raises:
        CallerError: rows of an image differ in what it has one of, or two images share a file.
    """
    images: dict[str, list[Row]] = {}
    image_of: dict[str, str] = {}

    def add(record: tuple[str, Row]) -> None:
        _add_row(record[1], images, image_of)

    csv_rows.parse(path, rows, add, place=lambda record: record[0])
    return images


def _add_row(row: Row, images: dict[str, list[Row]], image_of: dict[str, str]) -> None:
    """Adds a row to those of its image; raises ValueError where it contradicts them."""
    image_id = row.get("image_id", row["path"])
    first = images.get(image_id, [row])[0]
    for key in _IMAGE_KEYS:
        if row.get(key) != first.get(key):
            raise ValueError(
                f"image {image_id} has {key} {row[key]!r} here and {first[key]!r} above; "
                "it can have one"
            )
    if row["path"] and image_of.setdefault(row["path"], image_id) != image_id:
        raise ValueError(f"{row['path']} is image {image_id} here and another image above")
    images.setdefault(image_id, []).append(row)


def _unite_spellings(rows: Sequence[Row], options: SourceOptions) -> None:
    """Gives a patient one id whose number is written in several ways: 007, 7 and 7.0."""
    spelled: dict[str, set[str]] = collections.defaultdict(set)
    for row in rows:
        spelled[table_cells.short_number(row["patient_id"])].add(row["patient_id"])
    several = {
        number: max(texts, key=lambda text: (text.isdecimal(), len(text)))
        for number, texts in spelled.items()
        if len(texts) > 1
    }
    for row in rows:
        number = table_cells.short_number(row["patient_id"])
        row["patient_id"] = several.get(number, row["patient_id"])
    if several:
        options.note(
            f"warning: {counted(len(several), 'patients')} whose number is written in several ways "
            "(zeros before it, .0 behind it): each is taken as one"
        )


def _note_patients(images: Mapping[str, Sequence[Row]], options: SourceOptions) -> None:
    """Warns of ids that are not a patient's, and of names in clear, without quoting one."""
    patients = {rows[0].get("patient_id", "") for rows in images.values()}
    of_views = {patient for patient in patients if _VIEW.fullmatch(patient)}
    if of_views:
        options.note(
            f"warning: {len(of_views)} of {len(patients)} patient ids end in a view, as if each "
            "image were another patient's; a patient's images could then train and test the same "
            "model: --columns=patient_id=COLUMN names a column of patients"
        )
    named = sum(bool(_NAME.fullmatch(patient)) for patient in patients - of_views)
    if named and not options.hashed:
        options.note(
            f"warning: {named} of {len(patients)} patient ids read like names of persons, and "
            "records and sources.csv would hold them; --hash_patients=KEYFILE writes keyed hashes"
        )


def _note_contradictions(images: Mapping[str, Sequence[Row]], options: SourceOptions) -> None:
    kinds = [{row.get("pathology", "") for row in rows} for rows in images.values()]
    count = sum(bool(kind & {"benign", "malignant"} and "normal" in kind) for kind in kinds)
    if count:
        images_of = counted(count, "images")
        options.note(f"warning: {images_of} with a row that says normal beside one of a lesion")
    odd = sum(
        row.get("pathology") == "malignant" and row.get("assessment") in ("1", "2")
        for rows in images.values()
        for row in rows
    )
    if odd:
        options.note(
            f"warning: {counted(odd, 'rows')} with malignant beside BI-RADS 1 or 2; see if it is so"
        )


def _make_lesion(row: Mapping[str, str]) -> Lesion:
    stated: dict[str, Any] = {key: row.get(key, "") for key in _LESION_KEYS}
    return Lesion(**stated)


def _make_image(
    image_id: str,
    rows: Sequence[Row],
    label_policy: str,
    by_path: Mapping[str, data_files.DataFile],
) -> SourceRow:
    first = rows[0]
    lesions = [_make_lesion(row) for row in rows if not _of_other_breast(row)]
    excluded = first.get("excluded", "")
    if not lesions:
        lesions, excluded = [Lesion("", "")], _OTHER_BREAST
    elif label_policy == "paper" and is_mixed(lesions):
        excluded = excluded or "label_policy=paper: benign and malignant lesions"
    own: dict[str, Any] = {key: first.get(key, "") for key in _OWN_KEYS}
    image = SourceRow(
        image_id=image_id,
        patient_id=first.get("patient_id", image_id),
        official_split=first.get("split", ""),
        excluded=excluded,
        exam=first.get("accession") or first.get("study_date", ""),
        **table_cells.of_pixels(first),
        **own,
        **describe(lesions),
    )
    file = by_path.get(first["path"])
    return image if file is None else file.add_to(image)


def _of_other_breast(row: Row) -> bool:
    """Tells whether a finding of EMBED's joined table is not of the breast its image shows."""
    return {row.get(FINDING_SIDE, ""), row.get("side", "")} == {"left", "right"}
