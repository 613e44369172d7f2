"""Files that are no shards, compared with each other: manifest, tables, ledgers; and stray ones."""

from __future__ import annotations

import collections
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from beam_jobs import finished_output, splits, statistics, units
from beam_jobs.sources.source_row import SourceRow
from beam_jobs.verify.checked_folder import CheckedFolder, read_json
from beam_jobs.verify.discrepancy import BrokenFolder, Discrepancy, damage
from beam_jobs.verify.image_checks import check_rows
from records import folder as names
from records import schema
from records.manifest import fingerprint_shards


def check_tables(folder: CheckedFolder) -> list[Discrepancy]:
    """Compares the files that are no shards with each other and with the ledgers."""
    findings = list(_check_manifest(folder))
    try:
        images = [_image(row) for row in folder.rows]
    except ValueError as error:
        return [*findings, damage("sources.csv", f"abnormalities is no number ({error})")]
    findings += check_rows(folder)
    findings += _check_units(folder, images)
    findings += _check_ledgers(folder)
    labels = folder.directory / schema.LABELS
    if labels.is_file() and labels.read_bytes() != schema.labels_text().encode():
        findings.append(damage(labels.name, "are not the classes of label"))
    for name, content in _wanted_files(folder, images).items():
        try:
            found = read_json(folder.directory / name)
        except BrokenFolder as broken:
            findings.append(broken.discrepancy)
            continue
        if differing := _differing(found, json.loads(json.dumps(content))):
            findings.append(damage(name, f"differs in {', '.join(differing)}"))
    return findings


def _wanted_files(folder: CheckedFolder, images: Sequence[SourceRow]) -> dict[str, Any]:
    """Computes the content of the files that follow from manifest.json, sources.csv and ledgers."""
    manifest, size = folder.manifest, folder.manifest.size
    wanted: dict[str, Any] = {
        "features.json": schema.features_json(size, manifest.unit),
        "dataset_info.json": finished_output.describe_dataset(
            manifest.dataset, manifest.shards, manifest.unit
        ),
        "plan.json": splits.summarise(
            images,
            split_policy=manifest.policies["split_policy"],
            record_bytes=2 * size.height * size.width * max(len(manifest.views), 1),
            unit=manifest.unit,
        ),
    }
    by_id = {image.image_id: image for image in images}
    measured = [image for ledger in folder.ledgers.values() for image in ledger.images]
    if measured and all(image["image_id"] in by_id for image in measured):
        wanted["statistics.json"] = statistics.summarise(
            [(by_id[image["image_id"]], image) for image in measured]
        )
    return wanted


def check_strays(folder: CheckedFolder) -> list[Discrepancy]:
    """Looks for files that are missing, half-written, or of somebody else."""
    shard_names = set(folder.manifest.shards)
    known = shard_names | set(names.FILES) | {names.WORK_FOLDER}
    found = {entry.name for entry in folder.directory.iterdir()}
    missing = set(names.FILES) - found - set(names.OPTIONAL)
    findings = [damage(name, "is missing") for name in sorted(missing)]
    for name in sorted(found - known):
        if name.startswith(".") or name.endswith(".tmp"):
            findings.append(Discrepancy(name, "is half-written or left over", name))
        elif ".tfrecord-" in name:
            findings.append(Discrepancy(name, "is a shard manifest.json does not list", name))
        else:
            findings.append(Discrepancy(name, "was not written by the conversion", "", False))
    work_folder = folder.directory / names.WORK_FOLDER
    if folder.ledgers:
        ledgers = {f"{name}.json" for name in shard_names} | {names.JOB}
        for name in sorted({entry.name for entry in work_folder.iterdir()} - ledgers):
            if name.endswith((".tmp", ".json")):
                where = f"{names.WORK_FOLDER}/{name}"
                findings.append(Discrepancy(where, "is half-written or left over", where))
    return findings


