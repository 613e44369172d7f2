"""What ends training, on a network of one unit."""

import keras
import numpy as np
import pytest

from records.errors import CallerError
from trainer.training import callbacks


def tiny() -> keras.Model:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.125), "mse")
    return model


def test_a_loss_that_is_no_number_names_epoch_step_and_rate(tmp_path):
    images = np.ones((6, 2), np.float32)
    images[4] = np.nan  # in the third batch
    guard = callbacks.StopAtNaN(phase=2, kept=tmp_path)
    (tmp_path / "epoch-0003.weights.h5").touch()
    with pytest.raises(
        CallerError,
        match=r"the loss is nan in epoch 5, step 3, phase 2, at learning rate 0\.125; "
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
    guard = callbacks.StopAtNaN(phase=2, kept=tmp_path / "phase2")
    (tmp_path / "phase1.weights.h5").touch()
    good, bad = np.ones((2, 2), np.float32), np.full((2, 2), np.inf, np.float32)
    with pytest.raises(
        CallerError, match=r"epoch 1, validation, phase 2.* are .*phase1\.weights\.h5;"
    ):
        tiny().fit(
            good,
            np.zeros((2, 1)),
            validation_data=(bad, np.zeros((2, 1))),
            verbose=0,
            callbacks=[guard],
        )
