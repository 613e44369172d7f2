"""An output folder from its first file to its last: job.json, plan.json, tables, manifest.json.

fingerprint  what was configured: flags, images, library versions; decides resume or refuse
data_fingerprint  what came out: the SHA-256 of all shards
"""

from __future__ import annotations

import collections
import csv
import hashlib
import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from typing import Any

from beam_jobs import statistics, storage, units
from beam_jobs.pages import overview, preview
from beam_jobs.shards import Output, Shard
from beam_jobs.sources import source_row as image_table
from beam_jobs.sources.source_row import SourceRow
from flags import datasets, recipe_spec
from flags.conversion_config import ConversionConfig
from records import files, folder, schema
from records.errors import CallerError
from records.manifest import Job, Ledger, Manifest, ShardEntry, Totals, fingerprint_shards

_REMEDY = "give another --output_dir, or remove the folder"
# libraries whose version may change a pixel or a split
_LIBRARIES = (
    "imagecodecs",
    "numpy",
    "opencv-python-headless",
    "pydicom",
    "scikit-learn",
    "scipy",
)


def describe_job(
    config: ConversionConfig, output: Output, images: Sequence[SourceRow], *, key: str = ""
) -> Job:
    """Returns all that decides the bytes of an output.

    Args:
        config: the conversion.
        output: the folder.
        images: every image the tables list, as they are named there.
        key: tells which key their names are hashed with, "" if they are not.
    """
    rows = [
        [
            *(image.image_id, bool(image.path), image.split, image.excluded, image.clinical()),
            *([image.unit_id] if output.unit != "image" else []),
        ]
        for image in images
    ]
    return Job(
        schema_version=schema.SCHEMA_VERSION,
        settings=config.identity(),
        size=output.size,
        recipe=recipe_spec.folder_name(output.recipe),
        steps=recipe_spec.canonical(output.recipe),
        images=hashlib.sha256(json.dumps(rows).encode()).hexdigest(),
        versions={name: importlib.metadata.version(name) for name in _LIBRARIES},
        hash_patients=key,
    )


def check_output(output: Output, job: Job, *, overwrite: bool) -> None:
    """Refuses a folder that holds records of another job, or something else.

    Raises:
        CallerError: names what differs and what to do.
    """
    path = output.work_folder / folder.JOB
    if storage.is_file(path):
        found, wanted = files.read_json(path, remedy=_REMEDY), job.to_json()
        if found.get("fingerprint") != wanted["fingerprint"] and not overwrite:
            changed = ", ".join(
                key
                for key in sorted(wanted.keys() | found.keys())
                if key != "fingerprint" and wanted.get(key) != found.get(key)
            )
            raise CallerError(
                f"{output.directory} holds records made with other {changed}; "
                "give another --output_dir, or --overwrite to replace them"
            )
    elif output.directory.is_dir():
        # a job killed before it wrote job.json leaves these
        names = {entry.name for entry in output.directory.iterdir()}
        others = names - {"plan.json", folder.WORK_FOLDER}
        if any(not name.startswith(".plan.json.") for name in others):
            raise CallerError(
                f"{output.directory} is not empty and was not made by this program; "
                "give another --output_dir"
            )


def open_output(output: Output, job: Job, *, overwrite: bool) -> None:
    """Makes the folder of an output, or resumes the same job where it stopped.

    Raises:
        CallerError: the folder can't be written.
    """
    path, content = output.work_folder / folder.JOB, job.to_json()
    try:
        if overwrite and storage.is_file(path) and files.read_json(path, remedy=_REMEDY) != content:
            _remove_records(output)
        storage.make_folder(output.work_folder)
        for entry in storage.entries(output.work_folder):
            if entry.name.endswith(".tmp"):
                files.remove(entry)
        for entry in storage.entries(output.directory):  # of a job killed while it wrote its tables
            if entry.name.startswith(".") and any(name in entry.name for name in folder.FILES):
                files.remove(entry)
        files.write_json(path, content)
    except OSError as error:
        raise CallerError(
            f"{output.directory} can't be written: {error.strerror or error}"
        ) from error


def write_plan(output: Output, plan: dict[str, Any]) -> None:
    """Writes plan.json, so that it can be read before the images are."""
    try:
        storage.make_folder(output.directory)
        files.write_json(output.directory / "plan.json", plan)
    except OSError as error:
        raise CallerError(
            f"{output.directory} can't be written: {error.strerror or error}"
        ) from error


def close_output(
    output: Output,
    job: Job,
    images: Sequence[SourceRow],
    planned: Sequence[Shard],
    *,
    shown: Sequence[SourceRow] | None = None,
) -> Manifest:
    """Writes tables, statistics, picture and TFDS's files beside the shards, manifest.json last.

    Args:
        output: folder whose shards are all written.
        job: what `describe_job` returned.
        images: every image the tables list.
        planned: the job's shards.
        shown: the same images as the tables here may show them, if not as they are.
    """
    ledgers = {shard.name: output.read_ledger(shard.name) for shard in planned}
    rejected = [row for ledger in ledgers.values() for row in ledger.rejected]
    reasons = {row["image_id"]: row["reason"] for row in rejected}
    by_id = {image.image_id: image for image in images}
    written = [
        (by_id[measured["image_id"]], measured)
        for ledger in ledgers.values()
        for measured in ledger.images
    ]
    directory = output.directory
    _write_tables(output, images if shown is None else shown, rejected)
    summary = statistics.summarise(written)
    files.write_json(directory / "statistics.json", summary)
    with files.replacing(directory / "preview.png") as path:
        preview.write(path, [image for image, _ in written], output, planned)
    files.write_json(directory / "features.json", schema.features_json(output.size, output.unit))
    files.write_text(directory / schema.LABELS, schema.labels_text())
    manifest = _build_manifest(job, images, planned, ledgers, reasons)
    files.write_json(
        directory / "dataset_info.json",
        describe_dataset(manifest.dataset, manifest.shards, manifest.unit),
    )
    with files.replacing(directory / "overview.html") as path:
        overview.write(
            path, manifest, summary, images, overview.draw_images(output, ledgers, by_id)
        )
    files.write_json(directory / folder.MANIFEST, manifest.to_json())
    return manifest


