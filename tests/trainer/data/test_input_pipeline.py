import dataclasses
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from flags import targets
from records.image_size import ImageSize
from trainer.data import input_pipeline, records_folder
from trainer.data.dataset import select
from trainer.data.records_folder import open_records

TARGET = targets.TARGETS["pathology"]
SIZE = ImageSize(64, 48)


@pytest.fixture(scope="module")
def train_split(records_dir):
    return select(open_records(records_dir), "train", ["fold1", "fold2", "fold3"], TARGET)


def decode_by_tfds(records_dir, parts):
    """Image id -> (pixels, pathology) as TFDS reads our files."""
    tfds = pytest.importorskip("tensorflow_datasets")
    builder = tfds.builder_from_directory(str(records_dir))
    return {
        example["image_id"].decode(): (example["image"], example["pathology"].decode())
        for part in parts
        for example in tfds.as_numpy(builder.as_dataset(split=part))
    }


def test_evaluation_yields_every_image_once_with_the_pixels_tfds_reads(records_dir, train_split):
    expected = decode_by_tfds(records_dir, train_split.parts)
    batches = list(
        input_pipeline.evaluation_batches(
            train_split, TARGET, SIZE, batch_size=4
        ).as_numpy_iterator()
    )
    described = list(
        input_pipeline.described_batches(
            train_split, TARGET, SIZE, batch_size=4
        ).as_numpy_iterator()
    )
    assert len(expected) % 4  # the last batch is a small one
    names = [name.decode() for _, _, row, *_ in described for name in row["image_id"]]
    for (pixels, truths), (same, classes, *_) in zip(batches, described, strict=True):
        np.testing.assert_array_equal(pixels, same)
        np.testing.assert_array_equal(truths[:, 0], classes)
    images = np.concatenate([images for images, _ in batches])
    labels = np.concatenate([labels for _, labels in batches])
    assert sorted(names) == sorted(expected)
    assert images.dtype == np.uint16
    for name, image, label in zip(names, images, labels, strict=True):
        np.testing.assert_array_equal(image, expected[name][0])
        assert label == (expected[name][1] == "malignant")


@pytest.mark.parametrize("condition", ["", "view == 'CC'"], ids=["all", "some"])
def test_a_record_is_found_again_where_it_lay(records_dir, condition):
    opened = records_folder.open_records(records_dir, condition=condition)
    split = select(opened, "train", ["fold1", "fold2", "fold3"], TARGET)
    batches = input_pipeline.described_batches(split, TARGET, SIZE, batch_size=4)
    found = 0
    for images, _, _, shards, numbers in batches.as_numpy_iterator():
        for image, shard, number in zip(images, shards, numbers, strict=True):
            place = records_folder.Place(shard.decode(), int(number))
            again, present = records_folder.read_pixels(place, SIZE)
            assert present is None
            assert again.dtype == np.uint16
            np.testing.assert_array_equal(again, image[:, :, 0])
            found += 1
    assert found == len(split.images)
    assert bool(condition) == split.partial


def epochs_of(split, *, first_epoch, last_epoch, cache=False, seed=3):
    """The order of images of each epoch, by their mean grey."""
    batches = [
        images.mean(axis=(1, 2, 3)).tolist()
        for images, _ in input_pipeline.training_batches(
            split,
            TARGET,
            SIZE,
            batch_size=4,
            seed=seed,
            first_epoch=first_epoch,
            last_epoch=last_epoch,
            cache=cache,
        ).as_numpy_iterator()
    ]
    size = input_pipeline.batches_in(split, 4)
    assert len(batches) == size * (last_epoch - first_epoch)
    return [
        list(itertools.chain(*batches[start : start + size]))
        for start in range(0, len(batches), size)
    ]


def test_each_epoch_has_every_image_once_in_an_order_of_its_own(train_split):
    first, second = epochs_of(train_split, first_epoch=0, last_epoch=2)
    assert len(set(first)) == len(first) == len(train_split.images)
    assert sorted(first) == sorted(second)
    assert first != second


@pytest.mark.parametrize("seed", [0, 3])
def test_the_order_is_of_its_seed_whatever_the_global_one(train_split, seed):
    orders = []
    for global_seed in (0, 7):
        keras.utils.set_random_seed(global_seed)
        orders.append(epochs_of(train_split, first_epoch=0, last_epoch=2, seed=seed))
    assert orders[0] == orders[1]


def test_the_order_is_the_same_from_memory_and_from_disk(train_split, tmp_path):
    empty = tmp_path / "shard of rejected images"
    empty.touch()
    split = dataclasses.replace(train_split, shards=(str(empty), *train_split.shards))
    kept, read = (epochs_of(split, first_epoch=1, last_epoch=4, cache=c) for c in (True, False))
    assert kept == read


@pytest.mark.parametrize("cache", [False, True], ids=["disk", "memory"])
def test_an_epoch_is_the_same_wherever_a_run_is_taken_up(train_split, cache):
    whole = epochs_of(train_split, first_epoch=0, last_epoch=4, cache=cache)
    rest = epochs_of(train_split, first_epoch=2, last_epoch=4, cache=cache)
    assert whole[2:] == rest
    assert epochs_of(train_split, first_epoch=2, last_epoch=4, seed=4) != rest


def test_labels_of_images_without_the_value_are_left_out(records_dir):
    target = targets.Target("side", (("left",), ("right",)), ("left", "right"))
    only_cc = targets.Target("view", (("CC",), ("none has this",)), ("CC", "other"))
    records = open_records(records_dir)
    split = select(records, "test", ["test"], target)
    assert split.left_out == 0
    with pytest.raises(ValueError, match=r"none that is other"):
        select(records, "test", ["test"], only_cc)
    benign_left = targets.Target("image_id", (("image014", "image015"), ("image016",)), ("a", "b"))
    few = select(records, "test", ["test"], benign_left)
    assert (len(few.images), few.left_out) == (3, 15)
    images, labels = next(
        iter(input_pipeline.evaluation_batches(few, benign_left, SIZE, batch_size=8))
    )
    assert images.shape == (3, 64, 48, 1)
    assert sorted(tf.squeeze(labels).numpy()) == [0, 0, 1]


def test_a_shard_that_lost_a_record_is_an_error(records_dir, train_split, tmp_path):
    short = dataclasses.replace(train_split, shards=train_split.shards[1:])
    batches = input_pipeline.evaluation_batches(short, TARGET, SIZE, batch_size=4)
    with pytest.raises(
        tf.errors.FailedPreconditionError, match="was expected to contain 8 elements"
    ):
        list(batches)


def test_choose_cache(train_split):
    assert input_pipeline.choose_cache("memory", train_split)
    assert not input_pipeline.choose_cache("off", train_split)
    assert input_pipeline.choose_cache("auto", train_split)
