"""What is measured and shown, on hand-made layers, pictures and histories."""

import time

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf

from flags.training import TrainingConfig
from records.errors import CallerError
from records.image_size import ImageSize
from trainer.model import network
from trainer.training import monitoring


def tiny() -> keras.Model:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.125), "mse")
    return model


def test_a_loss_that_is_no_number_names_epoch_step_and_rate(tmp_path):
    images = np.ones((6, 2), np.float32)
    images[4] = np.nan  # in the third batch
    guard = monitoring.StopAtNaN(phase=2, kept=tmp_path)
    (tmp_path / "epoch-0003.weights.h5").touch()
    with pytest.raises(
        CallerError,
        match=r"the loss is nan in epoch 4, step 3, phase 2, at learning rate 0\.125; "
        r"the last good weights are .*epoch-0003\.weights\.h5; give a lower --phase2_learning_rate",
    ):
        tiny().fit(
            images,
            np.zeros((6, 1)),
            batch_size=2,
            initial_epoch=4,
            epochs=5,
            shuffle=False,
            verbose=0,
            callbacks=[guard],
        )


def test_a_validation_loss_that_is_no_number(tmp_path):
    """In the first epoch of phase 2: the last good weights are those phase 1 ended with."""
    guard = monitoring.StopAtNaN(phase=2, kept=tmp_path / "phase2")
    (tmp_path / "phase1.weights.h5").touch()
    good, bad = np.ones((2, 2), np.float32), np.full((2, 2), np.inf, np.float32)
    with pytest.raises(
        CallerError, match=r"epoch 0, validation, phase 2.* are .*phase1\.weights\.h5;"
    ):
        tiny().fit(
            good,
            np.zeros((2, 1)),
            validation_data=(bad, np.zeros((2, 1))),
            verbose=0,
            callbacks=[guard],
        )


def test_waiting_for_a_slow_pipeline_is_measured():
    """Five batches that take 60 ms each to come, and a network that takes next to nothing."""

    def slow(number):
        time.sleep(0.06)
        return np.float32([[number, 1]])

    batches = tf.data.Dataset.range(5).map(
        lambda n: (tf.ensure_shape(tf.numpy_function(slow, [n], tf.float32), [1, 2]), [[0.0]])
    )
    rows = []
    note = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: rows.append(dict(logs)))
    fast = tf.data.Dataset.from_tensors((np.ones((1, 2), np.float32), [[0.0]])).repeat(5)
    for source in (batches, fast):
        clock, model = monitoring.InputClock(), tiny()
        clock.attach(model)
        model.fit(source, epochs=2, verbose=0, callbacks=[clock, note])
    slow_row, fast_row = rows[1], rows[3]
    assert 0.2 < slow_row["waiting_seconds"] <= slow_row["training_seconds"]
    assert fast_row["waiting_seconds"] < 0.5 * slow_row["waiting_seconds"]


def test_fetching_before_the_step_changes_no_weight():
    images = np.random.default_rng(0).normal(size=(10, 2)).astype(np.float32)
    batches = tf.data.Dataset.from_tensor_slices((images, images[:, :1])).batch(3)
    weights = []
    for timed in (False, True):
        keras.utils.set_random_seed(1)
        model = tiny()
        if timed:
            monitoring.InputClock().attach(model)
        model.fit(batches, epochs=2, verbose=0)
        weights.append(model.get_weights()[0])
    np.testing.assert_array_equal(*weights)


def test_not_measured_is_said():
    clock, rows = monitoring.InputClock(), []
    note = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: rows.append(dict(logs)))
    tiny().fit(np.ones((2, 2)), np.ones((2, 1)), verbose=0, callbacks=[clock, note])
    assert np.isnan(rows[0]["waiting_seconds"])


HISTORY = """phase,epoch,training_seconds,waiting_seconds
1,0,50,40
1,1,10,1
1,2,6,0
2,3,90,0
2,4,4,1
"""


def test_throughput_leaves_out_the_first_epoch_of_each_phase(tmp_path):
    (tmp_path / "history.csv").write_text(HISTORY)
    measured = monitoring.measure(tmp_path / "history.csv", images=100)
    assert measured["images_per_second"] == 15  # 300 images in 20 s
    assert measured["waiting_percent"] == 10
    assert 0.05 < measured["peak_memory_gb"] < 100
    line = monitoring.describe(measured)
    assert line.startswith("training: 15.0 images/s, 10.0 % of it waiting for data, ")


def test_throughput_of_single_epochs_not_measured(tmp_path):
    (tmp_path / "history.csv").write_text("\n".join(HISTORY.splitlines()[:2]).replace("40", "nan"))
    measured = monitoring.measure(tmp_path / "history.csv", images=100)
    assert measured["images_per_second"] == 2
    assert measured["waiting_percent"] is None
    assert "not measured how much of it waiting" in monitoring.describe(measured)


def test_dead_units():
    """Of four units, one answers to the first image, one to the last, two to none."""
    hidden = keras.layers.Dense(4, activation="relu", name="hidden")
    model = keras.Sequential([keras.Input((2,)), hidden, keras.layers.Dense(1)])
    kernel = np.array([[1, 0, -1, 0], [0, 1, 0, -1]], np.float32)
    hidden.set_weights([kernel, np.zeros(4, np.float32)])
    images = np.array([[1, 0], [0, 0], [0, 2]], np.float32)
    batches = tf.data.Dataset.from_tensor_slices((images, np.zeros(3))).batch(2)
    assert monitoring.dead_units(model, batches) == {"hidden": 0.5}


def test_a_network_without_relu_has_no_dead_units():
    assert monitoring.dead_units(tiny(), tf.data.Dataset.from_tensors(0)) == {}


def test_what_the_network_sees_is_the_scaled_image():
    model, _ = network.build(TrainingConfig(alpha=0.35, weights="random"), ImageSize(64, 48))
    images = np.random.default_rng(0).integers(0, 65536, (3, 64, 48, 1), dtype=np.uint16)
    np.testing.assert_allclose(monitoring.see(model, images), images / 65535, rtol=1e-5)


def test_the_first_batch_is_drawn_side_by_side(tmp_path):
    """Tall images of 64x32, one black to white from left to right, one grey."""
    ramp = np.tile(np.linspace(0, 1, 32, dtype=np.float32), (64, 1))
    images = np.stack([ramp, np.full((64, 32), 0.5, np.float32)])[..., np.newaxis]
    monitoring.draw_batch(images, ["benign", "malignant"], tmp_path / "batch.png")
    picture = cv2.imread(str(tmp_path / "batch.png"), cv2.IMREAD_GRAYSCALE)
    assert picture.shape == (256 + 40, 2 * (256 + 8))
    assert picture[100, 2] < 10
    assert picture[100, 125] > 245
    assert abs(int(picture[100, 264 + 60]) - 127) <= 1
    assert (picture[256:, :264] > 200).any()
    assert picture[100, 200] == 40  # beside the tall image
