"""One shard compared with the manifest and the tables: every byte is read, once."""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
from collections.abc import Callable, Mapping

from beam_jobs.verify.discrepancy import Discrepancy
from records import example, schema, tfrecord
from records.image_size import ImageSize
from records.manifest import ShardEntry


@dataclasses.dataclass
class ShardReport:
    """What a shard holds.

    Attributes:
        images: id of the image of each readable record, with the record's number, counted from 1.
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
        rows: rows of sources.csv by image id.
    """

    size: ImageSize
    shards: Mapping[str, ShardEntry]
    rows: Mapping[str, Mapping[str, str]]


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
        found.add(f"{number} records, manifest.json says {entry.records}")
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
        problems = check_columns(columns, expected.size)
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
            found.digests[image_id] = hashlib.sha256(columns["image"][0]).hexdigest()  # type: ignore[arg-type]


def check_columns(columns: Mapping[str, example.Value], size: ImageSize) -> list[str]:
    """Lists where a record departs from `records.schema.FEATURES`: keys, kinds, image bytes."""
    kinds: dict[str, schema.Kind] = {f.key: f.kind for f in schema.FEATURES}
    problems = [f"has no column {key!r}" for key in kinds if key not in columns]
    problems += [f"has a column {key!r} unknown to the schema" for key in columns.keys() - kinds]
    for key in kinds.keys() & columns.keys():
        values = columns[key]
        if len(values) != 1:
            problems.append(f"{key} has {len(values)} values in place of one")
        elif isinstance(values[0], int) != (kinds[key] in ("integer", "class")):
            problems.append(f"{key} is not of kind {kinds[key]}")
        elif kinds[key] == "text" and _read_text(values) is None:
            problems.append(f"{key} is not UTF-8")
        elif key.startswith("original_") and not int(values[0]) > 0:
            problems.append(f"{key} is {values[0]}")
        elif kinds[key] == "image":
            wanted = 2 * size.height * size.width
            if len(values[0]) != wanted:  # type: ignore[arg-type]
                problems.append(
                    f"image has {len(values[0])} bytes, {size} takes {wanted}"  # type: ignore[arg-type]
                )
    return sorted(problems)


def _compare(
    columns: Mapping[str, example.Value], row: Mapping[str, str] | None, split: str
) -> list[str]:
    """Lists where a sound record departs from its row of sources.csv."""
    if row is None:
        return ["its image is not listed in sources.csv"]
    problems = []
    if row["status"] != "written":
        problems.append(f"has a record, sources.csv says its image is {row['status']}")
    elif row["split"] != split:
        problems.append(f"stands in {split}, sources.csv says {row['split'] or 'no split'}")
    for key in schema.CLINICAL_KEYS:
        value = columns[key][0]
        text = str(value) if isinstance(value, int) else bytes(value).decode()
        if text != row[key]:
            problems.append(f"{key} is {text!r}, sources.csv says {row[key]!r}")
    label, pathology = columns["label"][0], row["pathology"]
    if pathology in ("", *schema.PATHOLOGIES) and label != schema.label_of(pathology):
        problems.append(f"label is {label!r}, sources.csv says {pathology!r}")
    return problems


def _read_text(values: example.Value | None) -> str | None:
    if not values or not isinstance(values[0], memoryview):
        return None
    try:
        return bytes(values[0]).decode()
    except UnicodeDecodeError:
        return None
