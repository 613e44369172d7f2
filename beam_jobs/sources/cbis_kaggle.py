"""CBIS-DDSM as Kaggle distributes it: JPEG images, dicom_info.csv, and the four case tables.

dicom_info.csv states the header of every file; the tables join it by SeriesInstanceUID.
"""

from __future__ import annotations

from collections.abc import Mapping

from beam_jobs.imaging.dicom_file import CONTENTS, Identity
from beam_jobs.sources import cbis_ddsm, csv_rows, data_files
from beam_jobs.sources.source_options import DEFAULTS, SourceOptions
from beam_jobs.sources.source_row import SourceRow
from beam_jobs.storage import Folder
from records.errors import CallerError

INFO = "dicom_info.csv"
# the columns PatientName, PatientID and others are never looked at
_COLUMNS = ("image_path", "SeriesInstanceUID", "SeriesDescription", "Rows", "Columns")


def read(data_dir: Folder, options: SourceOptions = DEFAULTS) -> list[SourceRow]:
    """Lists the images of the tables, with the JPEG file of each where it is there.

    Args:
        data_dir: folder of the unpacked download, searched recursively.
        options: label policy.

    Raises:
        CallerError: a table is missing or is not as published; with file and line.
    """
    found = data_files.list_files(data_dir)
    rows = cbis_ddsm.read_tables(data_dir, found)
    table = csv_rows.find(
        data_dir,
        found,
        INFO,
        hint="give the folder of the unpacked download, or --dataset=cbis_ddsm for DICOM images",
    )
    pairs = csv_rows.parse(table, csv_rows.read(table, columns=_COLUMNS), _parse_record)
    by_name = data_files.find_named(data_dir, found, (name for name, _ in pairs), suffixes=[".jpg"])
    identities: dict[str, Identity] = {}
    candidates = []
    for name, identity in pairs:
        if name not in by_name:
            continue
        file = by_name[name]
        if file.path in identities:
            raise CallerError(f"{table} lists {name}.jpg twice; download it again")
        identities[file.path] = identity
        candidates.append(file)
    return cbis_ddsm.list_images(rows, candidates, identities, label_policy=options.label_policy)


def _short(path: str) -> str:
    """Takes <series>/<file> of the path: it does not depend on where the download lies."""
    return "/".join(path[: -len(".jpg")].split("/")[-2:])


def _parse_record(record: csv_rows.Record) -> tuple[str, Identity]:
    """Reads a record; raises ValueError with column, value and what is allowed."""
    path = record.demand("image_path")
    if len(path.split("/")) < 2 or not path.endswith(".jpg"):
        raise ValueError(f"image_path {path!r} is not .../<series>/<file>.jpg")
    contents: Mapping[str, str] = {"": "", **CONTENTS}
    return _short(path), Identity(
        series_uid=record.demand("SeriesInstanceUID"),
        patient_id="",
        content=record.choose("SeriesDescription", contents),
        rows=_whole(record, "Rows"),
        columns=_whole(record, "Columns"),
    )


def _whole(record: csv_rows.Record, column: str) -> int:
    text = record.cells[column]
    if not text.isdecimal():
        raise ValueError(f"{column} {text!r} is not a whole number of pixels")
    return int(text)
