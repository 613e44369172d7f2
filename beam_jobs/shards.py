"""Shards: which records go into which, and writing one whole, once, for every output at a time.

A shard is written to a temporary file, flushed to disk and renamed; then its ledger (what is in
it, what was rejected, its SHA-256) in the same way. A shard is finished if it has both, so a job
that was killed goes on where it stopped, and the result is the same to the last byte.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Sequence
from typing import IO, Any

import numpy as np

from beam_jobs import statistics, storage
from beam_jobs.imaging import decode, recipe, resize
from beam_jobs.imaging.unusable import UnusableImage
from beam_jobs.output_folder import Output
from beam_jobs.sources.source_row import SourceRow
from beam_jobs.storage import Folder
from beam_jobs.units import Unit, form
from records import example, files, folder, schema, tfrecord
from records.manifest import Ledger

_PASSING = ("unreadable", "changed")


@dataclasses.dataclass(frozen=True)
class Shard:
    """One element of the Beam job: records that are written together, and where to."""

    name: str
    split: str
    units: tuple[Unit, ...]
    outputs: tuple[Output, ...]
    data_dir: Folder
    options: decode.Options

    @property
    def images(self) -> tuple[SourceRow, ...]:
        """The images its records are made of."""
        return tuple(image for unit in self.units for image in unit.images)

    @property
    def files_digest(self) -> str:
        """SHA-256 of path, size and time of change of the images' files."""
        files = [[image.path, image.bytes, image.modified_ns] for image in self.images]
        return hashlib.sha256(json.dumps(files).encode()).hexdigest()


