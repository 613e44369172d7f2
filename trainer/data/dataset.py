"""A folder of records as the Beam job leaves it: what is in it, and which shards make a split."""

from __future__ import annotations

import collections
import csv
import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from absl import logging

from flags import where
from flags.catalogue import Target
from records import schema
from records.errors import CallerError
from records.image_size import ImageSize
from trainer.data import class_balance, salvage

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
    salvage: salvage.Salvage | None = None

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
        """Number of folds the training images stand in."""
        return int(self.manifest["folds"])

    def path_of(self, shard: str) -> pathlib.Path:
        """Where to read a shard: its own file, or the copy of its sound records."""
        copies = self.salvage.copies if self.salvage else {}
        return copies.get(shard, self.directory / shard)


@dataclasses.dataclass(frozen=True)
class Split:
    """The images that train, validate or test.

    Attributes:
        name: train, validation, or that of the split on disk that is evaluated.
        parts: splits on disk it is made of.
        shards: paths of the shards, in order.
        images: rows of sources.csv with a label for the target.
        labels: class of each image.
        left_out: images of the parts without one.
        bytes: size of the shards.
        filtered: images of the parts that do not meet --where.
        lost: images of the parts whose records are damaged.
        sampling: key of `flags.data.SAMPLINGS`, for the images of an epoch.
    """

    name: str
    parts: tuple[str, ...]
    shards: tuple[str, ...]
    images: tuple[dict[str, str], ...]
    labels: tuple[int, ...]
    left_out: int
    bytes: int
    filtered: int = 0
    lost: int = 0
    sampling: str = "none"

    @property
    def partial(self) -> bool:
        """Whether the shards hold images that are not of the split."""
        return self.left_out + self.filtered > 0

    @property
    def epoch_size(self) -> int:
        """Images of an epoch, repeated ones as often as they stand in it."""
        return class_balance.epoch_size(self.labels, self.sampling)

    def describe(self, names: Sequence[str]) -> dict[str, Any]:
        """Counts images, patients and labels."""
        counts = collections.Counter(self.labels)
        return {
            "folds": list(self.parts),
            "images": len(self.images),
            "patients": len({image["patient_id"] for image in self.images}),
            "labels": {name: counts[label] for label, name in enumerate(names)},
            "left_out": self.left_out,
            "filtered": self.filtered,
            "damaged": self.lost,
            "epoch": self.epoch_size,
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


def open_records(
    directory: pathlib.Path, *, condition: str = "", skip_damaged: bool = False
) -> Records:
    """Reads what a folder of records says of itself.

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
            + "; ".join(_values_of(written, column) for column in where.columns(condition))
        )
    if not skip_damaged:
        return records
    return dataclasses.replace(
        records, salvage=salvage.salvage(directory, manifest["shards"], written)
    )


def drop_unused_grades(records: Records, target: Target) -> Target:
    """Drops the grades of an ordinal target that no image has; two that are left make it binary.

    Raises:
        CallerError: fewer than two are left.
    """
    found = {target.label_of(image[target.column]) for image in records.images}
    present = [label for label in range(len(target.names)) if label in found]
    if target.kind != "ordinal" or len(present) == len(target.names):
        return target
    if len(present) < 2:
        raise CallerError(
            f"{records.directory}: the images have {len(present)} of {', '.join(target.names)}, at "
            f"least 2 are needed; {_values_of(records.images, target.column)}; choose another "
            "--target"
        )
    dropped = [name for label, name in enumerate(target.names) if label not in present]
    logging.warning("no image is %s: dropped from the target", " or ".join(dropped))
    return dataclasses.replace(
        target,
        values=tuple(target.values[label] for label in present),
        names=tuple(target.names[label] for label in present),
        kind="ordinal" if len(present) > 2 else "binary",
    )


def select(records: Records, name: str, parts: Sequence[str], target: Target) -> Split:
    """Gathers the shards and images of some of the splits on disk.

    Raises:
        CallerError: they hold no image with a label, or no image of one of the classes; of more
            than two classes only those that train need every one.
    """
    shards = [n for n, shard in records.manifest["shards"].items() if shard["split"] in parts]
    gone = records.salvage.lost if records.salvage else frozenset()
    members = [image for image in records.images if image["split"] in parts]
    filtered = [image for image in records.filtered if image["split"] in parts]
    there = [image for image in members if image["image_id"] not in gone]
    labelled = [(image, target.label_of(image[target.column])) for image in there]
    kept = [(image, label) for image, label in labelled if label is not None]
    split = Split(
        name=name,
        parts=tuple(parts),
        shards=tuple(str(records.path_of(shard)) for shard in shards),
        images=tuple(image for image, _ in kept),
        labels=tuple(label for _, label in kept),
        left_out=len(there) - len(kept),
        bytes=sum(records.manifest["shards"][shard]["bytes"] for shard in shards),
        filtered=len(filtered),
        lost=len(members) - len(there),
    )
    needed = set(range(len(target.names)))
    if target.kind != "binary" and name != "train" and kept:
        needed = set(split.labels)
    for label in sorted(needed - set(split.labels)):
        values = _values_of(members, target.column) if members else "there are none"
        raise CallerError(
            f"{records.directory}: the {name} images ({', '.join(parts)}) hold "
            f"{len(split.images)} with a label and none that is {target.names[label]} ({values}); "
            "convert more images, or choose another --fold or --target"
        )
    return split


def _values_of(images: Sequence[Mapping[str, str]], column: str) -> str:
    """Says which values a column has, the commonest first."""
    counts = collections.Counter(image[column] for image in images).most_common(_VALUES_SHOWN + 1)
    shown = [repr(value) for value, _ in counts[:_VALUES_SHOWN]]
    return f"their {column} is {', '.join(shown)}{', ...' if len(counts) > _VALUES_SHOWN else ''}"
