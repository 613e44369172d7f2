"""Damaged records: where they are, and how to go on without them.

with damage.named(directory, shards):  # a damaged record becomes one line with shard and byte
    model.fit(...)
saved = damage.salvage(directory, manifest.shards, images)   # copies of what is sound
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping

from absl import logging

from records import tfrecord
from records.errors import CallerError
from records.manifest import ShardEntry


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
    """Lists the damaged byte ranges of a shard."""
    return [part for part in walk(path) if not part.sound]


def describe(path: pathlib.Path, part: ByteRange) -> str:
    """Names a damaged byte range: shard, record and byte."""
    return f"{path.name} record {part.record} (from byte {part.start})"


def copy_sound(path: pathlib.Path, copy: pathlib.Path) -> None:
    """Writes the sound records of a shard, as they lie there, to another file."""
    with path.open("rb") as file, copy.open("wb") as sound:
        for part in walk(path):
            if part.sound:
                file.seek(part.start)
                sound.write(file.read(part.end - part.start))


@contextlib.contextmanager
def named(directory: pathlib.Path, shards: Iterable[str]) -> Iterator[None]:
    """Turns TensorFlow's error at a damaged record into one line that names it.

    Raises:
        CallerError: shard, record and byte of the first damage of each damaged shard.
    """
    import tensorflow as tf  # slow; a caller's mistakes are found before

    try:
        yield
    except tf.errors.DataLossError as error:
        damaged = {name: found[0] for name in shards if (found := find(directory / name))}
        lines = [describe(directory / name, first) for name, first in damaged.items()]
        raise CallerError(
            f"{directory}: {', '.join(lines) or 'a record'} is damaged; remove the shard and give "
            "the command of the conversion again, then this one, or go on without such records "
            "with --skip_damaged"
        ) from error


@dataclasses.dataclass(frozen=True)
class Salvage:
    """Damaged records that the program goes on without.

    Attributes:
        damaged: each of them: shard, record and byte.
        lost: images whose records are gone.
        copies: shard -> file with its sound records alone.
        folder: of the copies, removed with this object.
    """

    damaged: tuple[str, ...]
    lost: frozenset[str]
    copies: Mapping[str, pathlib.Path]
    folder: tempfile.TemporaryDirectory[str]


def salvage(
    directory: pathlib.Path, shards: Mapping[str, ShardEntry], images: Iterable[Mapping[str, str]]
) -> Salvage:
    """Reads every byte of all shards; copies the sound records of damaged ones to a new folder.

    Args:
        directory: of the shards.
        shards: name -> entry of manifest.json.
        images: rows of sources.csv that were written.

    Raises:
        CallerError: there is no room for the copies.
    """
    damaged = {name: found for name in shards if (found := find(directory / name))}
    folder = tempfile.TemporaryDirectory(prefix="sound-records-")
    copies = {name: pathlib.Path(folder.name) / name for name in damaged}
    try:
        for name, copy in copies.items():
            copy_sound(directory / name, copy)
    except OSError as error:
        raise CallerError(
            f"the sound records of damaged shards can't be copied to {folder.name} "
            f"({error.strerror}); name a folder with room in TMPDIR"
        ) from error
    lines = [describe(directory / name, one) for name in damaged for one in damaged[name]]
    for one in lines:
        logging.warning("%s is damaged; going on without it", one)
    # a damaged record does not say whose it was: the images of its split that no other record holds
    splits = {shards[name].split for name in damaged}
    paths = [
        str(copies.get(name, directory / name))
        for name, shard in shards.items()
        if shard.split in splits
    ]
    left = {name.decode() for name in _image_ids(paths)}
    lost = {image["image_id"] for image in images if image["split"] in splits} - left
    return Salvage(tuple(lines), frozenset(lost), copies, folder)


def _image_ids(paths: list[str]) -> Iterable[bytes]:
    if not paths:
        return ()
    import tensorflow as tf

    from trainer.data import parsing

    return tf.data.TFRecordDataset(paths).map(parsing.parse_image_ids).as_numpy_iterator()