def _check_manifest(folder: CheckedFolder) -> Iterator[Discrepancy]:
    """Yields where manifest.json contradicts itself or the table."""
    content = folder.manifest
    job = {**content.job.to_json(), "fingerprint": content.fingerprint}
    if content.job.fingerprint != content.fingerprint:
        yield damage("manifest.json", "its fingerprint is not that of its configuration")
    if folder.ledgers and (folder.directory / names.WORK_FOLDER / names.JOB).is_file():
        written = read_json(folder.directory / names.WORK_FOLDER / names.JOB)
        if differing := _differing(written, job):
            yield damage("manifest.json", f"differs from job.json in {', '.join(differing)}")
    entries = content.shards.values()
    if fingerprint_shards([entry.sha256 for entry in entries]) != content.data_fingerprint:
        yield damage("manifest.json", "its data_fingerprint is not that of its shards")
    yield from _check_totals(folder)
    reasons = collections.Counter(r["reason"] for r in folder.rows if r["status"] == "rejected")
    if content.rejected != dict(reasons):
        yield damage("manifest.json", "its reasons of rejection are not those of sources.csv")
    for name, entry in content.shards.items():
        if f"-{entry.split}.tfrecord-" not in name:
            yield damage("manifest.json", f"{name} is no shard of {entry.split}")


def _check_units(folder: CheckedFolder, images: Sequence[SourceRow]) -> Iterator[Discrepancy]:
    """Yields rows of units.csv that do not follow from those of sources.csv."""
    if not folder.manifest.views:
        return
    rejected = {r["image_id"]: r["reason"] for r in folder.rows if r["status"] == "rejected"}
    wanted = units.rows(units.form(images, folder.manifest.unit), rejected)
    there = {row["image_id"]: row for row in folder.records}
    if len(there) != len(folder.records):
        yield damage(names.UNITS, "has two rows of one unit")
    for row in wanted:
        found = there.pop(row["image_id"], None)
        if found is None:
            yield damage(names.UNITS, f"lacks {row['image_id']}")
        elif differing := _differing(found, row):
            yield damage(names.UNITS, f"{row['image_id']} differs in {', '.join(differing)}")
    for name in there:
        yield damage(names.UNITS, f"{name} is no unit of sources.csv")


def _check_totals(folder: CheckedFolder) -> Iterator[Discrepancy]:
    """Yields where the totals of manifest.json are not those of sources.csv and shards."""
    content, entries = folder.manifest, folder.manifest.shards.values()
    status = collections.Counter(row["status"] for row in folder.rows)
    counted = {
        "images": len(folder.rows),
        "records": sum(entry.records for entry in entries),
        "bytes": sum(entry.bytes for entry in entries),
        **{name: status[name] for name in ("written", "missing", "rejected", "excluded")},
    }
    for name, count in counted.items():
        held = getattr(content.totals, name)
        if held != count:
            yield damage("manifest.json", f"totals: {held} {name}, sources.csv and shards {count}")
    written = sum(row["status"] == "written" for row in folder.records)
    if counted["records"] != written:
        table, what = (names.UNITS, "units") if content.views else (names.SOURCES, "images")
        yield damage(
            "manifest.json",
            f"{counted['records']} records in its shards, {table} says "
            f"{written} {what} are written",
        )


def _check_ledgers(folder: CheckedFolder) -> Iterator[Discrepancy]:
    """Yields where ledgers and manifest.json disagree."""
    for name, ledger in folder.ledgers.items():
        for key in ("records", "bytes", "sha256"):
            held = getattr(folder.manifest.shards[name], key)
            written = getattr(ledger, key)
            if written != held:
                yield damage("manifest.json", f"{name}: {key} is {held}, its ledger says {written}")


def _image(row: Mapping[str, str]) -> SourceRow:
    """Makes an image of its row of sources.csv.

    Raises:
        ValueError: the number of lesions is no number.
    """
    values: dict[str, Any] = {key: row[key] for key in schema.CLINICAL_KEYS}
    values["abnormalities"] = int(row["abnormalities"])
    excluded = row["reason"] if row["status"] == "excluded" else ""
    return SourceRow(
        **values,
        split=row["split"],
        path=row["path"],
        excluded=excluded,
        discrepancies=row["discrepancies"],
        unit_id=row.get("unit_id", ""),
    )


def _differing(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    return sorted(k for k in found.keys() | wanted.keys() if found.get(k) != wanted.get(k))
