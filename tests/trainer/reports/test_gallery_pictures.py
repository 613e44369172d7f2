"""Pictures of the images shown are those of their records, with the mean heat map of the models."""

from __future__ import annotations

import pathlib

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf

from flags.training_config import TrainingConfig
from trainer.data import dataset
from trainer.data.dataset import Data
from trainer.data.records_folder import Place
from trainer.evaluation.evaluate_model import Predicted
from trainer.heat_maps import heat_map, overlay
from trainer.metrics.predictions import Prediction, two_classes
from trainer.reports import gallery, gallery_pictures


def network(seed: int) -> keras.Model:
    """Stored pixels -> a base of one convolution -> one answer."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((64, 48, 1))
    features = keras.layers.Conv2D(3, 3, padding="same", activation="relu")(image)
    base = keras.Model(image, features, name="base")
    pixels = keras.Input((64, 48, 1), dtype="uint16")
    values = base(keras.layers.Rescaling(1 / 65535, dtype="float32")(pixels))
    values = keras.layers.GlobalAveragePooling2D()(values)
    return keras.Model(pixels, keras.layers.Dense(1, activation="sigmoid")(values))


@pytest.fixture(scope="module")
def data(records_dir: pathlib.Path) -> Data:
    return dataset.open_data(TrainingConfig(dataset_dir=str(records_dir)))


@pytest.fixture(scope="module")
def stored(records_dir: pathlib.Path) -> dict[str, np.ndarray]:
    """Pixels of every record of the test split, read by hand."""
    images = {}
    shards = sorted(map(str, records_dir.glob("*-test.tfrecord-*")))
    for record in tf.data.TFRecordDataset(shards).as_numpy_iterator():
        feature = tf.train.Example.FromString(record).features.feature
        name = feature["image_id"].bytes_list.value[0].decode()
        pixels = np.frombuffer(feature["image"].bytes_list.value[0], "<u2")
        images[name] = pixels.reshape(64, 48)
    return images


def predict(data: Data) -> Predicted:
    """Made-up probabilities, half of them wrong."""
    assert data.test is not None
    rows = zip(data.test.images, data.test.labels, strict=True)
    images = [
        Prediction(
            image["image_id"],
            image["patient_id"],
            label,
            probabilities=two_classes((number + 0.5) / 18),
        )
        for number, (image, label) in enumerate(rows)
    ]
    places = {}
    for shard in data.test.shards:
        for number, record in enumerate(tf.data.TFRecordDataset(shard).as_numpy_iterator()):
            feature = tf.train.Example.FromString(record).features.feature
            places[feature["image_id"].bytes_list.value[0].decode()] = Place(shard, number)
    return Predicted(images, places)


def read(path: pathlib.Path) -> np.ndarray:
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return pixels if pixels.ndim == 2 else pixels[:, :, ::-1]


@pytest.mark.parametrize("models", [1, 2])
def test_images_are_drawn_with_heat_maps(
    data: Data, stored: dict[str, np.ndarray], tmp_path: pathlib.Path, models: int
) -> None:
    networks = [network(seed) for seed in range(1, models + 1)]
    predicted = predict(data)
    gallery_pictures.draw(tmp_path, predicted, data, models=networks)
    shown = gallery.read(tmp_path)
    chosen = gallery.choose(predicted.images, ordinal=False)
    assert [image.image_id for image in shown] == [image.image_id for image in chosen]
    looked_at = 0.0
    for image in shown:
        pixels = stored[image.image_id]
        drawn = read(tmp_path / "images" / image.file)
        np.testing.assert_array_equal(drawn, pixels // 256)
        array = pixels[np.newaxis, :, :, np.newaxis]
        maps = [
            heat_map.HeatMapper(one, "binary", method=gallery_pictures.METHOD).draw(array)[0]
            for one in networks
        ]
        looked_at += float(np.max(maps))
        expected = overlay.blend(drawn, np.mean(maps, axis=0))
        given = read(tmp_path / "images" / str(image.heat_map))
        assert np.abs(given.astype(int) - expected).max() <= 1  # batches of images round otherwise
    assert looked_at > 0


def test_without_models_there_are_no_heat_maps(data: Data, tmp_path: pathlib.Path) -> None:
    gallery_pictures.draw(tmp_path, predict(data), data, models=[])
    shown = gallery.read(tmp_path)
    assert shown
    assert all(image.heat_map is None for image in shown)


def test_tall_images_are_drawn_smaller() -> None:
    tall = np.full((840, 300), 0x8123, np.uint16)
    tall[:420] = 0x40FF
    small = overlay.shrink(tall, overlay.SMALL_SIDE)
    assert small.dtype == np.uint8
    assert small.shape == (420, 150)
    assert (small[:210] == 0x40).all()
    assert (small[210:] == 0x81).all()
