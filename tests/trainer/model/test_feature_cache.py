"""Phase 1 on kept features against the plain way."""

from __future__ import annotations

import csv
import dataclasses
import pathlib
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from flags import targets
from flags.training_config import TrainingConfig
from records.errors import CallerError
from records.image_size import ImageSize
from tests import make
from trainer.commands import train
from trainer.data import input_pipeline, parsing
from trainer.data.dataset import select
from trainer.data.records_folder import open_records
from trainer.model import feature_cache, frozen_part, network
from trainer.training import checkpoints

TARGET = targets.TARGETS["pathology"]
SIZE = ImageSize(64, 48)
OPTIONS = {
    **make.TINY,
    "phase1_epochs": 3,
    "phase2_epochs": 0,
    "deterministic": True,
}


def config(records_dir, run_dir, **options) -> TrainingConfig:
    return TrainingConfig(
        dataset_dir=str(records_dir), run_dir=str(run_dir), **{**OPTIONS, **options}
    )


def history_of(run_dir: pathlib.Path) -> np.ndarray:
    """Loss, accuracy and AUC of each epoch, training and validation; the losses first."""
    with (run_dir / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = ["loss", "val_loss", "auc", "val_auc", "accuracy", "val_accuracy", "learning_rate"]
    return np.array([[float(row[name]) for name in names] for row in rows])


def weights_of(run_dir: pathlib.Path) -> list[np.ndarray]:
    return keras.models.load_model(run_dir / "model.keras", compile=False).get_weights()


@pytest.fixture(scope="module")
def records(records_dir):
    return open_records(records_dir)


@pytest.fixture(scope="module")
def splits(records):
    return (
        select(records, "train", ["fold1", "fold2", "fold3"], TARGET),
        select(records, "validation", ["fold0"], TARGET),
    )


@pytest.fixture(scope="module")
def built() -> keras.Model:
    keras.utils.set_random_seed(5)
    model = network.build(TrainingConfig(**make.TINY), SIZE)[0]
    base = model.get_layer(network.BASE_LAYER)
    normalisations = [
        layer for layer in base.layers if isinstance(layer, keras.layers.BatchNormalization)
    ]
    for layer in normalisations:
        layer.momentum = 0.0
    base(tf.random.stateless_normal([16, 64, 48, 3], [1, 2]), training=True)
    for layer in normalisations:
        layer.momentum = 0.9
    network.freeze_base(model)
    return model


def prepare(built, records, splits, folder, **options) -> feature_cache.Features | None:
    return feature_cache.prepare(
        TrainingConfig(**make.TINY, feature_dir=str(folder), batch_size=4, **options),
        built,
        records=records,
        directory=folder / "run",
        splits=splits,
    )


@pytest.fixture(scope="module")
def kept(built, records, splits, tmp_path_factory):
    return prepare(built, records, splits, tmp_path_factory.mktemp("features"))


@pytest.fixture(scope="module")
def weights(built, tmp_path_factory) -> str:
    """Random weights of the base, its batch normalisation fitted to noise: no unit is dead."""
    path = tmp_path_factory.mktemp("weights") / "base.weights.h5"
    built.get_layer(network.BASE_LAYER).save_weights(path)
    return str(path)


@pytest.fixture(scope="module")
def cached_run(records_dir, weights, tmp_path_factory) -> pathlib.Path:
    directory = tmp_path_factory.mktemp("runs") / "cached"
    return train.train(config(records_dir, directory, weights=weights))


def test_losses_of_each_epoch_are_those_of_the_plain_way(
    records_dir, weights, cached_run, tmp_path
):
    plain_run = train.train(
        config(records_dir, tmp_path / "run", weights=weights, feature_cache="off")
    )
    plain = history_of(plain_run)
    assert len(plain) == 3
    assert np.abs(np.diff(plain[:, :2], axis=0)).min() > 1e-3  # it learns: equal means something
    np.testing.assert_allclose(history_of(cached_run), plain, atol=1e-4)
    for once, twice in zip(weights_of(plain_run), weights_of(cached_run), strict=True):
        np.testing.assert_allclose(twice, once, atol=2e-3)
    assert not (cached_run / "features").exists()


def test_features_are_those_of_the_base_and_images_come_in_the_same_order(
    built, kept, splits, records
):
    to_pool = keras.Model(built.input, built.get_layer("pool").output)
    options = {"batch_size": 4, "seed": 3, "first_epoch": 1, "last_epoch": 3}
    plain = input_pipeline.training_batches(splits[0], TARGET, SIZE, cache=False, **options)
    for cache in (False, True):
        short = input_pipeline.training_batches(
            kept.replace(splits[0]), TARGET, SIZE, cache=cache, parse=kept.parse, **options
        )
        for (images, labels), (made, same) in zip(plain, short, strict=True):
            np.testing.assert_array_equal(labels, same)
            np.testing.assert_allclose(made, to_pool(images, training=False), atol=1e-5)


def test_the_head_is_the_rest_of_the_network(built, kept):
    pixels = np.random.default_rng(0).integers(0, 65536, (3, 64, 48, 1), dtype=np.uint16)
    np.testing.assert_allclose(
        kept.head(kept.front(pixels)), built(pixels, training=False), atol=1e-6
    )
    assert [v.path for v in kept.head.trainable_variables] == [
        v.path for v in built.trainable_variables
    ]
    assert not kept.front.trainable_variables


def test_copies_hold_all_but_the_pixels(kept, splits):
    for shard in splits[1].shards:
        ours = list(tf.data.TFRecordDataset(str(kept.copy_of(shard))))
        theirs = list(tf.data.TFRecordDataset(shard))
        assert len(ours) == len(theirs) > 0
        for made, record in zip(ours, theirs, strict=True):
            assert parsing.parse_metadata(made) == parsing.parse_metadata(record)
            assert len(made.numpy()) < len(record.numpy()) - 64 * 48 * 2 + 1280 * 4 + 10


def test_a_run_taken_up_ends_with_the_same_weights(
    records_dir, weights, cached_run, tmp_path, monkeypatch
):
    taken_up = config(records_dir, tmp_path / "run", weights=weights, feature_cache="memory")
    saved = checkpoints.Checkpoint.on_epoch_end

    def stopping(self, epoch, logs=None):
        saved(self, epoch, logs)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints.Checkpoint, "on_epoch_end", stopping)
        with pytest.raises(KeyboardInterrupt):
            train.train(taken_up)
    assert list((tmp_path / "run" / "features").iterdir())
    train.train(taken_up)
    for once, twice in zip(weights_of(cached_run), weights_of(tmp_path / "run"), strict=True):
        np.testing.assert_array_equal(once, twice)


