"""Every image counted exactly once: rows of sources.csv, records, and patients by split."""

from __future__ import annotations

import collections
from collections.abc import Iterator, Sequence

from beam_jobs.verify.checked_folder import CheckedFolder, broken_if_damaged
from beam_jobs.verify.discrepancy import BrokenFolder, Discrepancy, damage, enumerate_names
from beam_jobs.verify.shard_checks import ShardReport
from records import folder as names
from records import schema
from records.printable import counted


def check_rows(folder: CheckedFolder) -> Iterator[Discrepancy]:
    """Yields images listed twice, impossible outcomes, and where rejected.csv differs."""
    for image_id, count in collections.Counter(row["image_id"] for row in folder.rows).items():
        if count > 1:
            yield damage("sources.csv", f"image {image_id} has {count} rows")
    for row in folder.rows:
        status = row["status"]
        where = f"image {row['image_id']} is {status!r}"
        if status not in ("written", "missing", "rejected", "excluded"):
            yield damage("sources.csv", f"{where}, which is no outcome")
        elif bool(row["split"]) == (status == "excluded"):
            yield damage("sources.csv", f"{where} and its split is {row['split']!r}")
        elif bool(row["reason"]) == (status == "written"):
            yield damage("sources.csv", f"{where} and its reason is {row['reason']!r}")
        elif bool(row["path"]) == (status == "missing") and status != "excluded":
            yield damage("sources.csv", f"{where} and its path is {row['path']!r}")
    try:
        with broken_if_damaged():
            listed = names.read_table(folder.directory / names.REJECTED, names.REJECTED_HEADER)
    except BrokenFolder as broken:
        yield broken.discrepancy
        return
    keys = ("image_id", "path", "reason")
    here = collections.Counter(tuple(row[key] for key in keys) for row in listed)
    there = collections.Counter(
        tuple(row[key] for key in keys) for row in folder.rows if row["status"] == "rejected"
    )
    for image_id, *_ in sorted((here - there).keys()):
        yield damage("rejected.csv", f"image {image_id} is not rejected so in sources.csv")
    for image_id, *_ in sorted((there - here).keys()):
        yield damage("rejected.csv", f"lacks image {image_id}, rejected in sources.csv")


def check_patients(folder: CheckedFolder) -> list[Discrepancy]:
    """Looks for patients in more than one split; a warning where the job's policies allow it."""
    standing: dict[str, set[str]] = collections.defaultdict(set)
    for row in folder.rows:
        if row["split"]:
            standing[row["patient_id"]].add(row["split"])
    policies = {key: folder.manifest.policies[key] for key in ("split_policy", "leak_policy")}
    allowed: list[str] = []
    refused: list[str] = []
    for patient, found in sorted(standing.items()):
        if len(found) > 1:
            # folds are drawn by patient, so `keep` lets a patient into the test set and one fold
            kept = policies["leak_policy"] == "keep" and len(found - {schema.TEST_SPLIT}) == 1
            by_image = policies["split_policy"] == "image"
            (allowed if kept or by_image else refused).append(patient)
    findings = [
        damage("sources.csv", f"patient {patient} stands in {', '.join(sorted(standing[patient]))}")
        for patient in refused
    ]
    if allowed:
        stated = ", ".join(f"{key}={value}" for key, value in policies.items())
        findings.append(
            Discrepancy(
                "sources.csv",
                f"{counted(len(allowed), 'patients')} in several splits ({stated})",
                "",
                False,
            )
        )
    return findings


def check_accounts(folder: CheckedFolder, reports: Sequence[ShardReport]) -> list[Discrepancy]:
    """Looks for images, or breasts and examinations, with no record or with two."""
    places: dict[str, list[tuple[str, int]]] = collections.defaultdict(list)
    for report in reports:
        for image_id, number in report.images:
            places[image_id].append((report.name, number))
    findings = [
        Discrepancy(
            f"{name} record {number} ({image_id})",
            f"its image has a record already: {found[0][0]} record {found[0][1]}",
            name,
        )
        for image_id, found in sorted(places.items())
        for name, number in found[1:]
    ]
    unit_of = {row["image_id"]: row["unit_id"] for row in folder.rows if "unit_id" in row}
    homes = {
        unit_of.get(image["image_id"], image["image_id"]): name
        for name, ledger in folder.ledgers.items()
        for image in ledger.images
    }
    lost: dict[str, list[str]] = collections.defaultdict(list)
    for row in folder.records:
        if row["status"] == "written" and row["image_id"] not in places:
            lost[homes.get(row["image_id"], "")].append(row["image_id"])
    for name, images in sorted(lost.items()):
        findings.append(
            Discrepancy(
                name or "sources.csv",
                f"no readable record of {counted(len(images), 'images')} written by sources.csv: "
                + enumerate_names(images),
                name or "manifest.json",
            )
        )
    return findings
