"""A folder of records as a whole: its files agree, every image is accounted for exactly once."""

from __future__ import annotations

import collections
import csv
import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from beam_jobs import manifest, shards, splits, statistics
from beam_jobs.sources.source_row import SOURCES_HEADER, SourceRow
from beam_jobs.verify.shard_checks import Expected, Finding, ShardReport
from flags import datasets
from records import schema
from records.image_size import ImageSize

_RESULTS = ("fingerprint", "data_fingerprint", "shards", "totals", "rejected")
"""Entries of manifest.json that are not the job's configuration."""
_LEDGER_KEYS = {"records", "bytes", "sha256", "images", "rejected"}
_NAMED = 5
"""Images a line names before it goes on with their number."""


class BrokenFolder(Exception):
    """The folder can't be checked further; carries the finding that says why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(str(finding))
        self.finding = finding


@dataclasses.dataclass(frozen=True)
class Folder:
    """What a finished output says of itself.

    Attributes:
        directory: the folder.
        manifest: content of manifest.json.
        rows: rows of sources.csv, in its order.
        ledgers: ledger of each shard; empty where the folder was copied without them.
    """

    directory: pathlib.Path
    manifest: dict[str, Any]
    rows: tuple[dict[str, str], ...]
    ledgers: dict[str, dict[str, Any]]

    @property
    def expected(self) -> Expected:
        """What its shards should hold."""
        return Expected(
            ImageSize.parse(self.manifest["size"]),
            self.manifest["shards"],
            {row["image_id"]: row for row in self.rows},
        )


def find_folders(directory: pathlib.Path, depth: int = 3) -> list[pathlib.Path]:
    """Finds the outputs in a folder: itself, or up to dataset/size/recipe below it."""
    entries = sorted(directory.iterdir(), key=lambda entry: entry.name)
    names = {entry.name for entry in entries}
    if names & {"manifest.json", shards.WORK_FOLDER} or any(".tfrecord-" in n for n in names):
        return [directory]
    if not depth:
        return []
    return [
        found
        for entry in entries
        if entry.is_dir() and not entry.name.startswith(".")
        for found in find_folders(entry, depth - 1)
    ]


def open_folder(directory: pathlib.Path) -> Folder:
    """Reads manifest, table and ledgers.

    Raises:
        BrokenFolder: manifest.json or sources.csv can't be read.
        CallerError: the folder is of another schema version.
    """
    content = read_json(directory / "manifest.json")
    schema.check_schema_version(content.get("schema_version"), str(directory))
    try:
        ImageSize.parse(content["size"])
        for entry in content["shards"].values():
            _ = str(entry["split"]), int(entry["records"]), int(entry["bytes"]), entry["sha256"]
        _ = content["totals"]["images"], content["rejected"].items()
        _ = datasets.DATASETS[content["dataset"]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BrokenFolder(
            _damage("manifest.json", f"is not as the conversion writes it: {error!r}")
        ) from error
    rows = _read_table(directory / "sources.csv", SOURCES_HEADER)
    ledgers = {}
    if (directory / shards.WORK_FOLDER).is_dir():
        for name in content["shards"]:
            path = directory / shards.WORK_FOLDER / f"{name}.json"
            ledgers[name] = read_json(path, remove=name)
            if lacking := _LEDGER_KEYS - ledgers[name].keys():
                what = f"lacks {', '.join(sorted(lacking))}"
                raise BrokenFolder(_damage(f"{shards.WORK_FOLDER}/{path.name}", what, name))
    return Folder(directory, content, rows, ledgers)


def check_tables(folder: Folder) -> list[Finding]:
    """Compares the files that are no shards with each other and with the ledgers."""
    findings = list(_check_manifest(folder))
    try:
        images = [_image(row) for row in folder.rows]
    except ValueError as error:
        return [*findings, _damage("sources.csv", f"abnormalities is no number ({error})")]
    findings += _check_rows(folder)
    findings += _check_ledgers(folder)
    size = ImageSize.parse(folder.manifest["size"])
    wanted: dict[str, Any] = {
        "features.json": schema.features_json(size),
        "dataset_info.json": manifest.describe_dataset(
            folder.manifest["dataset"], folder.manifest["shards"]
        ),
        "plan.json": splits.summarise(
            images,
            split_policy=folder.manifest.get("split_policy", ""),
            record_bytes=2 * size.height * size.width,
        ),
    }
    by_id = {image.image_id: image for image in images}
    measured = [image for ledger in folder.ledgers.values() for image in ledger["images"]]
    if measured and all(image["image_id"] in by_id for image in measured):
        wanted["statistics.json"] = statistics.summarise(
            [(by_id[image["image_id"]], image) for image in measured]
        )
    for name, content in wanted.items():
        try:
            found = read_json(folder.directory / name)
        except BrokenFolder as broken:
            findings.append(broken.finding)
            continue
        if differing := _differing(found, json.loads(json.dumps(content))):
            findings.append(_damage(name, f"differs in {', '.join(differing)}"))
    return findings


def check_patients(folder: Folder) -> list[Finding]:
    """Looks for patients in more than one split; a warning where the job's policies allow it."""
    standing: dict[str, set[str]] = collections.defaultdict(set)
    for row in folder.rows:
        if row["split"]:
            standing[row["patient_id"]].add(row["split"])
    policies = {key: folder.manifest.get(key) for key in ("split_policy", "leak_policy")}
    allowed: list[str] = []
    refused: list[str] = []
    for patient, found in sorted(standing.items()):
        if len(found) > 1:
            # folds are drawn by patient, so `keep` lets a patient into the test set and one fold
            kept = policies["leak_policy"] == "keep" and len(found - {schema.TEST_SPLIT}) == 1
            by_image = policies["split_policy"] == "image"
            (allowed if kept or by_image else refused).append(patient)
    findings = [
        _damage(
            "sources.csv", f"patient {patient} stands in {', '.join(sorted(standing[patient]))}"
        )
        for patient in refused
    ]
    if allowed:
        said = ", ".join(f"{key}={value}" for key, value in policies.items())
        findings.append(
            Finding(
                "sources.csv",
                f"{len(allowed)} patients stand in several splits ({said})",
                "",
                False,
            )
        )
    return findings