def test_folds_fraction_what_is_made(built, records, splits, tmp_path):
    first = prepare(built, records, splits[:1], tmp_path)
    made = {path: path.stat().st_mtime_ns for path in first.folder.glob("*.tfrecord*")}
    assert len(made) == len(splits[0].shards)
    second = prepare(built, records, splits, tmp_path)
    assert second.folder == first.folder
    after = {path: path.stat().st_mtime_ns for path in first.folder.glob("*.tfrecord*")}
    assert after.items() > made.items()
    assert len(after) == len(splits[0].shards) + len(splits[1].shards)


def test_a_killed_pass_keeps_whole_shards_and_goes_on(
    built, records, splits, tmp_path, monkeypatch
):
    rows = feature_cache._rows

    def stopping(*arguments):
        for number, row in enumerate(rows(*arguments)):
            if number == 12:
                raise KeyboardInterrupt
            yield row

    with monkeypatch.context() as patched:
        patched.setattr(feature_cache, "_rows", stopping)
        with pytest.raises(KeyboardInterrupt):
            prepare(built, records, splits, tmp_path)
    whole = prepare(built, records, splits, tmp_path / "other")
    resumed = prepare(built, records, splits, tmp_path)
    for copy in whole.folder.glob("*.tfrecord*"):
        assert (resumed.folder / copy.name).read_bytes() == copy.read_bytes()


def build(**options) -> keras.Model:
    model = network.build(TrainingConfig(**{**make.TINY, **options}), SIZE)[0]
    network.freeze_base(model)
    return model


def test_fingerprint(built, records):
    def digest(model: keras.Model, given=records) -> str:
        front, _ = frozen_part.cut(model)
        return frozen_part.fingerprint(front, given)

    same = build(dropout=0.5)
    same.set_weights(built.get_weights())
    assert digest(same) == digest(built)  # the head and the names of layers do not matter
    other = dataclasses.replace(
        records,
        manifest=dataclasses.replace(records.manifest, data_fingerprint="another"),
    )
    assert digest(built, other) != digest(built)
    same.get_layer(network.BASE_LAYER).weights[0].assign_add(
        np.full(same.get_layer(network.BASE_LAYER).weights[0].shape, 1e-6)
    )
    assert digest(same) != digest(built)
    whole = build(head="flatten")
    whole.get_layer(network.BASE_LAYER).set_weights(
        built.get_layer(network.BASE_LAYER).get_weights()
    )
    assert digest(whole) != digest(built)


def sequence(*layers: keras.layers.Layer) -> keras.Model:
    images = made = keras.Input((8, 6, 1))
    for layer in layers:
        made = layer(made)
    return keras.Model(images, made)


def base(*layers: keras.layers.Layer) -> keras.Model:
    made = keras.Sequential([keras.Input((8, 6, 1)), *layers], name=network.BASE_LAYER)
    made.trainable = False
    return made


