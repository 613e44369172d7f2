"""Optimizers and learning rates against NumPy, on a model of one weight matrix."""

import itertools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from flags import schedule_spec
from flags.training_config import TrainingConfig
from records.image_size import ImageSize
from trainer.model import network
from trainer.training import optimizers

IMAGES = np.random.default_rng(3).normal(size=(8, 3)).astype(np.float32)
TRUTH = IMAGES @ np.array([[1.0], [-2.0], [0.5]], np.float32)


def one_layer() -> keras.Model:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.array([[0.1], [0.2], [0.3]], np.float32)])
    return model


def train(config, *, rate=0.01, batch=8, epochs=1, callbacks=()):
    model = one_layer()
    model.compile(optimizers.make(config, rate=rate, model=model), "mse")
    model.fit(
        IMAGES,
        TRUTH,
        batch_size=batch,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=list(callbacks),
    )
    return model


def gradient(weights):
    x, y = IMAGES.astype(float), TRUTH.astype(float)
    return 2 * x.T @ (x @ weights - y) / len(x)


START = np.array([[0.1], [0.2], [0.3]])


def test_sgd_with_momentum_and_decay():
    config = TrainingConfig(optimizer="sgd", momentum=0.9, weight_decay=0.1)
    weights, velocity = START, 0
    for _ in range(3):
        velocity = 0.9 * velocity - 0.01 * gradient(weights)
        weights = weights * (1 - 0.01 * 0.1) + velocity
    np.testing.assert_allclose(train(config, epochs=3).get_weights()[0], weights, rtol=1e-4)


def test_adam_and_adamw():
    def adam(decay):
        weights, m, v = START, 0, 0
        for step in (1, 2, 3):
            slope = gradient(weights)
            m, v = 0.9 * m + 0.1 * slope, 0.999 * v + 0.001 * slope**2
            ahead = (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-7)
            weights = weights * (1 - 0.01 * decay) - 0.01 * ahead
        return weights

    plain = train(TrainingConfig(), epochs=3).get_weights()[0]
    np.testing.assert_allclose(plain, adam(0), rtol=1e-4)
    decayed = train(TrainingConfig(optimizer="adamw", weight_decay=0.2), epochs=3)
    np.testing.assert_allclose(decayed.get_weights()[0], adam(0.2), rtol=1e-4)


@pytest.mark.parametrize("base", ["mobilenetv2", "efficientnetb0", "resnet50", "convnexttiny"])
def test_decay_spares_all_biases_and_norms(base):
    """A gradient of 0 leaves decay alone at work. Scales of ConvNeXt's layers have no name."""
    config = TrainingConfig(base=base, weights="random", optimizer="sgd", weight_decay=0.5)
    model, _ = network.build(config, ImageSize(32, 32))
    optimizer = optimizers.make(config, rate=1.0, model=model)
    assert {"kernel", "bias", "beta", "gamma"} <= {one.name for one in model.trainable_weights}
    for weight in model.trainable_weights:
        weight.assign(keras.ops.ones_like(weight))
    optimizer.build(model.trainable_weights)
    optimizer.apply([keras.ops.zeros_like(weight) for weight in model.trainable_weights])
    for weight in model.trainable_weights:
        kept = 0.5 if "kernel" in weight.name else 1.0
        assert np.all(keras.ops.convert_to_numpy(weight) == kept), weight.path


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_slowed_variables_learn_and_decay_at_their_own_rate(optimizer, tmp_path):
    """As if each had an optimizer of its own, whose rate is that much lower."""
    factors = [0.1, 0.1, 1.0, 1.0]

    def two_layers():
        keras.utils.set_random_seed(4)
        return keras.Sequential(
            [keras.Input((3,)), keras.layers.Dense(4, "tanh"), keras.layers.Dense(1)]
        )

    config = TrainingConfig(optimizer=optimizer, weight_decay=0.3)
    model, alone = two_layers(), two_layers()
    slowed = list(zip(model.trainable_weights[:2], factors, strict=False))
    model.compile(optimizers.make(config, rate=0.1, model=model, slowed=slowed), "mse")
    made = [optimizers.make(config, rate=0.1 * by, model=alone) for by in factors]
    for one, weight in zip(made, alone.trainable_weights, strict=True):
        one.build([weight])
    for _ in range(3):
        model.train_on_batch(IMAGES, TRUTH)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((alone(IMAGES, training=True) - TRUTH) ** 2)
        slopes = tape.gradient(loss, [weight.value for weight in alone.trainable_weights])
        for one, slope in zip(made, slopes, strict=True):
            one.apply([slope])
    for mine, theirs in zip(model.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)
    model.save(tmp_path / "model.keras")
    assert type(keras.models.load_model(tmp_path / "model.keras").optimizer) is type(made[0])


@pytest.mark.parametrize(("given", "decay"), [(None, 0.004), (0.0, 0.0)])
def test_decay_of_adamw_that_is_not_given_is_that_of_keras(given, decay):
    mine = train(TrainingConfig(optimizer="adamw", weight_decay=given), rate=0.1, epochs=20)
    theirs = one_layer()
    theirs.compile(keras.optimizers.AdamW(0.1, weight_decay=decay), "mse")
    theirs.fit(IMAGES, TRUTH, batch_size=8, epochs=20, shuffle=False, verbose=0)
    np.testing.assert_array_equal(mine.get_weights()[0], theirs.get_weights()[0])


