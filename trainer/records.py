"""A folder of records as the Beam job leaves it: what is in it, and which shards make a split."""

from __future__ import annotations

import collections
import csv
import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Sequence
from typing import Any

from flags import schema
from flags.catalogue import Target
from flags.errors import CallerError
from flags.size import ImageSize

DEFAULT_ROOT = pathlib.Path("data/tfrecords")


@dataclasses.dataclass(frozen=True)
class Records:
    """One size and recipe of a data set on disk.

    Attributes:
        directory: the folder.
        manifest: content of its manifest.json.
        films: rows of its sources.csv that were written.
    """

    directory: pathlib.Path
    manifest: dict[str, Any]
    films: tuple[dict[str, str], ...]

    @property
    def size(self) -> ImageSize:
        """Size of every image."""
        return ImageSize.parse(self.manifest["size"])

    @property
    def dataset(self) -> str:
        """Name in `flags.catalogue.DATASETS`."""
        return str(self.manifest["dataset"])

    @property
    def splits(self) -> set[str]:
        """Names of the splits that have shards."""
        return {shard["split"] for shard in self.manifest["shards"].values()}

    @property
    def folds(self) -> int:
        """Number of folds the training films stand in."""
        return int(self.manifest["folds"])


@dataclasses.dataclass(frozen=True)
class Split:
    """The films that train, validate or test.

    Attributes:
        name: train, validation, or that of the split on disk that is judged.
        parts: splits on disk it is made of.
        shards: paths of the shards, in order.
        films: rows of sources.csv with a label for the target.
        left_out: films of the parts without one.
        bytes: size of the shards.
    """

    name: str
    parts: tuple[str, ...]
    shards: tuple[str, ...]
    films: tuple[dict[str, str], ...]
    labels: tuple[int, ...]
    left_out: int
    bytes: int

    def describe(self, names: Sequence[str]) -> dict[str, Any]:
        """Counts films, patients and labels."""
        counts = collections.Counter(self.labels)
        return {
            "folds": list(self.parts),
            "films": len(self.films),
            "patients": len({film["patient_id"] for film in self.films}),
            "labels": {name: counts[label] for label, name in enumerate(names)},
            "left_out": self.left_out,
        }


def find_directory(given: str | None) -> pathlib.Path:
    """Takes the folder given, or the only one under data/tfrecords.

    Raises:
        CallerError: there is none, or a choice to make.
    """
    if given is not None:
        return pathlib.Path(given)
    found = sorted(path.parent for path in DEFAULT_ROOT.glob("*/*/*/manifest.json"))
    if not found:
        raise CallerError(
            f"no records under {DEFAULT_ROOT}; make some with 'make tfrecords', "
            "or give --dataset_dir"
        )
    if len(found) > 1:
        raise CallerError(
            f"{DEFAULT_ROOT} holds {len(found)} sets of records; choose one of: "
            + " ".join(f"--dataset_dir={path}" for path in found)
        )
    return found[0]


def open_records(directory: pathlib.Path) -> Records:
    """Reads what a folder of records says of itself.

    Raises:
        CallerError: it is no such folder, not finished, of another schema version, or has lost
            or changed a shard.
    """
    path = directory / "manifest.json"
    if not directory.is_dir():
        raise CallerError(f"--dataset_dir={directory} is not a folder")
    if not path.is_file():
        unfinished = (directory / ".shards").is_dir()
        raise CallerError(
            f"{directory} holds no manifest.json; "
            + (
                "its conversion is not finished: run the same command again"
                if unfinished
                else "give the folder <output_dir>/<dataset>/<H>x<W>/<recipe> of a conversion"
            )
        )
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CallerError(
            f"{path} is damaged ({error}); remove it and convert again to restore it"
        ) from error
    schema.check_schema_version(manifest.get("schema_version"), str(directory))
    for name, shard in manifest["shards"].items():
        file = directory / name
        size = file.stat().st_size if file.is_file() else -1
        if size != shard["bytes"]:
            raise CallerError(
                f"{file} is {'missing' if size < 0 else f'{size} bytes'}, manifest.json says "
                f"{shard['bytes']} bytes; convert again to restore it"
            )
    with (directory / "sources.csv").open(
        newline="", encoding="utf-8", errors="surrogateescape"
    ) as stream:
        films = tuple(row for row in csv.DictReader(stream) if row["status"] == "written")
    return Records(directory, manifest, films)


def find_damaged(records: Records) -> list[str]:
    """Lists the shards whose content is not what the conversion wrote, by their SHA-256."""
    damaged = []
    for name, shard in records.manifest["shards"].items():
        digest = hashlib.sha256((records.directory / name).read_bytes())
        if digest.hexdigest() != shard["sha256"]:
            damaged.append(name)
    return damaged


def select(records: Records, name: str, parts: Sequence[str], target: Target) -> Split:
    """Gathers the shards and films of some of the splits on disk.

    Raises:
        CallerError: they hold no film with a label, or no film of one of the classes.
    """
    shards = [n for n, shard in records.manifest["shards"].items() if shard["split"] in parts]
    members = [film for film in records.films if film["split"] in parts]
    labelled = [(film, label_of(film, target)) for film in members]
    kept = [(film, label) for film, label in labelled if label is not None]
    split = Split(
        name=name,
        parts=tuple(parts),
        shards=tuple(str(records.directory / shard) for shard in shards),
        films=tuple(film for film, _ in kept),
        labels=tuple(label for _, label in kept),
        left_out=len(members) - len(kept),
        bytes=sum(records.manifest["shards"][shard]["bytes"] for shard in shards),
    )
    for label, title in enumerate(target.names):
        if label not in split.labels:
            raise CallerError(
                f"{records.directory}: the {name} films ({', '.join(parts)}) hold "
                f"{len(split.films)} with a label and none that is {title}; "
                "convert more films, or choose another --fold or --target"
            )
    return split


def label_of(film: dict[str, str], target: Target) -> int | None:
    """Returns 0 or 1, None where the film has neither value."""
    value = film[target.column]
    return 1 if value in target.positive else 0 if value in target.negative else None
