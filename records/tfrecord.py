"""Reads TFRecord files and tf.train.Examples with every checksum checked, without TensorFlow.

  with path.open("rb") as file:
      for frame in read_frames(file, path.stat().st_size):
          columns = parse_example(frame.data)

It shares no code with the writer (shards, examples), so that one mistake can't hide in both.
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
_VARINT, _FIXED64, _DELIMITED, _FIXED32 = 0, 1, 2, 5
"""Wire types of protobuf (protobuf.dev, Encoding)."""

Value = list[memoryview] | list[int]


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
            fault if trusted else "the checksum of its length is damaged",
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
    if len(stored) != _FOOT:
        return False
    (masked,) = struct.unpack("<I", stored)
    rotated = (masked - _MASK_DELTA) & 0xFFFFFFFF
    crc: int = google_crc32c.value(data)
    return crc == ((rotated >> 17) | (rotated << 15)) & 0xFFFFFFFF


def parse_example(data: bytes) -> dict[str, Value]:
    """Takes a tf.train.Example apart: key -> its byte strings (not copied) or its integers.

    The messages are those of tensorflow/core/example/example.proto and feature.proto.

    Raises:
        ValueError: the bytes are no Example, hold a key twice, or a list of floats.
    """
    columns: dict[str, Value] = {}
    for number, features in _fields(memoryview(data)):
        _expect(number == 1, "field other than features")
        for entry_number, entry in _fields(_message(features)):
            _expect(entry_number == 1, "field other than the map of features")
            pair = dict(_fields(_message(entry)))
            _expect(pair.keys() == {1, 2}, "map entry without key and value")
            key = bytes(_message(pair[1])).decode()
            _expect(key not in columns, f"key {key!r} twice")
            columns[key] = _parse_feature(_message(pair[2]))
    return columns


def _parse_feature(feature: memoryview) -> Value:
    """Feature: bytes_list is field 1, float_list 2, int64_list 3; values are field 1 of each."""
    lists = list(_fields(feature))
    _expect(len(lists) == 1 and lists[0][0] in (1, 3), "feature that is no bytes or int64 list")
    kind, content = lists[0]
    values = [value for _, value in _fields(_message(content))]
    if kind == 1:
        return [_message(value) for value in values]
    integers: list[int] = []
    for value in values:  # packed into one field, or a field each
        integers += [value] if isinstance(value, int) else _unpack_varints(value)
    return [value - (1 << 64) if value >> 63 else value for value in integers]


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Yields number and content of the fields of a message."""
    position = 0
    while position < len(message):
        tag, position = _read_varint(message, position)
        if tag & 7 == _VARINT:
            value, position = _read_varint(message, position)
            yield tag >> 3, value
            continue
        if tag & 7 == _DELIMITED:
            length, position = _read_varint(message, position)
        else:
            _expect(tag & 7 in (_FIXED64, _FIXED32), "unknown wire type")
            length = 8 if tag & 7 == _FIXED64 else 4
        _expect(position + length <= len(message), "field longer than its message")
        yield tag >> 3, message[position : position + length]
        position += length


def _message(content: memoryview | int) -> memoryview:
    _expect(isinstance(content, memoryview), "number where a message should be")
    assert isinstance(content, memoryview)
    return content


def _unpack_varints(packed: memoryview) -> list[int]:
    values, position = [], 0
    while position < len(packed):
        value, position = _read_varint(packed, position)
        values.append(value)
    return values


def _read_varint(message: memoryview, position: int) -> tuple[int, int]:
    """Returns a base-128 number, lowest seven bits first, and the position after it."""
    value = 0
    for shift in range(0, 64, 7):
        _expect(position < len(message), "number that does not end")
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("number of more than 64 bits")


def _expect(condition: bool, otherwise: str) -> None:
    if not condition:
        raise ValueError(otherwise)
