"""What run.json says of a trained network, on hand-made layers."""

import keras
import numpy as np
import tensorflow as tf

from trainer.training import run_description


def tiny() -> keras.Model:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.125), "mse")
    return model


def test_dead_units():
    """Of four units, one answers to the first image, one to the last, two to none."""
    hidden = keras.layers.Dense(4, activation="relu", name="hidden")
    image = keras.Input((2,))
    model = keras.Model(image, keras.layers.Dense(1)(hidden(image)))
    kernel = np.array([[1, 0, -1, 0], [0, 1, 0, -1]], np.float32)
    hidden.set_weights([kernel, np.zeros(4, np.float32)])
    images = np.array([[1, 0], [0, 0], [0, 2]], np.float32)
    batches = tf.data.Dataset.from_tensor_slices((images, np.zeros(3))).batch(2)
    assert run_description.dead_units(model, batches) == {"hidden": 0.5}


def test_a_network_without_relu_has_no_dead_units():
    assert run_description.dead_units(tiny(), tf.data.Dataset.from_tensors(0)) == {}
