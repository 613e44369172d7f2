"""Rows of a table of one's own -> what they mean: every unknown value in one line, files found."""

from __future__ import annotations

import csv
import io
import pathlib
import shlex
import unicodedata
from collections.abc import Mapping, Sequence

from beam_jobs.sources import csv_rows, table_cells
from beam_jobs.sources.source_options import SourceOptions
from beam_jobs.sources.table_mapping import FINDING_SIDE, LABELS
from beam_jobs.storage import Folder
from flags.table_columns import OF_FLAGS
from records import user_paths
from records.errors import CallerError

Row = dict[str, str]
"""Key of `flags.table_columns.COLUMNS` -> value."""
_SHOWN = 30


def parse(
    path: Folder,
    records: Sequence[csv_rows.Record],
    mapped: Mapping[str, str],
    options: SourceOptions,
) -> list[tuple[str, Row]]:
    """Returns place and meaning of each row; says what was taken for granted.

    Raises:
        CallerError: values are unknown; one line names all, and what is to be filled in.
    """
    label = next(key for key in LABELS if key in mapped)
    bad: list[tuple[str, ValueError]] = []
    unknown: dict[tuple[str, str], None] = {}
    granted: dict[tuple[str, str, str], None] = {}

    def parse_record(record: csv_rows.Record) -> tuple[str, Row]:
        row: Row = {}
        errors: list[ValueError] = []
        for key, column in mapped.items():
            text = record.cells[column]
            kind = "side" if key == FINDING_SIDE else key
            if key == FINDING_SIDE and text in ("", "B"):  # of both breasts
                continue
            try:
                row[key] = table_cells.read(
                    kind, column, text, options.values, required=key == label
                )
            except table_cells.UnknownValue as error:
                unknown[kind, text] = None
                errors.append(error)
                continue
            if row[key].casefold() != text.casefold() and (kind, text) not in options.values:
                granted[kind, text, row[key]] = None
        bad.extend((record.place, error) for error in errors[:1])
        if "view" in row and not row.get("side"):
            row["side"] = table_cells.side_of_view(record.cells[mapped["view"]])
        return record.place, row

    rows = list(map(parse_record, records))
    if bad:
        remedy = _remedy(list(unknown), options.values)

        def refuse(row: tuple[str, ValueError]) -> None:
            raise ValueError(f"{row[1]}; {remedy}")

        csv_rows.parse(path, bad, refuse, place=lambda row: row[0])
    if granted:
        said = (f"{key} {found} = {meant}" for key, found, meant in granted)
        options.note(f"taken for granted: {', '.join(said)}; --values says otherwise")
    csv_rows.parse(path, rows, _check_row, place=lambda row: row[0])
    return rows


def _check_row(record: tuple[str, Row]) -> None:
    """Raises ValueError for a row that names no image or no patient."""
    for key in ("path", "image_id", "patient_id"):
        if record[1].get(key) == "":
            raise ValueError(f"{key} is empty")


def _remedy(unknown: Sequence[tuple[str, str]], values: Mapping[tuple[str, str], str]) -> str:
    """Writes the flag with every unknown value of every column, to be filled in."""
    keys = dict.fromkeys(key for key, _ in unknown)
    given = [f"{key}:{text}={meant}" for (key, text), meant in values.items()]
    todo = [f"{key}:{text}={'...' if text else ''}" for key, text in unknown]
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([*given, *todo[:_SHOWN]])
    more = f", and {len(todo) - _SHOWN} more values" if todo[_SHOWN:] else ""
    return (
        f"map it by --values={shlex.quote(line.getvalue())}{more} (nothing after '=' means not "
        "stated) or by --values=@FILE, a table of key, found and meant; or leave the column out by "
        + " ".join(f"--{key}=none" if key in OF_FLAGS else f"--columns={key}=" for key in keys)
    )


def find_paths(
    path: Folder,
    rows: Sequence[tuple[str, Row]],
    files: Mapping[str, object],
    *,
    data_dir: str,
    prefix: user_paths.Prefix | None,
) -> None:
    """Puts the path below the data folder in each row, as the file there is called.

    Raises:
        CallerError: a path leads out of the folder, or none begins with the prefix.
    """
    composed = {unicodedata.normalize("NFC", name): name for name in files}
    if prefix and all(prefix.change(row["path"]) is None for _, row in rows):
        raise CallerError(
            f"--path_prefix={prefix}: no path of {path} begins with {prefix.old}; the first is "
            f"{rows[0][1]['path']}"
        )

    def find(record: tuple[str, Row]) -> None:
        row = record[1]
        spelled = list(user_paths.spellings(row["path"], prefix))
        below = [_below(text, data_dir) for text in spelled]
        names = [composed.get(unicodedata.normalize("NFC", text), "") for text in below if text]
        known = next(filter(None, names), None)
        if known is None and not below[-1]:
            raise ValueError(
                f"path {row['path']!r} is not a path below --data_dir, without '..'; "
                "--path_prefix=OLD=NEW changes how paths begin"
            )
        row["path"] = known or below[-1]

    csv_rows.parse(path, rows, find, place=lambda record: record[0])


def _below(text: str, data_dir: str) -> str:
    """Returns a path relative to the data folder, without '.'; "" for one that leads out of it."""
    if text.startswith("/"):
        roots = dict.fromkeys((data_dir, str(pathlib.Path(data_dir).absolute())))
        root = next((one for one in roots if text.startswith(f"{one.rstrip('/')}/")), None)
        if root is None:
            return ""
        text = text[len(root) :]
    parts = [part for part in pathlib.PurePosixPath(text.lstrip("/")).parts if part != "."]
    if not parts or ".." in parts or ":" in text[:2]:
        return ""
    return "/".join(parts)
