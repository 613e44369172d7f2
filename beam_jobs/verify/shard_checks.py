"""One shard compared with the manifest and the tables: every byte is read, once."""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from beam_jobs.verify.discrepancy import Discrepancy
from records import example, schema, tfrecord
from records import folder as names
from records.image_size import ImageSize
from records.manifest import ShardEntry
from records.printable import counted


@dataclasses.dataclass
class ShardReport:
    """What a shard holds.

    Attributes:
        images: id of each readable record, with the record's number, counted from 1.
        digests: SHA-256 of the pixels of each image, if wanted.
        whole: whether the image of every record is known.
        faulty: whether bytes of it are damaged.
    """

    name: str
    findings: list[Discrepancy] = dataclasses.field(default_factory=list)
    images: list[tuple[str, int]] = dataclasses.field(default_factory=list)
    digests: dict[str, str] = dataclasses.field(default_factory=dict)
    whole: bool = True
    faulty: bool = False

    def add(self, what: str, record: int | None = None, image_id: str = "") -> None:
        """Notes a damage of the shard, or of one of its records."""
        where = self.name
        if record is not None:
            where += f" record {record}" + (f" ({image_id})" if image_id else "")
        self.findings.append(Discrepancy(where, what, self.name))


@dataclasses.dataclass(frozen=True)
class Expected:
    """What shards are held against.

    Attributes:
        size: of every image.
        shards: manifest.json's entry of each shard.
        rows: rows of sources.csv, or units.csv, by id.
        unit: what one record holds, a key of `schema.VIEWS`.
    """

    size: ImageSize
    shards: Mapping[str, ShardEntry]
    rows: Mapping[str, Mapping[str, str]]
    unit: str = "image"


def check_shard(
    path: pathlib.Path,
    expected: Expected,
    *,
    digest_images: bool = False,
    report: Callable[[int], None] = lambda count: None,
) -> ShardReport:
    """Reads a shard and lists all that is wrong with it.

    Args:
        path: the shard.
        expected: what it should hold.
        digest_images: whether to note the SHA-256 of each image, to find copies.
        report: called with the bytes read since the last call.
    """
    found = ShardReport(path.name)
    if not path.is_file():
        found.findings.append(Discrepancy(path.name, "is missing", ""))
        found.whole, found.faulty = False, True
        return found
    size = path.stat().st_size
    digest = hashlib.sha256()
    number = 0
    with path.open("rb") as file:
        try:
            for number, frame in enumerate(tfrecord.read_frames(file, size), start=1):
                for part in frame.parts:
                    digest.update(part)
                _check_record(frame, number, found, expected, digest_images=digest_images)
                report(sum(map(len, frame.parts)))
        except tfrecord.LostFraming as lost:
            found.add(f"{lost}; nothing can be read from byte {lost.start} on", number + 1)
            found.whole, found.faulty = False, True
    if not found.faulty:
        _check_totals(found, expected, number=number, size=size, digest=digest.hexdigest())
    return found


def _check_totals(
    found: ShardReport, expected: Expected, *, number: int, size: int, digest: str
) -> None:
    """Compares records, bytes and SHA-256 of a shard read to its end with the manifest."""
    entry = expected.shards[found.name]
    if number != entry.records:
        found.add(f"{counted(number, 'records')}, manifest.json says {entry.records}")
    if size != entry.bytes:
        found.add(f"{size} bytes, manifest.json says {entry.bytes}")
    if digest == entry.sha256:  # the shard is as it was written: it is the table that differs
        found.findings = [dataclasses.replace(f, file="manifest.json") for f in found.findings]
    elif number == entry.records:
        twin = next((n for n, other in expected.shards.items() if other.sha256 == digest), None)
        found.add(
            f"holds what manifest.json says is in {twin}"
            if twin
            else "its SHA-256 is not that of manifest.json, though every record's checksum agrees"
        )


def _check_record(
    frame: tfrecord.Frame,
    number: int,
    found: ShardReport,
    expected: Expected,
    *,
    digest_images: bool,
) -> None:
    try:
        columns = example.parse(frame.data)
        problems = check_columns(columns, expected.size, expected.unit)
    except ValueError as error:
        columns, problems = {}, [f"is no tf.train.Example ({error})"]
    image_id = _read_text(columns.get("image_id")) or ""
    if frame.fault:  # whatever else looks wrong is a consequence
        found.add(f"{frame.fault} (bytes {frame.start} to {frame.end - 1})", number, image_id)
        found.faulty = True
        if image_id not in expected.rows:
            found.whole, image_id = False, ""
    else:
        if not problems:
            row = expected.rows.get(image_id)
            problems = _compare(columns, row, expected.shards[found.name].split)
        for problem in problems:
            found.add(problem, number, image_id)
    if image_id:
        found.images.append((image_id, number))
        if digest_images and not problems:
            found.digests.update(_digest(columns, expected.size))