def test_rmsprop_and_adagrad():
    slope = gradient(START)
    rmsprop = train(TrainingConfig(optimizer="rmsprop")).get_weights()[0]
    np.testing.assert_allclose(
        rmsprop, START - 0.01 * slope / np.sqrt(0.1 * slope**2 + 1e-7), rtol=1e-4
    )
    adagrad = train(TrainingConfig(optimizer="adagrad")).get_weights()[0]
    np.testing.assert_allclose(
        adagrad, START - 0.01 * slope / np.sqrt(0.1 + slope**2 + 1e-7), rtol=1e-4
    )


def test_two_accumulated_batches_are_one_of_twice_the_size():
    twice = train(TrainingConfig(accumulate=2), batch=4, epochs=3)
    once = train(TrainingConfig(), batch=8, epochs=3)
    np.testing.assert_allclose(twice.get_weights()[0], once.get_weights()[0], rtol=1e-5)
    assert abs(once.get_weights()[0] - START).max() > 0.01


def test_average_of_weights():
    """Without callbacks Keras leaves the average in the model when training ends."""
    weights, average = START, None
    for _ in range(4):
        weights = weights - 0.1 * gradient(weights)
        average = weights if average is None else 0.75 * average + 0.25 * weights
    model = train(TrainingConfig(optimizer="sgd", ema=0.75), rate=0.1, epochs=4)
    np.testing.assert_allclose(model.get_weights()[0], average, rtol=1e-5)


class Rates(keras.callbacks.Callback):
    """Notes the learning rate of every batch."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(float(self.model.optimizer.learning_rate))


def rates(config, *, epochs, start=0, between=()):
    seen = Rates()
    made = optimizers.learning_rate_callbacks(
        config, rate=0.01, start=start, epochs=epochs, batches=2
    )
    model = one_layer()
    model.compile(optimizers.make(config, rate=0.01, model=model), "mse")
    model.fit(
        IMAGES,
        TRUTH,
        batch_size=4,
        initial_epoch=start,
        epochs=start + epochs,
        verbose=0,
        callbacks=[*made, *between, seen],
    )
    return seen.seen


def each_twice(values):
    return list(itertools.chain.from_iterable((v, v) for v in values))


@pytest.mark.parametrize("start", [0, 7])
def test_a_schedule_counts_from_the_first_epoch_of_its_phase(start):
    config = TrainingConfig(schedule="linear")
    expected = each_twice([0.01, 0.0075, 0.005, 0.0025])
    assert rates(config, epochs=4, start=start) == pytest.approx(expected)


def test_warm_up_rises_by_batches_then_the_schedule_begins():
    config = TrainingConfig(schedule="step:factor=0.1:every=1", warmup_epochs=2)
    expected = [0.0025, 0.005, 0.0075, 0.01, 0.01, 0.01, 0.001, 0.001]
    assert rates(config, epochs=4, start=3) == pytest.approx(expected)


def test_a_plateau_stays_cut_under_a_schedule():
    """A loss that never falls by 1000 is on a plateau from the second epoch on."""
    plateau = keras.callbacks.ReduceLROnPlateau("loss", factor=0.1, patience=1, min_delta=1000)
    config = TrainingConfig(schedule="exponential:rate=0.5")
    expected = each_twice([0.01, 0.005, 0.00025, 0.0000125])
    assert rates(config, epochs=4, between=[plateau]) == pytest.approx(expected, rel=1e-5)


def test_a_cut_in_the_warm_up_is_forgotten():
    plateau = keras.callbacks.ReduceLROnPlateau("loss", factor=0.1, patience=1, min_delta=1000)
    config = TrainingConfig(warmup_epochs=2)
    seen = rates(config, epochs=3, between=[plateau])
    assert seen == pytest.approx([0.0025, 0.005, 0.0075, 0.01, 0.01, 0.01])


@pytest.mark.parametrize(
    ("text", "epochs", "fractions"),
    [
        ("constant", 3, [1, 1, 1]),
        ("step:factor=0.5:every=2", 5, [1, 1, 0.5, 0.5, 0.25]),
        ("step:every=1", 3, [1, 0.5, 0.25]),
        ("exponential", 3, [1, 0.99, 0.9801]),
        ("exponential:rate=0.1", 3, [1, 0.1, 0.01]),
        ("linear", 4, [1, 0.75, 0.5, 0.25]),
        ("linear:end=0.2", 4, [1, 0.8, 0.6, 0.4]),
        ("sqrt", 4, [1, 1 / math.sqrt(2), 1 / math.sqrt(3), 0.5]),
        ("cosine", 4, [1, (2 + math.sqrt(2)) / 4, 0.5, (2 - math.sqrt(2)) / 4]),
        ("cosine:end=0.5", 2, [1, 0.75]),
    ],
)
def test_fractions(text, epochs, fractions):
    parsed = schedule_spec.parse(text)
    assert [
        optimizers.fraction(parsed, epoch, epochs=epochs) for epoch in range(epochs)
    ] == pytest.approx(fractions)


@given(
    text=st.sampled_from([*schedule_spec.SCHEDULES, "linear:end=0.1", "step:factor=0.1:every=3"]),
    epochs=st.integers(1, 300),
)
def test_rates_fall_from_the_whole_and_stay_positive(text, epochs):
    parsed = schedule_spec.parse(text)
    fractions = [optimizers.fraction(parsed, epoch, epochs=epochs) for epoch in range(epochs)]
    assert fractions[0] == 1
    assert all(0 < after <= before for before, after in itertools.pairwise(fractions))
