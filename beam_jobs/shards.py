"""Shards: which films go into which, and writing one whole, once, for every output at a time.

A shard is written to a temporary file, flushed to disk and renamed; then its ledger (what is in
it, what was rejected, its SHA-256) in the same way. A shard is finished if it has both, so a job
that was killed goes on where it stopped, and the result is the same to the last byte.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import struct
from collections.abc import Iterator, Sequence
from typing import IO, Any

import google_crc32c
import numpy as np

from beam_jobs import examples, statistics
from beam_jobs.imaging import decode, recipe
from beam_jobs.sources.film import Film
from flags import schema
from flags.size import ImageSize

WORK_FOLDER = ".shards"


@dataclasses.dataclass(frozen=True)
class Output:
    """One folder of records: a size and a recipe."""

    directory: pathlib.Path
    size: ImageSize
    recipe: str

    @property
    def record_bytes(self) -> int:
        """Bytes of pixels in one record."""
        return 2 * self.size.height * self.size.width

    @property
    def work_folder(self) -> pathlib.Path:
        """Where ledgers, and files not yet whole, lie."""
        return self.directory / WORK_FOLDER


@dataclasses.dataclass(frozen=True)
class Shard:
    """One element of the Beam job: films that are written together, and where to."""

    name: str
    split: str
    films: tuple[Film, ...]
    outputs: tuple[Output, ...]
    data_dir: pathlib.Path
    max_pixels: int

    @property
    def files_digest(self) -> str:
        """SHA-256 of path, size and time of change of the films' files."""
        files = [[film.path, film.bytes, film.modified_ns] for film in self.films]
        return hashlib.sha256(json.dumps(files).encode()).hexdigest()


def plan(
    dataset: str,
    films: Sequence[Film],
    outputs: Sequence[Output],
    *,
    data_dir: pathlib.Path,
    films_per_shard: int,
    max_pixels: int,
) -> list[Shard]:
    """Deals the films that have a file out to shards, mixed by a hash of their names."""
    by_split: dict[str, list[Film]] = {}
    for film in films:
        if film.split and film.path:
            by_split.setdefault(film.split, []).append(film)
    planned = []
    for split, members in sorted(by_split.items()):
        members.sort(key=lambda film: hashlib.sha256(film.film_id.encode()).digest())
        count = -(-len(members) // films_per_shard)
        for index in range(count):
            start, end = (len(members) * edge // count for edge in (index, index + 1))
            planned.append(
                Shard(
                    name=schema.shard_name(dataset, split, index, count),
                    split=split,
                    films=tuple(members[start:end]),
                    outputs=tuple(outputs),
                    data_dir=data_dir,
                    max_pixels=max_pixels,
                )
            )
    return planned


def is_finished(shard: Shard, output: Output) -> bool:
    """Tells whether an output holds this shard whole, made from the files as they are now.

    A film that could not be read at all (a network that failed, a disk not mounted) is tried again.
    """
    records = output.directory / shard.name
    if not ledger_path(output, shard.name).is_file() or not records.is_file():
        return False
    ledger = read_ledger(output, shard.name)
    return (
        records.stat().st_size == ledger["bytes"]
        and ledger["files"] == shard.files_digest
        and all(film["reason"] != "unreadable" for film in ledger["rejected"])
    )


def unfinished(shard: Shard) -> Shard | None:
    """Returns what is left to do of a shard, None if nothing is."""
    outputs = tuple(output for output in shard.outputs if not is_finished(shard, output))
    return dataclasses.replace(shard, outputs=outputs) if outputs else None


def write(shard: Shard) -> None:
    """Decodes each film of a shard once and writes it to every output.

    A film that can't be used goes into the ledger with its reason, the others go on.

    Raises:
        OSError: the output can't be written; nothing half-written stays.
    """
    with contextlib.ExitStack() as stack:
        writers = [stack.enter_context(_ShardWriter(output, shard)) for output in shard.outputs]
        for film in shard.films:
            try:
                pixels = decode.read_film(shard.data_dir / film.path, max_pixels=shard.max_pixels)
            except decode.UnusableFilm as unusable:
                for writer in writers:
                    writer.reject(film, unusable)
                continue
            for writer in writers:
                writer.add(film, pixels)
        for writer in writers:
            writer.finish()


class _ShardWriter:
    """One shard of one output: a temporary file until `finish`."""

    def __init__(self, output: Output, shard: Shard) -> None:
        self._output = output
        self._shard = shard
        self._temporary = output.work_folder / f"{shard.name}.{os.getpid()}.tmp"
        self._hash = hashlib.sha256()
        self._films: list[dict[str, Any]] = []
        self._rejected: list[dict[str, str]] = []
        self._bytes = 0

    def __enter__(self) -> _ShardWriter:
        self._file: IO[bytes] = self._temporary.open("wb")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._temporary.unlink(missing_ok=True)  # gone already if finished

    def reject(self, film: Film, unusable: decode.UnusableFilm) -> None:
        self._rejected.append(
            {"film_id": film.film_id, "reason": unusable.reason, "detail": unusable.detail}
        )

    def add(self, film: Film, pixels: np.ndarray) -> None:
        try:
            image = recipe.prepare(pixels, self._output.recipe, self._output.size)
        except decode.UnusableFilm as unusable:
            self.reject(film, unusable)
            return
        height, width = pixels.shape
        for part in frame_record(examples.encode(film, image, (height, width))):
            self._file.write(part)
            self._hash.update(part)
            self._bytes += len(part)
        native = {"original_height": height, "original_width": width}
        self._films.append({"film_id": film.film_id, **native, **statistics.measure(image)})

    def finish(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        os.replace(self._temporary, self._output.directory / self._shard.name)
        write_json(
            ledger_path(self._output, self._shard.name),
            {
                "files": self._shard.files_digest,
                "records": len(self._films),
                "bytes": self._bytes,
                "sha256": self._hash.hexdigest(),
                "films": self._films,
                "rejected": self._rejected,
            },
        )


def frame_record(data: bytes) -> Iterator[bytes]:
    """Yields the parts of a TFRecord: length, its CRC, data, its CRC (tensorflow.org, TFRecord)."""
    length = struct.pack("<Q", len(data))
    yield length + _masked_crc(length)
    yield data
    yield _masked_crc(data)


def _masked_crc(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def ledger_path(output: Output, name: str) -> pathlib.Path:
    """Where the ledger of a shard lies."""
    return output.work_folder / f"{name}.json"


def read_ledger(output: Output, name: str) -> dict[str, Any]:
    """Reads files, records, bytes, sha256, films and rejected of a finished shard."""
    ledger: dict[str, Any] = json.loads(ledger_path(output, name).read_text(encoding="utf-8"))
    return ledger


def write_json(path: pathlib.Path, content: object) -> None:
    """Writes JSON whole or not at all."""
    text = json.dumps(content, indent=1) + "\n"
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
