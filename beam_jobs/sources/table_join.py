"""--match=header: rows of a table without file names -> DICOM files, by what their headers say.

A row fits the files of its patient (or accession number) that agree in date, side and view as far
as the row states them.
"""

from __future__ import annotations

import collections
import datetime
from collections.abc import Callable, Mapping, Sequence

from beam_jobs.sources import csv_rows
from beam_jobs.sources.data_files import DataFile
from beam_jobs.sources.header_list import Header, list_headers
from beam_jobs.sources.source_options import SourceOptions
from beam_jobs.sources.table_cells import short_number
from beam_jobs.sources.table_rows import Row
from beam_jobs.storage import Folder

_VALUES: Mapping[str, Callable[[Header], str]] = {
    "accession": lambda header: header.origin.accession,
    "patient_id": lambda header: header.identity.patient_id,
    "study_date": lambda header: header.origin.study_date,
    "side": lambda header: header.identity.side,
    "view": lambda header: header.identity.view,
}
_DATES = ("%Y-%m-%d", "%Y%m%d", "%d.%m.%Y", "%d.%m.%y", "%Y-%m-%d %H:%M:%S")
_AMBIGUOUS = "match=header: several examinations fit; state study_date or accession"


def join(
    path: Folder,
    rows: Sequence[tuple[str, Row]],
    *,
    data_dir: Folder,
    files: Sequence[DataFile],
    options: SourceOptions,
) -> list[tuple[str, Row]]:
    """Returns a row for each file that a row of the table fits; one without a file where none does.

    Args:
        path: the table, for messages.
        rows: place and meaning of each row.
        data_dir: folder of the images.
        files: its files.
        options: report of headers, and who hears how many files have no row.

    Raises:
        CallerError: a date can't be read.
    """
    headers = list_headers(data_dir, files, report=options.report)
    headers = [one for one in headers if one.identity.content in ("", "image")]
    csv_rows.parse(path, rows, _read_date, place=lambda record: record[0])
    by_id: dict[tuple[str, str], list[Header]] = collections.defaultdict(list)
    for header in headers:
        for key in ("accession", "patient_id"):
            for text in dict.fromkeys((_VALUES[key](header), short_number(_VALUES[key](header)))):
                by_id[key, text].append(header)
    joined: list[tuple[str, Row]] = []
    for place, row in rows:
        fitting = _find(row, by_id)
        joined += [(place, _add(row, header)) for header in fitting]
        if not fitting:
            name = " ".join(filter(None, (row.get(key, "") for key in _VALUES)))
            joined.append((place, {**row, "path": "", "image_id": f"{name} ({place})"}))
        if len({header.examination for header in fitting}) > 1:
            for _, one in joined[-len(fitting) :]:
                one["excluded"] = _AMBIGUOUS
    used = {row["path"] for _, row in joined}
    if others := sum(header.file.path not in used for header in headers):
        options.note(f"{others} of {len(headers)} DICOM files fit no row of the table; left out")
    return joined


def _read_date(record: tuple[str, Row]) -> None:
    row = record[1]
    if row.get("study_date"):
        row["study_date"] = _parse_date(row["study_date"])


def _parse_date(text: str) -> str:
    """Returns a date as DICOM has it, 20240131; raises ValueError for any other form."""
    for form in _DATES:
        try:
            return datetime.datetime.strptime(text, form).strftime("%Y%m%d")
        except ValueError:
            continue
    raise ValueError(f"study_date {text!r} is not like 2024-01-31, 31.01.2024 or 20240131")


def _find(row: Row, by_id: Mapping[tuple[str, str], Sequence[Header]]) -> list[Header]:
    key = next((key for key in ("accession", "patient_id") if row.get(key)), "")
    ways = (row[key], short_number(row[key])) if key else ()
    found = next((by_id[key, text] for text in ways if (key, text) in by_id), ())
    return [header for header in found if _fits(row, header)]


def _fits(row: Row, header: Header) -> bool:
    """Tells whether a header agrees with all that a row states."""
    stated = {key: row[key] for key in _VALUES if row.get(key)}
    return all(
        short_number(value) == short_number(_VALUES[key](header)) for key, value in stated.items()
    )


def _add(row: Row, header: Header) -> Row:
    """Returns a row with its file, and what only the header says."""
    said = {key: _VALUES[key](header) for key in ("side", "view")}
    filled = {key: row.get(key) or value for key, value in said.items()}
    # as the header writes it: a spreadsheet may have taken its zeros away
    patient = header.identity.patient_id or row.get("patient_id") or header.file.path
    name = {} if "image_id" not in row else {"image_id": f"{row['image_id']} {header.file.path}"}
    return {**row, **filled, **name, "patient_id": patient, "path": header.file.path}
