"""Pictures of the films shown are those of their records, with the mean heat map of the models."""

from __future__ import annotations

import pathlib

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf

from flags.training import TrainingConfig
from trainer import train
from trainer.heat_maps import heat_map, heat_picture
from trainer.pages import film_gallery, film_pictures
from trainer.predictions import Prediction
from trainer.run import Data


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
    return train.open_data(TrainingConfig(dataset_dir=str(records_dir)))


@pytest.fixture(scope="module")
def stored(records_dir: pathlib.Path) -> dict[str, np.ndarray]:
    """Pixels of every record of the test split, read by hand."""
    films = {}
    shards = sorted(map(str, records_dir.glob("*-test.tfrecord-*")))
    for record in tf.data.TFRecordDataset(shards).as_numpy_iterator():
        feature = tf.train.Example.FromString(record).features.feature
        name = feature["film_id"].bytes_list.value[0].decode()
        pixels = np.frombuffer(feature["image"].bytes_list.value[0], "<u2")
        films[name] = pixels.reshape(64, 48)
    return films


def predict(data: Data) -> list[Prediction]:
    """Made-up answers, half of them wrong."""
    assert data.test is not None
    return [
        Prediction(film["film_id"], film["patient_id"], label, (number + 0.5) / 18)
        for number, (film, label) in enumerate(zip(data.test.films, data.test.labels, strict=True))
    ]


def read(path: pathlib.Path) -> np.ndarray:
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return pixels if pixels.ndim == 2 else pixels[:, :, ::-1]


@pytest.mark.parametrize("models", [1, 2])
def test_films_are_drawn_with_heat_maps(
    data: Data, stored: dict[str, np.ndarray], tmp_path: pathlib.Path, models: int
) -> None:
    networks = [network(seed) for seed in range(1, models + 1)]
    films = predict(data)
    film_pictures.draw(tmp_path, films, data, batch_size=4, models=networks)
    shown = film_gallery.read(tmp_path)
    chosen = film_gallery.choose(films, ordinal=False)
    assert [film.film_id for film in shown] == [film.film_id for film in chosen]
    looked_at = 0.0
    for film in shown:
        pixels = stored[film.film_id]
        drawn = read(tmp_path / "films" / film.file)
        np.testing.assert_array_equal(drawn, pixels // 256)
        image = pixels[np.newaxis, :, :, np.newaxis]
        maps = [
            heat_map.HeatMapper(one, "binary", method=film_pictures.METHOD).draw(image)[0]
            for one in networks
        ]
        looked_at += float(np.max(maps))
        expected = heat_map.overlay(drawn, np.mean(maps, axis=0))
        given = read(tmp_path / "films" / str(film.heat_map))
        assert np.abs(given.astype(int) - expected).max() <= 1  # batches of films round otherwise
    assert looked_at > 0


def test_without_models_there_are_no_heat_maps(data: Data, tmp_path: pathlib.Path) -> None:
    film_pictures.draw(tmp_path, predict(data), data, batch_size=4, models=[])
    shown = film_gallery.read(tmp_path)
    assert shown
    assert all(film.heat_map is None for film in shown)


def test_tall_films_are_drawn_smaller() -> None:
    tall = np.full((840, 300), 0x8123, np.uint16)
    tall[:420] = 0x40FF
    small = heat_picture.shrink(tall, film_pictures.SIDE)
    assert small.dtype == np.uint8
    assert small.shape == (420, 150)
    assert (small[:210] == 0x40).all()
    assert (small[210:] == 0x81).all()