def withdraw(output: Output) -> None:
    """Removes manifest.json before shards are written anew.

    A job killed after the last of them would else leave a manifest that speaks of the old ones.

    Raises:
        OSError: it can't be removed.
    """
    files.remove(output.directory / folder.MANIFEST)


def read_manifest(output: Output) -> Manifest | None:
    """Reads manifest.json of a finished output, None before that."""
    if not storage.is_file(output.directory / folder.MANIFEST):
        return None
    return folder.read_manifest(output.directory, remedy=_REMEDY)


def _remove_records(output: Output) -> None:
    """Removes what this program wrote, and nothing else that may lie there.

    job.json goes last: whoever is killed meanwhile leaves a folder known as this program's.
    """
    withdraw(output)
    for path in storage.entries(output.directory):
        if path.name in folder.FILES or ".tfrecord-" in path.name:
            files.remove(path)
    for path in storage.entries(output.work_folder):
        if path.name not in ("lock", folder.JOB):
            files.remove(path)
    files.remove(output.work_folder / folder.JOB)


def _write_tables(
    output: Output, shown: Sequence[SourceRow], rejected: Sequence[Mapping[str, str]]
) -> None:
    """Writes sources.csv, rejected.csv, and units.csv and lesions.csv where there are any."""
    by_id = {image.image_id: image for image in shown}
    reasons = {row["image_id"]: row["reason"] for row in rejected}
    with files.replacing(output.directory / folder.SOURCES) as path:
        image_table.write_sources(path, shown, reasons, unit=output.unit)
    if output.unit != "image":
        with files.replacing(output.directory / folder.UNITS) as path:
            units.write(path, units.rows(units.form(shown, output.unit), reasons))
    if any(image.rois for image in shown):
        with files.replacing(output.directory / folder.LESIONS) as path:
            image_table.write_lesions(path, shown)
    with (
        files.replacing(output.directory / folder.REJECTED) as path,
        path.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(folder.REJECTED_HEADER)
        for row in sorted(rejected, key=lambda row: row["image_id"]):
            image = by_id[row["image_id"]]
            writer.writerow([image.image_id, image.path, row["reason"], row["detail"]])


def _build_manifest(
    job: Job,
    images: Sequence[SourceRow],
    planned: Sequence[Shard],
    ledgers: Mapping[str, Ledger],
    reasons: dict[str, str],
) -> Manifest:
    outcomes = collections.Counter(image_table.outcome(image, reasons)[0] for image in images)
    entries = {}
    for shard in planned:
        ledger = ledgers[shard.name]
        entries[shard.name] = ShardEntry(shard.split, ledger.records, ledger.bytes, ledger.sha256)
    return Manifest(
        job=job,
        fingerprint=job.fingerprint,
        data_fingerprint=fingerprint_shards([entry.sha256 for entry in entries.values()]),
        shards=entries,
        totals=Totals(
            images=len(images),
            records=sum(entry.records for entry in entries.values()),
            bytes=sum(entry.bytes for entry in entries.values()),
            **{name: outcomes[name] for name in ("written", "missing", "rejected", "excluded")},
        ),
        rejected=dict(sorted(collections.Counter(reasons.values()).items())),
    )


def describe_dataset(dataset: str, entries: Mapping[str, ShardEntry], unit: str) -> dict[str, Any]:
    """Builds TFDS's dataset_info.json; splits without a record are left out, as TFDS wants it.

    Args:
        dataset: name of the data set.
        entries: manifest.json's entry of each shard, in order.
        unit: what one record holds, a key of `schema.VIEWS`.
    """
    described = datasets.DATASETS[dataset]
    by_split: dict[str, list[ShardEntry]] = {}
    for entry in entries.values():
        by_split.setdefault(entry.split, []).append(entry)
    names = sorted(s for s, members in by_split.items() if any(one.records for one in members))
    folds = "+".join(name for name in names if name != schema.TEST_SPLIT)
    held = "" if unit == "image" else f", {datasets.UNITS[unit]} in one record"
    return {
        "name": dataset,
        "version": schema.SCHEMA_VERSION,
        "description": described.title
        + held
        + (f"; its training images are {folds}" if folds else ""),
        "citation": described.citation,
        # without one TFDS names a page of its own catalogue
        "location": {"urls": [described.homepage]},
        "supervisedKeys": {"tuple": {"items": [{"featureKey": "image"}, {"featureKey": "label"}]}},
        "redistributionInfo": {"license": described.licence},
        "fileFormat": "tfrecord",
        "splits": [
            {
                "name": split,
                "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
                "numBytes": str(sum(member.bytes for member in by_split[split])),
                "shardLengths": [str(member.records) for member in by_split[split]],
            }
            for split in names
        ],
    }
