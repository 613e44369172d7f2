"""A folder of records on disk: names of its files, and reading manifest.json, tables and ledgers.

manifest = read_manifest(directory)
images = read_table(directory / SOURCES, schema.SOURCES_HEADER)
"""

from __future__ import annotations

import csv
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from records import csv_text, files, schema
from records.errors import CallerError
from records.files import AnyPath, DamagedFile, MissingFile
from records.manifest import Ledger, Manifest

WORK_FOLDER = ".shards"
"""Where ledgers, and shards not yet whole, lie."""
JOB = "job.json"
MANIFEST = "manifest.json"
SOURCES = "sources.csv"
UNITS = "units.csv"
"""Where a record holds several views: a row a record, as readers of sources.csv want it."""
REJECTED = "rejected.csv"
LESIONS = "lesions.csv"
OPTIONAL = (LESIONS, UNITS)
"""Files that only some folders have."""
FILES = (
    "dataset_info.json",
    "features.json",
    schema.LABELS,
    LESIONS,
    MANIFEST,
    "overview.html",
    "plan.json",
    "preview.png",
    REJECTED,
    SOURCES,
    "statistics.json",
    UNITS,
)
"""What lies beside the shards of a finished folder."""
REJECTED_HEADER = ("image_id", "path", "reason", "detail")
_SHARD = re.compile(r"\w+-(fold\d+|test)\.tfrecord-\d{5}-of-\d{5}")
_REMEDY = "remove it and convert again to restore it"


class AnyFolder(AnyPath, Protocol):
    """What is needed of a folder: a `pathlib.Path`, or one of a store with the same methods."""

    def __truediv__(self, name: str, /) -> Any: ...


def ledger_path(directory: AnyFolder, shard: str) -> Any:
    """Names the ledger of a shard."""
    return directory / WORK_FOLDER / f"{shard}.json"


def is_shard(name: str) -> bool:
    """Whether a file has the name of a shard (`records.schema.shard_name`)."""
    return bool(_SHARD.fullmatch(name))


def read_manifest(directory: AnyFolder, *, remedy: str = _REMEDY) -> Manifest:
    """Reads manifest.json.

    Args:
        directory: the folder.
        remedy: how the error message ends.

    Raises:
        MissingFile: there is none.
        DamagedFile: it is not as the conversion writes it.
        CallerError: it is of another schema version.
    """
    path = directory / MANIFEST
    content = files.read_json(path, remedy=remedy)
    schema.check_schema_version(content.get("schema_version"), str(directory))
    try:
        return Manifest.from_json(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedFile(path, f"is not as the conversion writes it: {error!r}", remedy) from error


def read_ledger(path: AnyPath) -> Ledger:
    """Reads the ledger of a shard.

    Raises:
        MissingFile: there is none: the shard is not finished.
        DamagedFile: it is not as the conversion writes it.
    """
    content = files.read_json(path, remedy=_REMEDY)
    try:
        return Ledger.from_json(content)
    except (TypeError, ValueError) as error:
        raise DamagedFile(path, str(error), _REMEDY) from error


def read_table(path: pathlib.Path, header: Sequence[str]) -> tuple[dict[str, str], ...]:
    """Reads a CSV file of one header: sources.csv, rejected.csv or lesions.csv.

    Columns that came with a later version of the schema may be missing; they are "".

    Raises:
        MissingFile: there is none.
        DamagedFile: it is no CSV, or of another header.
    """
    try:
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            reader = csv.DictReader(file, strict=True)
            rows = tuple(reader)
            found = list(reader.fieldnames or ())
    except FileNotFoundError:
        raise MissingFile(path, "does not exist", _REMEDY) from None
    except csv.Error as error:
        raise DamagedFile(path, f"is damaged ({error})", _REMEDY) from error
    if found != [one for one in header if one in found or one not in schema.LATER]:
        raise DamagedFile(path, "is damaged (its header is not the conversion's)", _REMEDY)
    for number, row in enumerate(rows, start=1):
        if None in row or None in row.values():
            raise DamagedFile(
                path, f"is damaged (row {number} has not {len(header)} cells)", _REMEDY
            )
    later = dict.fromkeys((one for one in header if one not in found), "")
    return tuple({**row, **later} for row in rows) if later else rows


def write_table(path: AnyPath, header: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Writes a CSV file that `read_table` reads; rows may have more than the columns of the header.

    The caller renames it into place.
    """
    # file names need not be UTF-8
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        csv_text.write(file, header, rows)


def read_records(directory: pathlib.Path, manifest: Manifest) -> tuple[dict[str, str], ...]:
    """Reads the row of each record, written or not: of units.csv, of images that of sources.csv.

    Raises:
        MissingFile, DamagedFile: as `read_table`.
    """
    if manifest.views:
        return read_table(directory / UNITS, schema.UNITS_HEADER)
    return read_table(directory / SOURCES, schema.SOURCES_HEADER)


def open_finished(directory: pathlib.Path, *, check_bytes: bool = True) -> Manifest:
    """Reads the manifest of a folder to train on, and makes sure that its shards are there.

    Args:
        directory: the folder.
        check_bytes: whether a shard of another size than the manifest says is refused too.

    Raises:
        CallerError: it is no such folder, not finished, of another schema version, or has lost
            or changed a shard.
    """
    if not directory.is_dir():
        raise CallerError(f"--dataset_dir={directory} is not a folder")
    if not (directory / MANIFEST).is_file():
        unfinished = (directory / WORK_FOLDER).is_dir()
        raise CallerError(
            f"{directory} holds no {MANIFEST}; "
            + (
                "its conversion is not finished: run the same command again"
                if unfinished
                else "give the folder <output_dir>/<dataset>/<H>x<W>/<recipe> of a conversion"
            )
        )
    manifest = read_manifest(directory)
    for name, entry in manifest.shards.items():
        file = directory / name
        size = file.stat().st_size if file.is_file() else -1
        if size != entry.bytes and (size < 0 or check_bytes):
            raise CallerError(
                f"{file} is {'missing' if size < 0 else f'{size} bytes'}, {MANIFEST} says "
                f"{entry.bytes} bytes; convert again to restore it"
            )
    return manifest