def plan(
    dataset: str,
    images: Sequence[SourceRow],
    outputs: Sequence[Output],
    *,
    data_dir: Folder,
    images_per_shard: int,
    options: decode.Options,
) -> list[Shard]:
    """Distributes the records of images that have a file to shards, by a hash of their names."""
    by_split: dict[str, list[Unit]] = {}
    for unit in form(images, outputs[0].unit):
        if unit.row.split and unit.images:
            by_split.setdefault(unit.row.split, []).append(unit)
    units_per_shard = max(images_per_shard // max(len(schema.VIEWS[outputs[0].unit]), 1), 1)
    planned = []
    for split, members in sorted(by_split.items()):
        members.sort(
            key=lambda unit: hashlib.sha256(
                unit.row.image_id.encode("utf-8", "surrogateescape")
            ).digest()
        )
        count = -(-len(members) // units_per_shard)
        for index in range(count):
            start, end = (len(members) * edge // count for edge in (index, index + 1))
            planned.append(
                Shard(
                    name=schema.shard_name(dataset, split, index, count),
                    split=split,
                    units=tuple(members[start:end]),
                    outputs=tuple(outputs),
                    data_dir=data_dir,
                    options=options,
                )
            )
    return planned


def is_finished(shard: Shard, output: Output) -> bool:
    """Whether an output holds this shard whole, made from the files as they are now.

    An image that could not be read at all (a network that failed, a disk not mounted), or was being
    written at that moment, is tried again.
    """
    records = output.directory / shard.name
    ledger_file = folder.ledger_path(output.directory, shard.name)
    if not storage.is_file(ledger_file) or not storage.is_file(records):
        return False
    try:
        ledger = folder.read_ledger(ledger_file)
    except files.DamagedFile:  # the shard is written anew
        return False
    return (
        records.stat().st_size == ledger.bytes
        and ledger.files == shard.files_digest
        and not any(image["reason"] in _PASSING for image in ledger.rejected)
    )


def unfinished(shard: Shard) -> Shard | None:
    """Returns what is left to do of a shard, None if nothing is."""
    outputs = tuple(output for output in shard.outputs if not is_finished(shard, output))
    return dataclasses.replace(shard, outputs=outputs) if outputs else None


def write(shard: Shard) -> None:
    """Decodes each image of a shard once and writes it to every output.

    An image that can't be used goes into the ledger with its reason, the others go on.

    Raises:
        OSError: the output can't be written; nothing half-written stays.
    """
    with contextlib.ExitStack() as stack:
        writers = [stack.enter_context(_ShardWriter(output, shard)) for output in shard.outputs]
        for unit in shard.units:
            for image in unit.images:
                try:
                    decoded = _read(shard, image)
                except UnusableImage as unusable:
                    for writer in writers:
                        writer.reject(image, unusable)
                    continue
                pixels = resize.restore_aspect(decoded.pixels, decoded.aspect)
                shared = recipe.Shared()
                for writer in writers:
                    writer.add(image, pixels, decoded, shared)
            for writer in writers:
                writer.end_record(unit)
        for writer in writers:
            writer.finish()


def _read(shard: Shard, image: SourceRow) -> decode.Decoded:
    """Decodes an image, and makes sure that its file is the one that was listed."""
    path = shard.data_dir / image.path
    try:
        decoded = decode.open_image(path, options=options_of(image, shard.options))
    finally:
        _check_unchanged(path, image)
    return decoded


def options_of(image: SourceRow, options: decode.Options) -> decode.Options:
    """Adds what a table states of one image to the options of all."""
    return dataclasses.replace(
        options, inverted=image.inverted, aspect=image.aspect or options.aspect
    )


def _check_unchanged(path: Folder, image: SourceRow) -> None:
    try:
        found = path.stat()
    except OSError as error:
        raise UnusableImage("unreadable", error.strerror or type(error).__name__) from error
    if image.modified_ns and (found.st_size, found.st_mtime_ns) != (image.bytes, image.modified_ns):
        raise UnusableImage(
            "changed", f"listed with {image.bytes} bytes, {found.st_size} once it was read"
        )


class _ShardWriter:
    """One shard of one output: a temporary file until `finish`."""

    def __init__(self, output: Output, shard: Shard) -> None:
        self._output = output
        self._shard = shard
        self._temporary = output.work_folder / files.temporary_name(shard.name)
        self._hash = hashlib.sha256()
        self._images: list[dict[str, Any]] = []
        self._rejected: list[dict[str, str]] = []
        self._views: dict[str, tuple[np.ndarray, tuple[int, int]]] = {}
        self._records = self._bytes = 0
        self._finished = False

    def __enter__(self) -> _ShardWriter:
        self._file: IO[bytes] = self._temporary.open("wb")
        return self

    def __exit__(self, *_: object) -> None:
        if self._finished:
            return
        with contextlib.suppress(OSError):  # a full disk raises a second time
            self._file.close()
        files.remove(self._temporary)

    def reject(self, image: SourceRow, unusable: UnusableImage) -> None:
        self._rejected.append(
            {"image_id": image.image_id, "reason": unusable.reason, "detail": unusable.detail}
        )

    def add(
        self,
        image: SourceRow,
        pixels: np.ndarray,
        decoded: decode.Decoded,
        shared: recipe.Shared,
    ) -> None:
        try:
            array = recipe.prepare(
                pixels,
                self._output.recipe,
                self._output.size,
                view=image.view,
                side=image.side,
                shared=shared,
            )
        except UnusableImage as unusable:
            self.reject(image, unusable)
            return
        height, width = decoded.native.height, decoded.native.width
        self._views[image.image_id] = array, (height, width)
        known = {"original_height": height, "original_width": width}
        said = {"remarks": list(decoded.remarks)} if decoded.remarks else {}
        self._images.append(
            {"image_id": image.image_id, **known, **statistics.measure(array), **said}
        )

    def end_record(self, unit: Unit) -> None:
        """Writes the record of the views added, if there are any."""
        if not self._views:
            return
        if self._output.unit == "image":
            record = example.encode(unit.row.clinical(), *self._views[unit.row.image_id])
        else:
            kept = unit.keep(self._views)
            arrays, originals = zip(
                *(self._views.get(name, (None, (0, 0))) for name in kept.image_ids), strict=True
            )
            record = example.encode_views(kept.row.clinical(), kept.image_ids, arrays, originals)
        for part in tfrecord.frame_record(record):
            self._file.write(part)
            self._hash.update(part)
            self._bytes += len(part)
        self._records += 1
        self._views = {}

    def finish(self) -> None:
        files.save(self._file)
        self._file.close()
        files.rename(self._temporary, self._output.directory / self._shard.name)
        self._finished = True
        ledger = Ledger(
            files=self._shard.files_digest,
            records=self._records,
            bytes=self._bytes,
            sha256=self._hash.hexdigest(),
            images=tuple(self._images),
            rejected=tuple(self._rejected),
        )
        files.write_json(
            folder.ledger_path(self._output.directory, self._shard.name), ledger.to_json()
        )
