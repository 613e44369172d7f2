"""A folder to verify: finding it, and reading its manifest, sources.csv and ledgers."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from beam_jobs.verify.discrepancy import BrokenFolder, damage
from beam_jobs.verify.shard_checks import Expected
from flags import datasets
from records import files, schema
from records import folder as names
from records.errors import CallerError
from records.manifest import Ledger, Manifest


@dataclasses.dataclass(frozen=True)
class CheckedFolder:
    """A finished output by its manifest, sources.csv and ledgers.

    Attributes:
        directory: the folder.
        manifest: its manifest.json.
        rows: rows of sources.csv, in its order.
        records: rows of units.csv; where a record is one image, those of sources.csv.
        ledgers: ledger of each shard; empty where the folder was copied without them.
    """

    directory: pathlib.Path
    manifest: Manifest
    rows: tuple[dict[str, str], ...]
    records: tuple[dict[str, str], ...]
    ledgers: Mapping[str, Ledger]

    @property
    def expected(self) -> Expected:
        """What its shards should hold."""
        return Expected(
            self.manifest.size,
            self.manifest.shards,
            {row["image_id"]: row for row in self.records},
            self.manifest.unit,
        )


def find_folders(directory: pathlib.Path, depth: int = 3) -> list[pathlib.Path]:
    """Finds the outputs in a folder: itself, or up to dataset/size/recipe below it."""
    entries = sorted(directory.iterdir(), key=lambda entry: entry.name)
    present = {entry.name for entry in entries}
    if present & {names.MANIFEST, names.WORK_FOLDER} or any(".tfrecord-" in n for n in present):
        return [directory]
    if not depth:
        return []
    return [
        found
        for entry in entries
        if entry.is_dir() and not entry.name.startswith(".")
        for found in find_folders(entry, depth - 1)
    ]


def open_folder(directory: pathlib.Path) -> CheckedFolder:
    """Reads manifest, table and ledgers.

    Raises:
        BrokenFolder: manifest.json, sources.csv or a ledger can't be read.
        CallerError: the folder is of another schema version.
    """
    with broken_if_damaged():
        manifest = names.read_manifest(directory)
        if (version := manifest.job.schema_version) != schema.SCHEMA_VERSION:
            raise CallerError(
                f"{directory} has schema version {version}, which can be trained on; this program "
                f"verifies {schema.SCHEMA_VERSION}: convert the images again"
            )
        if manifest.dataset not in datasets.DATASETS:
            what = f"is not as the conversion writes it: no data set {manifest.dataset!r}"
            raise BrokenFolder(damage(names.MANIFEST, what))
        rows = names.read_table(directory / names.SOURCES, schema.sources_header(manifest.unit))
        records = names.read_records(directory, manifest) if manifest.views else rows
    ledgers = {}
    if (directory / names.WORK_FOLDER).is_dir():
        for name in manifest.shards:
            with broken_if_damaged(remove=name):
                ledgers[name] = names.read_ledger(names.ledger_path(directory, name))
    return CheckedFolder(directory, manifest, rows, records, ledgers)


def read_json(path: pathlib.Path) -> dict[str, Any]:
    """Reads an object out of a folder of records.

    Raises:
        BrokenFolder: it is missing or damaged.
    """
    with broken_if_damaged():
        return files.read_json(path, remedy="")


@contextlib.contextmanager
def broken_if_damaged(*, remove: str = "manifest.json") -> Iterator[None]:
    """Turns the error of a reader into the discrepancy it is.

    Args:
        remove: the file to remove where one can't be read, so that the conversion writes it anew.

    Raises:
        BrokenFolder: a file is missing or damaged.
    """
    try:
        yield
    except files.DamagedFile as error:
        path, missing = error.path, isinstance(error, files.MissingFile)
        ledger = isinstance(path, pathlib.Path) and path.parent.name == names.WORK_FOLDER
        where = f"{names.WORK_FOLDER}/{path.name}" if ledger else path.name
        what = "is missing" if missing else error.why
        raise BrokenFolder(damage(where, what, remove)) from error