def _digest(columns: Mapping[str, Any], size: ImageSize) -> Iterator[tuple[str, str]]:
    """Yields id and SHA-256 of each image of a sound record."""
    (pixels,) = columns["image"]
    step = 2 * size.height * size.width
    for place, name in enumerate(columns.get("image_ids", columns["image_id"])):
        if text := bytes(name).decode():
            yield text, hashlib.sha256(pixels[place * step : (place + 1) * step]).hexdigest()


def check_columns(
    columns: Mapping[str, example.Value], size: ImageSize, unit: str = "image"
) -> list[str]:
    """Lists where a record departs from `schema.features_of`: keys, kinds, image bytes."""
    features = {feature.key: feature for feature in schema.features_of(unit)}
    kinds: dict[str, schema.Kind] = {key: feature.kind for key, feature in features.items()}
    views = len(schema.VIEWS[unit])
    problems = [f"has no column {key!r}" for key in kinds if key not in columns]
    problems += [f"has a column {key!r} unknown to the schema" for key in columns.keys() - kinds]
    for key in kinds.keys() & columns.keys():
        values = columns[key]
        count = views if views and features[key].per_view and kinds[key] != "image" else 1
        if len(values) != count:
            problems.append(
                f"{key} has {len(values)} values in place of {count if views else 'one'}"
            )
        elif isinstance(values[0], int) != (kinds[key] in ("integer", "class")):
            problems.append(f"{key} is not of kind {kinds[key]}")
        elif kinds[key] == "text" and None in map(_decode, values):
            problems.append(f"{key} is not UTF-8")
        elif key.startswith("original_") and not any(isinstance(v, int) and v > 0 for v in values):
            problems.append(f"{key} is {values[0]}")
        elif kinds[key] == "image":
            wanted = 2 * size.height * size.width * max(views, 1)
            if len(values[0]) != wanted:  # type: ignore[arg-type]
                problems.append(
                    f"image has {len(values[0])} bytes, {size} takes {wanted}"  # type: ignore[arg-type]
                )
    return sorted(problems)


def _compare(
    columns: Mapping[str, example.Value], row: Mapping[str, str] | None, split: str
) -> list[str]:
    """Lists where a sound record departs from its row of sources.csv or units.csv."""
    several = "image_ids" in columns
    table = names.UNITS if several else names.SOURCES
    if row is None:
        return [f"its {'unit' if several else 'image'} is not listed in {table}"]
    problems = _check_absent(columns) if several else []
    if row["status"] != "written":
        problems.append(f"has a record, {table} says its image is {row['status']}")
    elif row["split"] != split:
        problems.append(f"stands in {split}, {table} says {row['split'] or 'no split'}")
    for key in (*schema.CLINICAL_KEYS, *(["image_ids"] if several else [])):
        text = ";".join(str(v) if isinstance(v, int) else bytes(v).decode() for v in columns[key])
        if text != row[key]:
            problems.append(f"{key} is {text!r}, {table} says {row[key]!r}")
    label, pathology = columns["label"][0], row["pathology"]
    if pathology in ("", *schema.PATHOLOGIES) and label != schema.label_of(pathology):
        problems.append(f"label is {label!r}, {table} says {pathology!r}")
    return problems


def _check_absent(columns: Mapping[str, Any]) -> list[str]:
    """Lists views that are absent and not zeros, or of which the columns do not agree."""
    present = [int(bool(len(name))) for name in columns["image_ids"]]
    problems = [] if columns["views_present"] == present else ["views_present is not image_ids'"]
    (pixels,) = columns["image"]
    slots = np.frombuffer(pixels, np.uint8).reshape(len(present), -1)
    for place, (there, slot) in enumerate(zip(present, slots, strict=True), start=1):
        native = [columns[key][place - 1] for key in ("original_height", "original_width")]
        if not there and (any(native) or slot.any()):
            problems.append(f"view {place} is absent and not zeros")
        elif there and not all(native):
            problems.append(f"view {place} has an original size of {native}")
    return problems


def _read_text(values: example.Value | None) -> str | None:
    return _decode(values[0]) if values else None


def _decode(value: memoryview | int) -> str | None:
    if isinstance(value, int):
        return None
    try:
        return bytes(value).decode()
    except UnicodeDecodeError:
        return None
