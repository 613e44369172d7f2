"""Shards: whole or absent, resumable, readable by others."""

import dataclasses
import hashlib
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from beam_jobs import output_folder, shards
from beam_jobs.imaging import decode
from beam_jobs.sources.source_row import SourceRow
from records import folder, tfrecord
from records.image_size import ImageSize

SIZES = (ImageSize(24, 16), ImageSize(10, 30))


def pgm(height: int, width: int, seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    return f"P5 {width} {height} 255\n".encode() + pixels.tobytes()


def make_images(folder: pathlib.Path, count: int) -> list[SourceRow]:
    images = []
    for number in range(count):
        path = folder / f"image{number}.pgm"
        path.write_bytes(pgm(40 + number, 30, number))
        images.append(
            SourceRow(
                image_id=f"image{number}",
                patient_id=f"patient{number // 2}",
                side="left",
                view="CC",
                pathology="benign",
                density="3",
                split="fold0" if number % 3 else "test",
                path=path.name,
                bytes=path.stat().st_size,
            )
        )
    return images


@pytest.fixture
def planned(tmp_path):
    outputs = [output_folder.Output(tmp_path / str(size), size, "paper") for size in SIZES]
    for output in outputs:
        output.work_folder.mkdir(parents=True)
    images = make_images(tmp_path, 11)
    return shards.plan(
        "set",
        images,
        outputs,
        data_dir=tmp_path,
        images_per_shard=3,
        options=decode.Options(max_pixels=10_000),
    )


def read_by_tensorflow(path: pathlib.Path) -> list[tf.train.Example]:
    return [
        tf.train.Example.FromString(record)
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    ]


def test_plan_deals_every_image_once_into_even_shards(planned):
    assert [shard.name for shard in planned] == [
        "set-fold0.tfrecord-00000-of-00003",
        "set-fold0.tfrecord-00001-of-00003",
        "set-fold0.tfrecord-00002-of-00003",
        "set-test.tfrecord-00000-of-00002",
        "set-test.tfrecord-00001-of-00002",
    ]
    assert sorted(len(shard.images) for shard in planned) == [2, 2, 2, 2, 3]
    names = [image.image_id for shard in planned for image in shard.images]
    assert sorted(names) == sorted(f"image{number}" for number in range(11))


def test_plan_passes_over_images_without_file_or_split(planned):
    images = [image for shard in planned for image in shard.images]
    gone = [dataclasses.replace(images[0], path=""), dataclasses.replace(images[1], split="")]
    again = shards.plan(
        "set",
        gone + images[2:],
        planned[0].outputs,
        data_dir=planned[0].data_dir,
        images_per_shard=3,
        options=decode.Options(max_pixels=1),
    )
    assert sum(len(shard.images) for shard in again) == len(images) - 2


def test_tensorflow_reads_every_output_and_the_ledger_agrees(planned):
    for shard in planned:
        shards.write(shard)
        for output in shard.outputs:
            path = output.directory / shard.name
            examples = read_by_tensorflow(path)
            ledger = output.read_ledger(shard.name)
            assert ledger.records == len(examples) == len(shard.images)
            assert ledger.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
            assert ledger.bytes == path.stat().st_size
            assert shards.is_finished(shard, output)
            for image, example in zip(shard.images, examples, strict=True):
                feature = example.features.feature
                assert feature["image_id"].bytes_list.value[0].decode() == image.image_id
                assert feature["density"].bytes_list.value[0] == b"3"
                assert feature["original_height"].int64_list.value[0] == 40 + int(
                    image.image_id.removeprefix("image")
                )
                assert feature["original_width"].int64_list.value[0] == 30
                pixels = np.frombuffer(feature["image"].bytes_list.value[0], "<u2")
                assert pixels.size == output.size.height * output.size.width
                assert (pixels.min(), pixels.max()) == (0, 65535)
        assert shards.unfinished(shard) is None


def test_an_unusable_image_is_in_the_ledger_and_the_others_in_the_shard(planned):
    shard = next(shard for shard in planned if len(shard.images) == 3)
    (shard.data_dir / shard.images[1].path).write_bytes(pgm(40, 30, 0)[:100])
    shards.write(shard)
    for output in shard.outputs:
        ledger = output.read_ledger(shard.name)
        assert list(ledger.rejected) == [
            {
                "image_id": shard.images[1].image_id,
                "reason": "truncated",
                "detail": "87 of 1200 bytes of pixels",
            }
        ]
        names = [image["image_id"] for image in ledger.images]
        assert names == [shard.images[0].image_id, shard.images[2].image_id]
        assert len(read_by_tensorflow(output.directory / shard.name)) == 2


def test_an_error_leaves_nothing_behind(planned, monkeypatch):
    calls = []

    def break_down(data):
        calls.append(data)
        if len(calls) == 3:
            raise OSError("no space left")
        return iter([data])

    monkeypatch.setattr(tfrecord, "frame_record", break_down)
    with pytest.raises(OSError, match="no space left"):
        shards.write(planned[0])
    for output in planned[0].outputs:
        assert not (output.directory / planned[0].name).exists()
        assert list(output.work_folder.iterdir()) == []


@pytest.mark.parametrize("damage", ["cut", "gone", "no ledger"])
def test_a_shard_that_is_not_whole_is_written_again(planned, damage):
    shard = planned[0]
    shards.write(shard)
    output = shard.outputs[0]
    path = output.directory / shard.name
    whole = path.read_bytes()
    if damage == "cut":
        path.write_bytes(whole[:-5])
    elif damage == "gone":
        path.unlink()
    else:
        folder.ledger_path(output.directory, shard.name).unlink()
    rest = shards.unfinished(shard)
    assert rest is not None
    assert rest.outputs == (output,)
    shards.write(rest)
    assert path.read_bytes() == whole
