"""tf.train.Example by the table in records.schema: columns and pixels -> bytes, and back.

In protobuf's wire format, so that no worker has to carry TensorFlow: an Example is a map from key
to a list of bytes or of integers (tensorflow/core/example/example.proto and feature.proto).

Classes that protobuf generates were measured (upb 4.25): they read a record of 64x48 in 11 instead
of 91 us, but one of 2048x1376 in 319 instead of 92 us, for they copy its pixels, and they accept a
key that stands twice and fields unknown to Example, which the verification has to name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from records import schema

_VARINT, _FIXED64, _DELIMITED, _FIXED32 = 0, 1, 2, 5
"""Wire types of protobuf (protobuf.dev, Encoding)."""

Value = list[memoryview] | list[int]


def encode(columns: Mapping[str, str | int], array: np.ndarray, original: tuple[int, int]) -> bytes:
    """Serializes one record, the same bytes for the same input.

    Features stand in the order of their keys; each is serialized as TensorFlow does.

    Args:
        columns: `records.schema.CLINICAL_KEYS`, what the tables say.
        array: [height, width, 1] uint16.
        original: (rows, columns) of the image before the recipe.
    """
    height, width = original
    return _serialize(
        {
            **columns,
            "image": _Pixels([_raw(array)]),
            "original_height": height,
            "original_width": width,
        }
    )


def encode_views(
    columns: Mapping[str, str | int],
    names: Sequence[str],
    arrays: Sequence[np.ndarray | None],
    originals: Sequence[tuple[int, int]],
) -> bytes:
    """Serializes one record of several views, the same bytes for the same input.

    Args:
        columns: as of `encode`, of the breast or examination.
        names: ids of the images, "" where a view is absent.
        arrays: [height, width, 1] uint16 each, None where a view is absent: zeros are written.
        originals: (rows, columns) of each image before the recipe, (0, 0) where absent.
    """
    length = next(array.nbytes for array in arrays if array is not None)
    nothing = memoryview(bytes(length))
    return _serialize(
        {
            **columns,
            "image": _Pixels([nothing if one is None else _raw(one) for one in arrays]),
            "image_ids": list(names),
            "original_height": [height for height, _ in originals],
            "original_width": [width for _, width in originals],
            "views_present": [int(one is not None) for one in arrays],
        }
    )


_Part = bytes | memoryview


@dataclasses.dataclass(frozen=True)
class _Pixels:
    """One value of bytes that lies in several places."""

    parts: list[_Part]


_Column = str | int | _Pixels | list[str] | list[int]


def _raw(array: np.ndarray) -> memoryview:
    assert array.dtype == np.uint16, array.dtype
    return np.ascontiguousarray(array.astype("<u2", copy=False)).data.cast("B")


def _serialize(columns: Mapping[str, _Column]) -> bytes:
    values = {**columns, "label": schema.label_of(str(columns["pathology"]))}
    features = [
        part
        for key in sorted(values)
        for part in _field(1, [*_field(1, [key.encode()]), *_field(2, _feature(values[key]))])
    ]
    return b"".join(_field(1, features))  # the one place where pixels are copied


def _feature(value: _Column) -> list[_Part]:
    """Feature: bytes_list is field 1, int64_list field 3; each holds its values in field 1."""
    if isinstance(value, _Pixels):
        return _field(1, _field(1, value.parts))
    texts: list[_Part] = []
    numbers: list[_Part] = []
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, str):
            texts += _field(1, [one.encode("utf-8", "surrogateescape")])
        else:
            numbers.append(_varint(one))
    return _field(3, _field(1, numbers)) if numbers else _field(1, texts)


def _field(number: int, content: list[_Part]) -> list[_Part]:
    """A length-delimited field (wire type 2)."""
    length = sum(len(part) for part in content)
    return [_varint(number << 3 | 2) + _varint(length), *content]


def _varint(value: int) -> bytes:
    """Seven bits a byte, lowest first, the top bit set on all but the last; 2's complement."""
    value &= (1 << 64) - 1
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def parse(data: bytes) -> dict[str, Value]:
    """Takes a tf.train.Example apart: key -> its byte strings (not copied) or its integers.

    Raises:
        ValueError: the bytes are no Example, hold a key twice, or a list of floats.
    """
    columns: dict[str, Value] = {}
    for number, features in _read_fields(memoryview(data)):
        _expect(number == 1, "field other than features")
        for entry_number, entry in _read_fields(_message(features)):
            _expect(entry_number == 1, "field other than the map of features")
            pair = dict(_read_fields(_message(entry)))
            _expect(pair.keys() == {1, 2}, "map entry without key and value")
            key = bytes(_message(pair[1])).decode()
            _expect(key not in columns, f"key {key!r} twice")
            columns[key] = _parse_feature(_message(pair[2]))
    return columns


def _parse_feature(feature: memoryview) -> Value:
    """Feature: bytes_list is field 1, float_list 2, int64_list 3; values are field 1 of each."""
    lists = list(_read_fields(feature))
    _expect(len(lists) == 1 and lists[0][0] in (1, 3), "feature that is no bytes or int64 list")
    kind, content = lists[0]
    values = [value for _, value in _read_fields(_message(content))]
    if kind == 1:
        return [_message(value) for value in values]
    integers: list[int] = []
    for value in values:  # packed into one field, or a field each
        integers += [value] if isinstance(value, int) else _unpack_varints(value)
    return [value - (1 << 64) if value >> 63 else value for value in integers]


def _read_fields(message: memoryview) -> Iterator[tuple[int, memoryview | int]]:
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
