"""A folder of records on disk -> its manifest and the rows of its images."""

from __future__ import annotations

import collections
import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from flags import where
from records import example, folder, tfrecord
from records.errors import CallerError
from records.image_size import ImageSize
from records.manifest import Manifest
from trainer.data import damage

DEFAULT_ROOT = pathlib.Path("data/tfrecords")
_VALUES_SHOWN = 8


@dataclasses.dataclass(frozen=True)
class Records:
    """One size and recipe of a data set on disk.

    Attributes:
        directory: the folder.
        manifest: its manifest.json.
        images: rows of its sources.csv that were written and meet --where; of records of several
            views those of units.csv, a row a breast or examination.
        filtered: rows that were written and do not.
        salvage: what was done about damaged records, None if they are to stop the program.
    """

    directory: pathlib.Path
    manifest: Manifest
    images: tuple[dict[str, str], ...]
    filtered: tuple[dict[str, str], ...] = ()
    salvage: damage.Salvage | None = None

    @property
    def size(self) -> ImageSize:
        """Size of every image."""
        return self.manifest.size

    @property
    def dataset(self) -> str:
        """Name in `flags.datasets.DATASETS`."""
        return self.manifest.dataset

    @property
    def splits(self) -> set[str]:
        """Names of the splits that have shards."""
        return {shard.split for shard in self.manifest.shards.values()}

    @property
    def folds(self) -> int:
        """Number of folds the training images stand in."""
        return self.manifest.folds

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
    """Takes the folder given, or the only one under it or data/tfrecords.

    Raises:
        CallerError: there is none, or a choice to make.
    """
    root = DEFAULT_ROOT if given is None else pathlib.Path(given)
    found = sorted(path.parent for path in root.glob("*/*/*/manifest.json"))
    if given is not None and not found:
        return root
    if not found:
        raise CallerError(
            f"no records under {DEFAULT_ROOT}; make some with 'make tfrecords', "
            "or give --dataset_dir"
        )
    if len(found) > 1:
        raise CallerError(
            f"{root} holds {len(found)} sets of records; choose one of: "
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
    manifest = folder.open_finished(directory, check_bytes=not skip_damaged)
    rows = folder.read_records(directory, manifest)
    written = [row for row in rows if row["status"] == "written"]
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
    return dataclasses.replace(records, salvage=damage.salvage(directory, manifest.shards, written))


def read_pixels(
    place: Place, size: ImageSize
) -> tuple[NDArray[np.uint16], NDArray[np.bool_] | None]:
    """Reads one record, jumping over those before it.

    Returns:
        pixels [height, width] uint16 and None; of several views pixels [views, height, width] and
        which are present, [views].

    Raises:
        LostFraming: the shard has changed since the place was noted.
    """
    with open(place.shard, "rb") as file:
        record = example.parse(tfrecord.read_record(file, place.number))
    (pixels,) = record["image"]
    assert isinstance(pixels, memoryview)
    views = np.frombuffer(pixels, "<u2").reshape(-1, size.height, size.width)
    if "views_present" not in record:
        return views[0], None
    return views, np.array(record["views_present"], bool)


def values_of(images: Sequence[Mapping[str, str]], column: str) -> str:
    """Lists the values of a column as text, the commonest first."""
    counts = collections.Counter(image[column] for image in images).most_common(_VALUES_SHOWN + 1)
    shown = [repr(value) for value, _ in counts[:_VALUES_SHOWN]]
    return f"their {column} is {', '.join(shown)}{', ...' if len(counts) > _VALUES_SHOWN else ''}"
