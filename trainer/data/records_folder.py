"""A folder of records on disk -> its manifest and the rows of its images."""

from __future__ import annotations

import collections
import csv
import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flags import where
from records import example, schema, tfrecord
from records.errors import CallerError
from records.image_size import ImageSize
from trainer.data import damage

DEFAULT_ROOT = pathlib.Path("data/tfrecords")
_VALUES_SHOWN = 8


@dataclasses.dataclass(frozen=True)
class Records:
    """One size and recipe of a data set on disk.

    Attributes:
        directory: the folder.
        manifest: content of its manifest.json.
        images: rows of its sources.csv that were written and meet --where.
        filtered: rows that were written and do not.
        salvage: what was done about damaged records, None if they are to stop the program.
    """

    directory: pathlib.Path
    manifest: dict[str, Any]
    images: tuple[dict[str, str], ...]
    filtered: tuple[dict[str, str], ...] = ()
    salvage: damage.Salvage | None = None

    @property
    def size(self) -> ImageSize:
        """Size of every image."""
        return ImageSize.parse(self.manifest["size"])

    @property
    def dataset(self) -> str:
        """Name in `flags.datasets.DATASETS`."""
        return str(self.manifest["dataset"])

    @property
    def splits(self) -> set[str]:
        """Names of the splits that have shards."""
        return {shard["split"] for shard in self.manifest["shards"].values()}

    @property
    def folds(self) -> int:
        """Number of folds the training images stand in."""
        return int(self.manifest["folds"])

    def path_of(self, shard: str) -> pathlib.Path:
        """Where to read a shard: its own file, or the copy of its sound records."""
        copies = self.salvage.copies if self.salvage else {}
        return copies.get(shard, self.directory / shard)


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a record lies: path of its shard, and its number in it, from 0."""

    shard: str
    number: int


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


def open_records(
    directory: pathlib.Path, *, condition: str = "", skip_damaged: bool = False
) -> Records:
    """Reads manifest and image rows of a folder of records, and checks its shards.

    Args:
        directory: the folder.
        condition: which images to take, in the language of `flags.where`.
        skip_damaged: whether to look for damaged records and go on without them.

    Raises:
        CallerError: it is no such folder, not finished, of another schema version, or has lost
            or changed a shard; or no image meets the condition.
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
        if size != shard["bytes"] and (size < 0 or not skip_damaged):
            raise CallerError(
                f"{file} is {'missing' if size < 0 else f'{size} bytes'}, manifest.json says "
                f"{shard['bytes']} bytes; convert again to restore it"
            )
    with (directory / "sources.csv").open(
        newline="", encoding="utf-8", errors="surrogateescape"
    ) as stream:
        written = [row for row in csv.DictReader(stream) if row["status"] == "written"]
    wanted = where.parse(condition)
    records = Records(
        directory,
        manifest,
        images=tuple(image for image in written if wanted(image)),
        filtered=tuple(image for image in written if not wanted(image)),
    )
    if not records.images:
        raise CallerError(
            f"{directory}: none of {len(written)} images meets --where={condition}; "
            + "; ".join(values_of(written, column) for column in where.columns(condition))
        )
    if not skip_damaged:
        return records
    return dataclasses.replace(
        records, salvage=damage.salvage(directory, manifest["shards"], written)
    )


def read_pixels(place: Place, size: ImageSize) -> NDArray[np.uint16]:
    """Reads the pixels of one record, jumping over those before it: [height, width] uint16.

    Raises:
        LostFraming: the shard has changed since the place was noted.
    """
    with open(place.shard, "rb") as file:
        (pixels,) = example.parse(tfrecord.read_record(file, place.number))["image"]
    assert isinstance(pixels, memoryview)
    return np.frombuffer(pixels, "<u2").reshape(size.height, size.width)


def values_of(images: Sequence[Mapping[str, str]], column: str) -> str:
    """Says which values a column has, the commonest first."""
    counts = collections.Counter(image[column] for image in images).most_common(_VALUES_SHOWN + 1)
    shown = [repr(value) for value, _ in counts[:_VALUES_SHOWN]]
    return f"their {column} is {', '.join(shown)}{', ...' if len(counts) > _VALUES_SHOWN else ''}"
