"""manifest.json, job.json and the ledgers as dataclasses: JSON -> Manifest, Job, Ledger, and back.

A job is what was configured, and its fingerprint decides whether a conversion is resumed or
refused; a manifest adds what came out.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from records import schema
from records.image_size import ImageSize

_POLICIES = ("label_policy", "split_policy", "leak_policy")
_NEEDED = ("dataset", "folds", "max_pixels", *_POLICIES)
"""Settings that readers rely on."""


@dataclasses.dataclass(frozen=True)
class Job:
    """All that decides the bytes of a folder of records.

    Attributes:
        schema_version: `records.schema.SCHEMA_VERSION` of the writer.
        settings: flags of the conversion that decide records, by name; without those at a default
            that came later.
        size: of every image.
        recipe: name of the recipe as in the folder's path.
        steps: the recipe in its canonical text.
        images: SHA-256 of the images listed: their names, splits and clinical columns.
        versions: of the libraries whose version may change a pixel or a split.
        hash_patients: fingerprint of the key names are hashed with, "" if they are not.
    """

    schema_version: str
    settings: Mapping[str, Any]
    size: ImageSize
    recipe: str
    steps: str
    images: str
    versions: Mapping[str, str]
    hash_patients: str = ""

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Job:
        """Takes back what `to_json` made; what it does not know counts as a setting.

        Raises:
            KeyError, TypeError, ValueError: something is missing, or of another kind.
        """
        own = {field.name for field in dataclasses.fields(cls)} | {"fingerprint"}
        settings = {key: value for key, value in content.items() if key not in own}
        for key in _NEEDED:
            _ = settings[key]
        return cls(
            schema_version=content["schema_version"],
            settings=settings,
            size=ImageSize.parse(content["size"]),
            recipe=content["recipe"],
            steps=content["steps"],
            images=content["images"],
            versions=content["versions"],
            hash_patients=content.get("hash_patients", ""),
        )

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything else."""
        return hashlib.sha256(json.dumps(self._configuration()).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Returns the content of job.json."""
        return {**self._configuration(), "fingerprint": self.fingerprint}

    def _configuration(self) -> dict[str, Any]:
        return {
            "schema_version": self.schema_version,
            **self.settings,
            **({"hash_patients": self.hash_patients} if self.hash_patients else {}),
            "size": str(self.size),
            "recipe": self.recipe,
            "steps": self.steps,
            "images": self.images,
            "versions": dict(self.versions),
        }


@dataclasses.dataclass(frozen=True)
class ShardEntry:
    """One shard as manifest.json lists it.

    Attributes:
        split: fold0, fold1, ... or test.
        records: number of records.
        bytes: size of the file.
        sha256: of the file.
    """

    split: str
    records: int
    bytes: int
    sha256: str

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ShardEntry:
        """Takes back an entry; see `Manifest.from_json`."""
        return cls(
            split=str(content["split"]),
            records=int(content["records"]),
            bytes=int(content["bytes"]),
            sha256=str(content["sha256"]),
        )


@dataclasses.dataclass(frozen=True)
class Totals:
    """Sums of manifest.json: images listed, what is in the shards, and images by outcome."""

    images: int
    records: int
    bytes: int
    written: int
    missing: int
    rejected: int
    excluded: int


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What a finished folder of records holds, and the job it was made by.

    Attributes:
        job: what was configured.
        fingerprint: the job's, as the file has it.
        data_fingerprint: SHA-256 of the SHA-256 of all shards, in order.
        shards: name -> entry, in order.
        totals: sums.
        rejected: reason -> images rejected for it.
        remarks: what is to be said of images once they are decoded -> how many; polarity.
    """

    job: Job
    fingerprint: str
    data_fingerprint: str
    shards: Mapping[str, ShardEntry]
    totals: Totals
    rejected: Mapping[str, int]
    remarks: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Manifest:
        """Takes back what `to_json` made.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: something is missing, or of another
                kind.
        """
        results = {field.name for field in dataclasses.fields(cls)} - {"job"}
        return cls(
            job=Job.from_json({k: v for k, v in content.items() if k not in results}),
            fingerprint=content["fingerprint"],
            data_fingerprint=content["data_fingerprint"],
            shards={name: ShardEntry.from_json(entry) for name, entry in content["shards"].items()},
            totals=Totals(**content["totals"]),
            rejected=dict(content["rejected"].items()),
            remarks=dict(content.get("remarks", {}).items()),
        )

    def to_json(self) -> dict[str, Any]:
        """Returns the content of manifest.json."""
        return {
            **self.job.to_json(),
            "data_fingerprint": self.data_fingerprint,
            "shards": {name: dataclasses.asdict(entry) for name, entry in self.shards.items()},
            "totals": dataclasses.asdict(self.totals),
            "rejected": dict(self.rejected),
            **({"remarks": dict(self.remarks)} if self.remarks else {}),
        }

    @property
    def dataset(self) -> str:
        """Name in `flags.datasets.DATASETS`."""
        return str(self.job.settings["dataset"])

    @property
    def size(self) -> ImageSize:
        """Size of every image."""
        return self.job.size

    @property
    def unit(self) -> str:
        """What one record holds, a key of `schema.VIEWS`."""
        return str(self.job.settings.get("unit", "image"))

    @property
    def views(self) -> tuple[str, ...]:
        """The views of a record, in order; none where it is one image."""
        return schema.VIEWS[self.unit]

    @property
    def recipe(self) -> str:
        """Name of the recipe as in the folder's path."""
        return self.job.recipe

    @property
    def folds(self) -> int:
        """Number of folds the training images stand in."""
        return int(self.job.settings["folds"])

    @property
    def policies(self) -> dict[str, str]:
        """Names of the policies for labels, splits and leaks, by flag."""
        return {key: str(self.job.settings[key]) for key in _POLICIES}


def fingerprint_shards(digests: list[str]) -> str:
    """Computes a manifest's data_fingerprint from the SHA-256 of its shards, in order."""
    return hashlib.sha256("".join(digests).encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class Ledger:
    """One finished shard as its writer left it.

    Attributes:
        files: SHA-256 of path, size and time of change of the files it was made of.
        records: number of records.
        bytes: size of the shard.
        sha256: of the shard.
        images: of each record, in order, image_id, original_height and _width, and measurements.
        rejected: image_id, reason and detail of each image without a record.
    """

    files: str
    records: int
    bytes: int
    sha256: str
    images: tuple[Mapping[str, Any], ...]
    rejected: tuple[Mapping[str, str], ...]

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Ledger:
        """Takes back what `to_json` made.

        Raises:
            ValueError: keys are missing; names them.
            TypeError: there are others.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        if lacking := names - content.keys():
            raise ValueError(f"lacks {', '.join(sorted(lacking))}")
        lists = {key: tuple(content[key]) for key in ("images", "rejected")}
        return cls(**{**content, **lists})

    def to_json(self) -> dict[str, Any]:
        """Returns the content of the ledger's file."""
        content = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {**content, "images": list(self.images), "rejected": list(self.rejected)}
