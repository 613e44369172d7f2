"""A finished output: tables, statistics, pictures, TFDS's files beside its shards; manifest.json.

manifest = close_output(output, job, images, planned)
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from beam_jobs import statistics, units
from beam_jobs.output_folder import Output
from beam_jobs.pages import overview, preview
from beam_jobs.shards import Shard
from beam_jobs.sources import source_row as image_table
from beam_jobs.sources.source_row import SourceRow
from flags import datasets
from records import files, folder, schema
from records.manifest import Job, Ledger, Manifest, ShardEntry, Totals, fingerprint_shards


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
    remarks = {m["image_id"]: m["remarks"] for _, m in written if "remarks" in m}
    shown = [
        image.with_remarks(remarks.get(known.image_id, ()))
        for known, image in zip(images, images if shown is None else shown, strict=True)
    ]
    _write_tables(output, shown, rejected)
    summary = statistics.summarise(written)
    files.write_json(directory / "statistics.json", summary)
    with files.replacing(directory / "preview.png") as path:
        preview.write(path, [image for image, _ in written], output, planned)
    files.write_json(directory / "features.json", schema.features_json(output.size, output.unit))
    files.write_text(directory / schema.LABELS, schema.labels_text())
    manifest = _build_manifest(job, images, planned, ledgers, reasons)
    counts = collections.Counter(itertools.chain.from_iterable(remarks.values()))
    manifest = dataclasses.replace(manifest, remarks=dict(sorted(counts.items())))
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
            rows = units.rows(units.form(shown, output.unit), reasons)
            folder.write_table(path, schema.UNITS_HEADER, rows)
    if any(image.rois for image in shown):
        with files.replacing(output.directory / folder.LESIONS) as path:
            image_table.write_lesions(path, shown)
    with files.replacing(output.directory / folder.REJECTED) as path:
        listed = sorted(rejected, key=lambda row: row["image_id"])
        placed = ({**row, "path": by_id[row["image_id"]].path} for row in listed)
        folder.write_table(path, folder.REJECTED_HEADER, placed)


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
