"""Tests of the reader of TFRecords against TensorFlow's."""

from __future__ import annotations

import io
import struct

import google_crc32c
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from records import schema, tfrecord
from records.example import parse


def read(content: bytes) -> list[tfrecord.Frame]:
    return list(tfrecord.read_frames(io.BytesIO(content), len(content)))


@pytest.fixture(scope="module")
def shard(made_records):
    return max(made_records.shards, key=lambda path: path.stat().st_size)


def plain(columns):
    return {
        key: [value if isinstance(value, int) else bytes(value) for value in values]
        for key, values in columns.items()
    }


def test_frames_are_those_of_tensorflow(shard):
    wanted = list(tf.data.TFRecordDataset(str(shard)).as_numpy_iterator())
    frames = read(shard.read_bytes())
    assert len(wanted) == 4
    assert [frame.data for frame in frames] == wanted
    assert [frame.fault for frame in frames] == [""] * 4
    assert b"".join(b"".join(frame.parts) for frame in frames) == shard.read_bytes()
    for index, record in enumerate(wanted):
        with shard.open("rb") as file:
            assert tfrecord.read_record(file, index) == record


def test_columns_are_those_of_tensorflow(shard):
    for record in tf.data.TFRecordDataset(str(shard)).as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        wanted = {
            key: list(value.bytes_list.value) + list(value.int64_list.value)
            for key, value in features.items()
        }
        assert plain(parse(record)) == wanted
        assert wanted.keys() == {feature.key for feature in schema.FEATURES}


COLUMNS = st.dictionaries(
    st.text(max_size=5),
    st.one_of(
        st.lists(st.binary(max_size=200), min_size=1, max_size=3),
        st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=5),
    ),
    max_size=4,
)


@given(COLUMNS)
@settings(max_examples=60, deadline=None)
def test_any_example_that_tensorflow_writes(columns):
    example = tf.train.Example()
    for key, values in columns.items():
        feature = example.features.feature[key]
        if isinstance(values[0], int):
            feature.int64_list.value.extend(values)
        else:
            feature.bytes_list.value.extend(values)
    assert plain(parse(example.SerializeToString())) == columns


@given(st.binary(max_size=60))
@settings(max_examples=300, deadline=None)
def test_noise_is_refused_or_read(data):
    """Whatever is read is an Example for TensorFlow too."""
    try:
        parse(data)
    except ValueError:
        return
    tf.train.Example.FromString(data)


def test_integers_a_field_each():
    integers = b"\x08\x05\x08\x80\x01"
    feature = bytes([0x1A, len(integers)]) + integers
    entry = b"\x0a\x01n" + bytes([0x12, len(feature)]) + feature
    features = bytes([0x0A, len(entry)]) + entry
    data = bytes([0x0A, len(features)]) + features
    assert list(tf.train.Example.FromString(data).features.feature["n"].int64_list.value) == [
        5,
        128,
    ]
    assert parse(data) == {"n": [5, 128]}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: d[:-1], "field longer than its message"),
        (lambda d: b"\x12" + d[1:], "field other than features"),
        (lambda d: d + d, "key 'k' twice"),
        (lambda d: d + b"\xff", "number that does not end"),
        (lambda d: b"\x0b" + d[1:], "unknown wire type"),
        (lambda d: b"\x08\x01", "number where a message should be"),
    ],
)
def test_damaged_examples(damage, message):
    example = tf.train.Example()
    example.features.feature["k"].bytes_list.value.append(b"value")
    with pytest.raises(ValueError, match=message):
        parse(damage(example.SerializeToString()))


def test_floats_are_refused():
    example = tf.train.Example()
    example.features.feature["k"].float_list.value.append(0.5)
    with pytest.raises(ValueError, match="no bytes or int64 list"):
        parse(example.SerializeToString())


def frame(data: bytes) -> bytes:
    def crc(part):
        value = google_crc32c.value(part)
        return struct.pack("<I", ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF)

    length = struct.pack("<Q", len(data))
    return length + crc(length) + data + crc(data)


THREE = [b"first", b"second record", b"third"]
FILE = b"".join(map(frame, THREE))
STARTS = [0, 21, 50]


def flip(position: int) -> bytes:
    return FILE[:position] + bytes([FILE[position] ^ 0x10]) + FILE[position + 1 :]


@pytest.mark.parametrize(
    ("position", "fault"),
    [
        (21 + 12 + 4, "the checksum of its data differs"),
        (21 + 12 + 13, "the checksum of its data differs"),
        (21 + 9, "the checksum of its length is damaged"),
    ],
    ids=["data", "its CRC", "CRC of the length"],
)
def test_it_goes_on_after_a_bad_record(position, fault):
    frames = read(flip(position))
    assert [frame.fault for frame in frames] == ["", fault, ""]
    assert [frame.start for frame in frames] == STARTS
    assert [frame.data for frame in frames[::2]] == THREE[::2]


def test_a_damaged_length_ends_it():
    for position in range(21, 21 + 8):
        found = tfrecord.read_frames(io.BytesIO(flip(position)), len(FILE))
        assert next(found).data == b"first"
        with pytest.raises(tfrecord.LostFraming, match="length of the record is damaged") as lost:
            next(found)
        assert lost.value.start == 21


@pytest.mark.parametrize("size", range(1, len(FILE)))
def test_a_file_cut_short(size):
    whole = [start for start in STARTS if start + 16 + len(THREE[STARTS.index(start)]) <= size]
    found = tfrecord.read_frames(io.BytesIO(FILE[:size]), size)
    for _ in whole:
        next(found)
    if size in STARTS:  # between records: nothing to see, the count of records tells
        assert list(found) == []
        return
    with pytest.raises(tfrecord.LostFraming, match=r"cut short|too few for a record") as lost:
        next(found)
    assert lost.value.start == STARTS[len(whole)]


def test_no_such_record():
    with pytest.raises(tfrecord.LostFraming, match="damaged or missing"):
        tfrecord.read_record(io.BytesIO(FILE), 3)
    with pytest.raises(tfrecord.LostFraming, match="data differs"):
        tfrecord.read_record(io.BytesIO(flip(21 + 14)), 1)