def check_accounts(folder: Folder, reports: Sequence[ShardReport]) -> list[Finding]:
    """Looks for images with no record or with two."""
    places: dict[str, list[tuple[str, int]]] = collections.defaultdict(list)
    for report in reports:
        for image_id, number in report.images:
            places[image_id].append((report.name, number))
    findings = [
        Finding(
            f"{name} record {number} ({image_id})",
            f"its image has a record already: {found[0][0]} record {found[0][1]}",
            name,
        )
        for image_id, found in sorted(places.items())
        for name, number in found[1:]
    ]
    homes = {
        image["image_id"]: (name, number)
        for name, ledger in folder.ledgers.items()
        for number, image in enumerate(ledger["images"], start=1)
    }
    lost: dict[str, list[str]] = collections.defaultdict(list)
    for row in folder.rows:
        if row["status"] == "written" and row["image_id"] not in places:
            lost[homes.get(row["image_id"], ("", 0))[0]].append(row["image_id"])
    for name, images in sorted(lost.items()):
        findings.append(
            Finding(
                name or "sources.csv",
                f"no readable record of {len(images)} images that sources.csv says are written: "
                + _enumerate(images),
                name or "manifest.json",
            )
        )
    return findings


def check_strays(folder: Folder) -> list[Finding]:
    """Looks for files that are missing, half-written, or of somebody else."""
    shard_names = set(folder.manifest["shards"])
    known = shard_names | set(manifest.FILES) | {shards.WORK_FOLDER}
    found = {entry.name for entry in folder.directory.iterdir()}
    missing = set(manifest.FILES) - found - {manifest.LESIONS}
    findings = [_damage(name, "is missing") for name in sorted(missing)]
    for name in sorted(found - known):
        if name.startswith(".") or name.endswith(".tmp"):
            findings.append(Finding(name, "is half-written or left over", name))
        elif ".tfrecord-" in name:
            findings.append(Finding(name, "is a shard manifest.json does not list", name))
        else:
            findings.append(Finding(name, "was not written by the conversion", "", False))
    work_folder = folder.directory / shards.WORK_FOLDER
    if folder.ledgers:
        ledgers = {f"{name}.json" for name in shard_names} | {"job.json"}
        for name in sorted({entry.name for entry in work_folder.iterdir()} - ledgers):
            if name.endswith((".tmp", ".json")):
                where = f"{shards.WORK_FOLDER}/{name}"
                findings.append(Finding(where, "is half-written or left over", where))
    return findings


