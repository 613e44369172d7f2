"""Damage is found where it was done; what is sound around it can be read."""

import io
import pathlib

import pytest
import tensorflow as tf

from records import tfrecord as beam_records
from records.errors import CallerError
from trainer.data import damage

DATA = [b"first", b"", b"third record" * 50, b"4"]


@pytest.fixture
def shard(tmp_path) -> pathlib.Path:
    path = tmp_path / "shard"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for data in DATA:
            writer.write(data)
    return path


def change(path: pathlib.Path, byte: int) -> None:
    content = bytearray(path.read_bytes())
    content[byte] ^= 1
    path.write_bytes(content)


def test_stretches_are_the_frames_of_another_reader(shard):
    content = shard.read_bytes()
    frames = list(beam_records.read_frames(io.BytesIO(content), len(content)))
    stretches = list(damage.walk(shard))
    assert [s.start for s in stretches] == [f.start for f in frames]
    assert [s.record for s in stretches] == [1, 2, 3, 4]
    assert stretches[-1].end == len(content)
    assert damage.find(shard) == []


# records begin at 0, 21, 37, 653 and the file ends at 670
@pytest.mark.parametrize(
    ("byte", "stretch", "left"),
    [
        (14, (1, 0, 21), [1, 2, 3]),
        (35, (2, 21, 37), [0, 2, 3]),
        (500, (3, 37, 653), [0, 1, 3]),
        (652, (3, 37, 653), [0, 1, 3]),
        (38, (3, 37, 670), [0, 1]),
        (46, (3, 37, 670), [0, 1]),
        (669, (4, 653, 670), [0, 1, 2]),
    ],
    ids=["data", "crc of empty", "long data", "crc", "length", "crc of length", "last"],
)
def test_any_changed_byte_is_found(shard, tmp_path, byte, stretch, left):
    change(shard, byte)
    assert damage.find(shard) == [damage.ByteRange(*stretch, sound=False)]
    damage.copy_sound(shard, tmp_path / "copy")
    read = tf.data.TFRecordDataset(str(tmp_path / "copy")).as_numpy_iterator()
    assert list(read) == [DATA[index] for index in left]


def test_a_cut_file_ends_at_its_last_whole_record(shard):
    shard.write_bytes(shard.read_bytes()[:640])
    assert damage.find(shard) == [damage.ByteRange(3, 37, 640, sound=False)]


def test_two_damages_of_one_shard(shard):
    change(shard, 14)
    change(shard, 660)
    assert [stretch.record for stretch in damage.find(shard)] == [1, 4]


def test_tensorflows_error_becomes_a_line_with_shard_record_and_byte(shard, tmp_path):
    change(shard, 500)
    with (
        pytest.raises(CallerError, match=r"shard record 3 \(from byte 37\) is damaged; remove"),
        damage.named(tmp_path, ["shard"]),
    ):
        list(tf.data.TFRecordDataset(str(shard)))


def test_other_errors_pass(tmp_path):
    with pytest.raises(KeyError), damage.named(tmp_path, []):
        raise KeyError