def test_where_the_network_is_cut():
    def layers() -> list[keras.layers.Layer]:
        return [
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(1),
        ]

    pool, *head = layers()
    front, rest = frozen_part.cut(sequence(base(keras.layers.Conv2D(3, 3)), pool, *head))
    assert front.layers[-1] is pool
    assert rest.layers[1:] == head
    head = [keras.layers.Conv2D(4, 1), *layers()]  # the first learns
    front, rest = frozen_part.cut(sequence(base(keras.layers.Conv2D(3, 3)), *head))
    assert front.output_shape == (None, 6, 4, 3)
    assert rest.layers[1:] == head
    flat = keras.layers.Flatten()
    front, _ = frozen_part.cut(sequence(base(keras.layers.Conv2D(3, 3)), flat, *layers()[1:]))
    assert front.output_shape == (None, 6 * 4 * 3)


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (lambda: build(augment="flip"), r"'augmentation' learns or draws at or before the base"),
        (
            lambda: sequence(
                keras.layers.Conv2D(1, 1, name="set"), base(keras.layers.Conv2D(3, 3))
            ),
            r"'set' learns or draws",
        ),
        (
            lambda: sequence(
                base(keras.layers.Conv2D(3, 3), keras.layers.Dropout(0.2)), keras.layers.Dense(1)
            ),
            r"'base' learns or draws",
        ),
        (lambda: sequence(base(keras.layers.Conv2D(3, 3))), r"no layer of the network learns"),
    ],
    ids=["augmentation", "sets before the base", "a base that draws", "nothing learns"],
)
def test_networks_that_go_the_plain_way(model, why, records, splits, tmp_path):
    made = model()
    assert prepare(made, records, splits, tmp_path) is None
    with pytest.raises(CallerError, match=rf"^--feature_cache=disk: {why}"):
        prepare(made, records, splits, tmp_path, feature_cache="disk")
    assert not list(tmp_path.iterdir())


def test_a_base_that_learns_goes_the_plain_way(built):
    again = keras.models.clone_model(built)
    network.unfreeze_base(again, batch_norm=False)
    with pytest.raises(frozen_part.NotCacheable, match="learns or draws"):
        frozen_part.cut(again)


def test_the_folder_is_bounded(built, records, splits, kept, tmp_path):
    assert prepare(built, records, splits, tmp_path, feature_gb=5e-5) is None
    message = (
        r"^--feature_cache=memory: features of 42 images take 9\.14e-05 GB, .* holds 0 GB, and "
        r"--feature_gb=5e-05; allow more, or remove what is old$"
    )
    with pytest.raises(CallerError, match=message):
        prepare(built, records, splits, tmp_path, feature_gb=5e-5, feature_cache="memory")
    assert not list(tmp_path.iterdir())
    used = sum(path.stat().st_size for path in kept.folder.glob("*.tfrecord*"))
    assert used < 42 * (32 * 4 + 2048)  # the estimate holds


def test_a_full_disk_is_known_before(built, records, splits, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert prepare(built, records, splits, tmp_path) is None
    with pytest.raises(CallerError, match=r"take 9\.14e-05 GB, 1e-06 GB are free at .*; name a d"):
        prepare(built, records, splits, tmp_path, feature_cache="disk")
    assert not list(tmp_path.iterdir())


def test_what_is_there_needs_no_room(built, records, splits, kept):
    little = {"feature_gb": 1e-4, "feature_cache": "disk"}
    again = prepare(built, records, splits, kept.folder.parent, **little)
    assert again.folder == kept.folder


def test_a_folder_that_cannot_be_made(built, records, splits, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(CallerError, match=r"can't be written: Not a directory; name another"):
        prepare(built, records, splits, tmp_path / "file")


def test_several_machines_go_the_plain_way(built, records, splits, tmp_path):
    assert prepare(built, records, splits, tmp_path, strategy="multi_worker") is None
    assert not list(tmp_path.iterdir())


def test_off(built, records, splits, tmp_path):
    assert prepare(built, records, splits, tmp_path, feature_cache="off") is None


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_features_of_every_precision_come_back(dtype, made_example):
    values = tf.cast(tf.random.stateless_normal([2, 3, 5], [1, 2]), dtype)
    serialized = tf.stack([made_example(row.numpy().tobytes()) for row in values])
    parsed = parsing.parse_features(serialized, (3, 5), dtype)
    assert parsed.dtype == dtype
    assert bool(tf.reduce_all(parsed == values))


@pytest.fixture
def made_example():
    def make(content: bytes) -> bytes:
        feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[content]))
        return tf.train.Example(
            features=tf.train.Features(feature={"image": feature})
        ).SerializeToString()

    return make


def test_refused_flags():
    with pytest.raises(CallerError, match=r"--feature_cache=disc .* did you mean disk\?"):
        TrainingConfig(feature_cache="disc")
    with pytest.raises(CallerError, match=r"--feature_gb=0 is not more than 0"):
        TrainingConfig(feature_gb=0)
    with pytest.raises(CallerError, match=r"does not go with --augment=flip: .* leave one of them"):
        TrainingConfig(feature_cache="memory", augment="flip")