def _check_manifest(folder: Folder) -> Iterator[Finding]:
    """Yields where manifest.json contradicts itself or the table."""
    content = folder.manifest
    job = {key: value for key, value in content.items() if key not in _RESULTS}
    if hashlib.sha256(json.dumps(job).encode()).hexdigest() != content.get("fingerprint"):
        yield _damage("manifest.json", "its fingerprint is not that of its configuration")
    if folder.ledgers and (folder.directory / shards.WORK_FOLDER / "job.json").is_file():
        written = read_json(folder.directory / shards.WORK_FOLDER / "job.json")
        if written != {**job, "fingerprint": content.get("fingerprint")}:
            differing = _differing(written, {**job, "fingerprint": content.get("fingerprint")})
            yield _damage("manifest.json", f"differs from job.json in {', '.join(differing)}")
    entries = content["shards"].values()
    digest = hashlib.sha256("".join(entry["sha256"] for entry in entries).encode()).hexdigest()
    if digest != content.get("data_fingerprint"):
        yield _damage("manifest.json", "its data_fingerprint is not that of its shards")
    status = collections.Counter(row["status"] for row in folder.rows)
    reasons = collections.Counter(r["reason"] for r in folder.rows if r["status"] == "rejected")
    counted = {
        "images": len(folder.rows),
        "records": sum(entry["records"] for entry in entries),
        "bytes": sum(entry["bytes"] for entry in entries),
        **{name: status[name] for name in ("written", "missing", "rejected", "excluded")},
    }
    for name, count in counted.items():
        said = content["totals"].get(name)
        if said != count:
            yield _damage("manifest.json", f"totals: {said} {name}, sources.csv and shards {count}")
    if counted["records"] != counted["written"]:
        yield _damage(
            "manifest.json",
            f"{counted['records']} records in its shards, sources.csv says "
            f"{counted['written']} images are written",
        )
    if content["rejected"] != dict(reasons):
        yield _damage("manifest.json", "its reasons of rejection are not those of sources.csv")
    for name, entry in content["shards"].items():
        if f"-{entry['split']}.tfrecord-" not in name:
            yield _damage("manifest.json", f"{name} is no shard of {entry['split']}")


