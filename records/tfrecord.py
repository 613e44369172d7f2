"""TFRecord files: frames of length, data and their CRC32C, written and read without TensorFlow.

  with path.open("rb") as file:
      for frame in read_frames(file, path.stat().st_size):
          columns = example.parse(frame.data)

TensorFlow's own reader and writer are what the tests hold both halves against.
"""

from __future__ import annotations

import dataclasses
import io
import struct
from collections.abc import Iterator
from typing import IO

import google_crc32c

_HEAD, _FOOT = 12, 4
"""Bytes around the data: its length and that one's CRC; its CRC (tensorflow.org, TFRecord)."""
_MASK_DELTA = 0xA282EAD8
"""tensorflow/core/lib/hash/crc32c.h: a stored CRC is rotated right by 15 bits, then this added."""


def frame_record(data: bytes) -> Iterator[bytes]:
    """Yields the parts of one record on disk: length and its CRC, data, CRC of the data."""
    length = struct.pack("<Q", len(data))
    yield length + _masked_crc(length)
    yield data
    yield _masked_crc(data)


LENGTH_FAULT = "the checksum of its length is damaged"


class LostFraming(ValueError):
    """Where the next record begins is not known; nothing after `start` can be read.

    Attributes:
        start: byte the unreadable part begins at.
    """

    def __init__(self, start: int, what: str) -> None:
        super().__init__(what)
        self.start = start


@dataclasses.dataclass(frozen=True)
class Frame:
    """One record of a file.

    Attributes:
        start: its first byte within the file.
        parts: the bytes as they lie on disk: length and its CRC, data, CRC of the data.
        fault: what is wrong with a checksum, or "".
    """

    start: int
    parts: tuple[bytes, bytes, bytes]
    fault: str

    @property
    def end(self) -> int:
        """The byte after its last one."""
        return self.start + sum(map(len, self.parts))

    @property
    def data(self) -> bytes:
        """The serialized tf.train.Example."""
        return self.parts[1]


def read_frames(file: IO[bytes], size: int) -> Iterator[Frame]:
    """Yields the records of a file, bad ones too; one record is in memory at a time.

    Args:
        file: opened at its start.
        size: bytes of the file.

    Raises:
        LostFraming: a record's end can't be known: the file is cut short, or a length is damaged.
    """
    start = 0
    while start < size:
        left = size - start - _HEAD - _FOOT
        if left < 0:
            raise LostFraming(start, f"{size - start} bytes are left, too few for a record")
        head = file.read(_HEAD)
        (length,) = struct.unpack("<Q", head[:8])
        trusted = _crc_matches(head[:8], head[8:])
        if length > left:
            raise LostFraming(
                start,
                f"the record needs {length} bytes and {left} are left: the file is cut short"
                if trusted
                else "the length of the record is damaged",
            )
        data, foot = file.read(length), file.read(_FOOT)
        if len(foot) < _FOOT:
            raise LostFraming(start, "the file became shorter while it was read")
        sound = _crc_matches(data, foot)
        if not trusted and not sound:
            raise LostFraming(start, "the length of the record is damaged")
        fault = "" if sound else "the checksum of its data differs"
        yield Frame(
            start,
            (head, data, foot),
            fault if trusted else LENGTH_FAULT,
        )
        start += _HEAD + length + _FOOT


def read_record(file: IO[bytes], index: int) -> bytes:
    """Reads one record, counted from 0, jumping over those before it.

    Raises:
        LostFraming: there is no such record, or a checksum is wrong.
    """
    for _ in range(index):
        (length,) = struct.unpack("<Q", _read_head(file))
        file.seek(length + _FOOT, io.SEEK_CUR)
    start = file.tell()
    (length,) = struct.unpack("<Q", _read_head(file))
    data = file.read(length)
    if not _crc_matches(data, file.read(_FOOT)):
        raise LostFraming(start, "the checksum of its data differs")
    return data


def _read_head(file: IO[bytes]) -> bytes:
    start, head = file.tell(), file.read(_HEAD)
    if len(head) < _HEAD or not _crc_matches(head[:8], head[8:]):
        raise LostFraming(start, "the length of the record is damaged or missing")
    return head[:8]


def _crc_matches(data: bytes, stored: bytes) -> bool:
    """Compares the masked CRC32C of some bytes with the four bytes stored after them."""
    return stored == _masked_crc(data)


def _masked_crc(data: bytes) -> bytes:
    crc: int = google_crc32c.value(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF)
