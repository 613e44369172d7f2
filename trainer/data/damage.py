"""Damaged shards: where the damage is, and a copy of what is sound around it.

with damage.named(directory, shards):  # a damaged record becomes one line with shard and byte
    model.fit(...)
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterable, Iterator

import tensorflow as tf

from records import tfrecord
from records.errors import CallerError


@dataclasses.dataclass(frozen=True)
class ByteRange:
    """Bytes start..end-1 of a shard: one record, or all that follows a length that is damaged.

    Attributes:
        record: its number in the shard, from 1.
        sound: whether both checksums agree.
    """

    record: int
    start: int
    end: int
    sound: bool


def walk(path: pathlib.Path) -> Iterator[ByteRange]:
    """Yields the records of a shard in order; one of them is in memory at a time."""
    size = path.stat().st_size
    record = 0
    with path.open("rb") as file:
        try:
            for record, frame in enumerate(tfrecord.read_frames(file, size), start=1):
                if frame.fault == tfrecord.LENGTH_FAULT:  # TensorFlow trusts no length after it
                    yield ByteRange(record, frame.start, size, sound=False)
                    return
                yield ByteRange(record, frame.start, frame.end, sound=not frame.fault)
        except tfrecord.LostFraming as lost:
            yield ByteRange(record + 1, lost.start, size, sound=False)


def find(path: pathlib.Path) -> list[ByteRange]:
    """Lists the damaged stretches of a shard."""
    return [stretch for stretch in walk(path) if not stretch.sound]


def describe(path: pathlib.Path, stretch: ByteRange) -> str:
    """Names a damaged stretch: shard, record and byte."""
    return f"{path.name} record {stretch.record} (from byte {stretch.start})"


def copy_sound(path: pathlib.Path, copy: pathlib.Path) -> None:
    """Writes the sound records of a shard, as they lie there, to another file."""
    with path.open("rb") as file, copy.open("wb") as sound:
        for stretch in walk(path):
            if stretch.sound:
                file.seek(stretch.start)
                sound.write(file.read(stretch.end - stretch.start))


@contextlib.contextmanager
def named(directory: pathlib.Path, shards: Iterable[str]) -> Iterator[None]:
    """Turns TensorFlow's error at a damaged record into one line that names it.

    Raises:
        CallerError: shard, record and byte of the first damage of each damaged shard.
    """
    try:
        yield
    except tf.errors.DataLossError as error:
        damaged = {name: found[0] for name in shards if (found := find(directory / name))}
        said = [describe(directory / name, first) for name, first in damaged.items()]
        raise CallerError(
            f"{directory}: {', '.join(said) or 'a record'} is damaged; remove the shard and give "
            "the command of the conversion again, then this one, or go on without such records "
            "with --skip_damaged"
        ) from error
