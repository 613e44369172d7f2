"""What training costs: by the clock, and from hand-made histories."""

import time

import keras
import numpy as np
import tensorflow as tf

from trainer.training import throughput


def tiny() -> keras.Model:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.125), "mse")
    return model


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
        clock, model = throughput.InputClock(), tiny()
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
            throughput.InputClock().attach(model)
        model.fit(batches, epochs=2, verbose=0)
        weights.append(model.get_weights()[0])
    np.testing.assert_array_equal(*weights)


def test_not_measured_is_said():
    clock, rows = throughput.InputClock(), []
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
    measured = throughput.measure(tmp_path / "history.csv", images=100)
    assert measured.images_per_second == 15  # 300 images in 20 s
    assert measured.waiting_percent == 10
    assert 0.05 < measured.peak_memory_gb < 100
    line = throughput.describe(measured)
    assert line.startswith("training: 15.0 images/s, 10.0 % of it waiting for data, ")


def test_throughput_of_single_epochs_not_measured(tmp_path):
    (tmp_path / "history.csv").write_text("\n".join(HISTORY.splitlines()[:2]).replace("40", "nan"))
    measured = throughput.measure(tmp_path / "history.csv", images=100)
    assert measured.images_per_second == 2
    assert measured.waiting_percent is None
    assert "not measured how much of it waiting" in throughput.describe(measured)
