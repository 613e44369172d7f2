"""An image's row and pixels -> the bytes of a tf.train.Example, by the table in records.schema.

Written straight in protobuf's wire format, so that no worker has to carry TensorFlow: an Example is
a map from key to a list of bytes or of integers (tensorflow/core/example/example.proto and
feature.proto). Features stand in the order of their keys; each is serialized as TensorFlow does.
"""

from __future__ import annotations

import numpy as np

from beam_jobs.sources.source_row import SourceRow
from records import schema


def encode(image: SourceRow, array: np.ndarray, original: tuple[int, int]) -> bytes:
    """Serializes one record, the same bytes for the same input.

    Args:
        image: what the tables say.
        array: [height, width, 1] uint16.
        original: (rows, columns) of the image before the recipe.
    """
    assert array.dtype == np.uint16, array.dtype
    pixels = np.ascontiguousarray(array.astype("<u2", copy=False))
    values: dict[str, str | int | memoryview] = {
        **image.clinical(),
        "image": pixels.data.cast("B"),
        "original_height": original[0],
        "original_width": original[1],
    }
    features = [
        part
        for key in sorted(feature.key for feature in schema.FEATURES)
        for part in _field(1, [*_field(1, [key.encode()]), *_field(2, _feature(values[key]))])
    ]
    return b"".join(_field(1, features))  # the one place where pixels are copied


_Part = bytes | memoryview


def _feature(value: str | int | memoryview) -> list[_Part]:
    """Feature: bytes_list is field 1, int64_list field 3; each holds its values in field 1."""
    if isinstance(value, int):
        return _field(3, _field(1, [_varint(value)]))
    return _field(1, _field(1, [value.encode() if isinstance(value, str) else value]))


def _field(number: int, content: list[_Part]) -> list[_Part]:
    """A length-delimited field (wire type 2)."""
    length = sum(len(part) for part in content)
    return [_varint(number << 3 | 2) + _varint(length), *content]


def _varint(value: int) -> bytes:
    """Seven bits a byte, lowest first, the top bit set on all but the last."""
    assert value >= 0, value
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