def _check_rows(folder: Folder) -> Iterator[Finding]:
    """Yields images listed twice, impossible outcomes, and where rejected.csv differs."""
    for image_id, count in collections.Counter(row["image_id"] for row in folder.rows).items():
        if count > 1:
            yield _damage("sources.csv", f"image {image_id} has {count} rows")
    for row in folder.rows:
        status = row["status"]
        where = f"image {row['image_id']} is {status!r}"
        if status not in ("written", "missing", "rejected", "excluded"):
            yield _damage("sources.csv", f"{where}, which is no outcome")
        elif bool(row["split"]) == (status == "excluded"):
            yield _damage("sources.csv", f"{where} and its split is {row['split']!r}")
        elif bool(row["reason"]) == (status == "written"):
            yield _damage("sources.csv", f"{where} and its reason is {row['reason']!r}")
        elif bool(row["path"]) == (status == "missing") and status != "excluded":
            yield _damage("sources.csv", f"{where} and its path is {row['path']!r}")
    try:
        listed = _read_table(folder.directory / "rejected.csv", manifest.REJECTED_HEADER)
    except BrokenFolder as broken:
        yield broken.finding
        return
    keys = ("image_id", "path", "reason")
    here = collections.Counter(tuple(row[key] for key in keys) for row in listed)
    there = collections.Counter(
        tuple(row[key] for key in keys) for row in folder.rows if row["status"] == "rejected"
    )
    for image_id, *_ in sorted((here - there).keys()):
        yield _damage("rejected.csv", f"image {image_id} is not rejected so in sources.csv")
    for image_id, *_ in sorted((there - here).keys()):
        yield _damage("rejected.csv", f"lacks image {image_id}, rejected in sources.csv")


def _check_ledgers(folder: Folder) -> Iterator[Finding]:
    """Yields where ledgers and manifest.json disagree."""
    for name, ledger in folder.ledgers.items():
        for key in ("records", "bytes", "sha256"):
            said = folder.manifest["shards"][name][key]
            if ledger[key] != said:
                yield _damage(
                    "manifest.json", f"{name}: {key} is {said}, its ledger says {ledger[key]}"
                )


def read_json(path: pathlib.Path, *, remove: str = "manifest.json") -> dict[str, Any]:
    """Reads an object out of a folder of records.

    Args:
        path: the file.
        remove: the file to remove where it can't be read, so that the conversion writes it anew.

    Raises:
        BrokenFolder: it is missing or damaged.
    """
    work = path.parent.name == shards.WORK_FOLDER
    where = f"{shards.WORK_FOLDER}/{path.name}" if work else path.name
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BrokenFolder(_damage(where, "is missing", remove)) from None
    except ValueError as error:
        raise BrokenFolder(_damage(where, f"is damaged ({error})", remove)) from error
    if not isinstance(content, dict):
        raise BrokenFolder(_damage(where, "is damaged (no JSON object)", remove))
    return content


def _read_table(path: pathlib.Path, header: Sequence[str]) -> tuple[dict[str, str], ...]:
    """Reads a CSV file of one header."""
    try:
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            reader = csv.DictReader(file, strict=True)
            rows = tuple(reader)
            found = list(reader.fieldnames or ())
    except FileNotFoundError:
        raise BrokenFolder(_damage(path.name, "is missing")) from None
    except csv.Error as error:
        raise BrokenFolder(_damage(path.name, f"is damaged ({error})")) from error
    if found != list(header):
        raise BrokenFolder(_damage(path.name, "its header is not the conversion's"))
    for number, row in enumerate(rows, start=1):
        if None in row or None in row.values():
            raise BrokenFolder(_damage(path.name, f"row {number} has not {len(header)} cells"))
    return rows


def _image(row: Mapping[str, str]) -> SourceRow:
    """Makes an image of its row of sources.csv.

    Raises:
        ValueError: the number of lesions is no number.
    """
    values: dict[str, Any] = {key: row[key] for key in schema.CLINICAL_KEYS}
    values["abnormalities"] = int(row["abnormalities"])
    excluded = row["reason"] if row["status"] == "excluded" else ""
    return SourceRow(**values, split=row["split"], path=row["path"], excluded=excluded)


def _differing(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    return sorted(k for k in found.keys() | wanted.keys() if found.get(k) != wanted.get(k))


def _enumerate(names: Sequence[str]) -> str:
    rest = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + rest


def _damage(name: str, what: str, remove: str = "manifest.json") -> Finding:
    """Notes a damage; without manifest.json the conversion writes all but the shards anew."""
    return Finding(name, what, remove)
