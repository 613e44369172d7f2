"""Any table of images, CSV or Parquet: one row an image, or one row a lesion of an image.

The table's columns and values are mapped by --columns and --values. Nothing is guessed: a cell
that is neither allowed nor mapped, an image without label and a table without patients are refused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from beam_jobs.sources import csv_rows, data_files, parquet_rows, table_cells
from beam_jobs.sources.source_options import DEFAULTS, SourceOptions
from beam_jobs.sources.source_row import Lesion, SourceRow, describe, is_mixed
from beam_jobs.storage import Folder
from flags.table_columns import COLUMNS
from records import schema
from records.errors import CallerError

_LABELS = ("pathology", "assessment", "abnormality")
_OWN_KEYS = tuple(
    feature.key
    for feature in schema.FEATURES
    if feature.table and not feature.of_lesions and feature.key not in ("image_id", "patient_id")
)
_IMAGE_KEYS = ("path", "patient_id", *_OWN_KEYS, "split")
"""Columns an image has one value of, however many lesions."""
_LESION_KEYS = tuple(field.name for field in dataclasses.fields(Lesion) if field.name != "circle")


def read(data_dir: Folder, options: SourceOptions = DEFAULTS) -> list[SourceRow]:
    """Lists the images of the table, with the file of each where it is there.

    Args:
        data_dir: folder the paths of the table are relative to.
        options: table, columns, values and label policy.

    Raises:
        CallerError: the table can't be found or used; with line, column, value and remedy.
    """
    found = data_files.list_files(data_dir)
    path = data_dir / (options.table or _find_table(data_dir, found))
    records = _read_records(path)
    if not records:
        raise CallerError(f"{path} has no rows; a table has a header and a row for each image")
    mapped = _map_columns(path, list(records[0].cells), options.columns)
    images: dict[str, list[dict[str, str]]] = {}
    image_of: dict[str, str] = {}

    def add(record: csv_rows.Record) -> None:
        _add_row(_parse_record(record, mapped, options.values), images, image_of)

    csv_rows.parse(path, records, add)
    by_path = {file.path: file for file in found}
    return [_make_image(name, rows, options.label_policy, by_path) for name, rows in images.items()]


def _find_table(data_dir: Folder, found: Sequence[data_files.DataFile]) -> str:
    tables = [file.path for file in found if file.name.lower().endswith((".csv", ".parquet"))]
    if len(tables) != 1:
        raise CallerError(
            f"{data_dir} holds {len(tables)} CSV or Parquet files"
            + (f" ({', '.join(tables[:3])})" if tables else "")
            + "; name the table by --table=FILE"
        )
    return tables[0]


def _read_records(path: Folder) -> list[csv_rows.Record]:
    try:
        if path.name.lower().endswith(".parquet"):
            return parquet_rows.read(path)
        with path.open(encoding="utf-8-sig", errors="replace") as stream:
            header = stream.readline()
    except OSError as error:
        raise CallerError(
            f"--table: {path} can't be read ({error.strerror}); give its path below --data_dir"
        ) from error
    # the delimiter is the one the header has most of; a comma if it has none
    delimiter = max(",;\t", key=header.count)
    return csv_rows.read(path, columns=(), delimiter=delimiter)


def _map_columns(path: Folder, header: Sequence[str], columns: Mapping[str, str]) -> dict[str, str]:
    """Returns key -> column for all keys the table states."""
    named = {key: column for key, column in columns.items() if column}
    csv_rows.check_header(path, header, named.values())
    own = {key: key for key in COLUMNS if key in header and key not in columns and key != "split"}
    mapped = {**own, **named}
    for key, remedy in (
        ("path", "say which by --columns=path=COLUMN"),
        (
            "patient_id",
            "say which by --columns=patient_id=COLUMN, or --columns=patient_id= if every image "
            "is of another patient (else a patient would train and test the same model)",
        ),
    ):
        if key not in mapped and (key == "path" or key not in columns):
            raise CallerError(
                f"{path} has no column {key!r}; its header is {', '.join(header)}; {remedy}"
            )
    if not any(key in mapped for key in _LABELS):
        raise CallerError(
            f"{path} has no label: no column {', '.join(_LABELS)}; its header is "
            f"{', '.join(header)}; say which by --columns=pathology=COLUMN"
        )
    return mapped


def _parse_record(
    record: csv_rows.Record, mapped: Mapping[str, str], values: Mapping[tuple[str, str], str]
) -> dict[str, str]:
    """Returns key -> value of a row; raises ValueError with column, value and remedy."""
    label = next(key for key in _LABELS if key in mapped)
    return {
        key: table_cells.read(key, column, record.cells[column], values, required=key == label)
        for key, column in mapped.items()
    }


def _add_row(
    row: dict[str, str], images: dict[str, list[dict[str, str]]], image_of: dict[str, str]
) -> None:
    """Adds a row to those of its image.

    Args:
        row: key -> value.
        images: image -> its rows.
        image_of: path -> image.

    Raises:
        ValueError: the image's rows differ in what an image has one of, or two images share a file.
    """
    image_id = row.get("image_id", row["path"])
    first = images.get(image_id, [row])[0]
    for key in _IMAGE_KEYS:
        if row.get(key) != first.get(key):
            raise ValueError(
                f"image {image_id} has {key} {row[key]!r} here and {first[key]!r} above; "
                "it can have one"
            )
    if image_of.setdefault(row["path"], image_id) != image_id:
        raise ValueError(f"{row['path']} is image {image_id} here and another image above")
    images.setdefault(image_id, []).append(row)


def _make_lesion(row: Mapping[str, str]) -> Lesion:
    stated: dict[str, Any] = {key: row.get(key, "") for key in _LESION_KEYS}
    return Lesion(**stated)


def _make_image(
    image_id: str,
    rows: Sequence[Mapping[str, str]],
    label_policy: str,
    by_path: Mapping[str, data_files.DataFile],
) -> SourceRow:
    first = rows[0]
    lesions = [_make_lesion(row) for row in rows]
    mixed = label_policy == "paper" and is_mixed(lesions)
    own: dict[str, Any] = {key: first.get(key, "") for key in _OWN_KEYS}
    image = SourceRow(
        image_id=image_id,
        patient_id=first.get("patient_id", image_id),
        official_split=first.get("split", ""),
        excluded="label_policy=paper: benign and malignant lesions" if mixed else "",
        **own,
        **describe(lesions),
    )
    file = by_path.get(first["path"])
    return image if file is None else file.add_to(image)
