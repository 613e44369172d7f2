"""The head: units, activations, penalties, and the output that starts at the classes' shares."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flags.training_config import TrainingConfig
from records.errors import CallerError
from trainer.model import head
from trainer.training import optimizers


def make(kind="binary", fractions=(0.5, 0.5), **options) -> keras.Model:
    """A head on features [3, 5, 7]."""
    features = keras.Input((3, 5, 7))
    output = head.add(features, TrainingConfig(**options), kind=kind, fractions=fractions)
    return keras.Model(features, output)


SHARES = st.lists(st.floats(0.01, 1), min_size=2, max_size=7)


@given(SHARES)
def test_softmax_of_the_bias_is_the_fractions(fractions):
    bias = np.array(head.output_bias("classes", fractions))
    said = np.exp(bias) / np.exp(bias).sum()
    np.testing.assert_allclose(said, np.array(fractions) / sum(fractions), rtol=1e-9)


@given(SHARES)
def test_sigmoids_of_the_bias_are_the_fractions_above(fractions):
    bias = np.array(head.output_bias("ordinal", fractions))
    above = [sum(fractions[k + 1 :]) / sum(fractions) for k in range(len(fractions) - 1)]
    np.testing.assert_allclose(1 / (1 + np.exp(-bias)), above, rtol=1e-9)


@pytest.mark.parametrize(
    ("kind", "fractions", "said"),
    [
        ("binary", (3, 1), [0.25]),
        ("binary", (0.5, 0.5), [0.5]),
        ("classes", (0.5, 0.3, 0.2), [0.5, 0.3, 0.2]),
        ("ordinal", (0.1, 0.2, 0.3, 0.4), [0.9, 0.7, 0.4]),
    ],
)
def test_a_network_that_sees_nothing_says_the_fractions(kind, fractions, said):
    model = make(kind, fractions)
    output = model.predict(np.zeros((2, 3, 5, 7)), verbose=0)
    np.testing.assert_allclose(output, [said, said], atol=1e-6)


def test_labels_cost_least_where_the_bias_is_the_prior():
    """The constant that minimises the loss of 30 positive images of 100, found by search."""
    labels = np.repeat([1.0, 0.0], [30, 70])
    constants = np.linspace(-3, 3, 60001)
    probability = 1 / (1 + np.exp(-constants))[:, np.newaxis]
    loss = -(labels * np.log(probability) + (1 - labels) * np.log(1 - probability)).mean(axis=1)
    assert constants[loss.argmin()] == pytest.approx(
        head.output_bias("binary", (70, 30))[0], abs=1e-4
    )


def test_heads_have_the_layers_asked_for():
    assert make().get_layer("dense_512").kernel.shape == (7, 512)
    flat = make(head="flatten", hidden="12,12,3")
    assert flat.get_layer("dense_12").kernel.shape == (3 * 5 * 7, 12)
    assert flat.get_layer("dense_12_2").kernel.shape == (12, 12)
    assert flat.get_layer("probability").kernel.shape == (3, 1)
    bare = make(hidden="none")
    assert bare.count_params() == 7 + 1


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("relu", lambda x: np.maximum(x, 0)),
        ("leaky_relu", lambda x: np.where(x > 0, x, 0.2 * x)),
        ("prelu", lambda x: np.where(x > 0, x, np.float32([0.5, -1, 0, 2]) * x)),
        ("sigmoid", lambda x: 1 / (1 + np.exp(-x))),
        ("tanh", np.tanh),
    ],
)
def test_activations(name, function, norm):
    """Against NumPy, on one hidden layer of four units; normalisation with known statistics."""
    model = make(hidden="4", activation=name, batch_norm=norm)
    dense = model.get_layer("dense_4")
    generator = np.random.default_rng(1)
    images = generator.normal(size=(6, 3, 5, 7)).astype(np.float32)
    before = images.mean(axis=(1, 2)) @ keras.ops.convert_to_numpy(dense.kernel)
    if norm:
        layer = model.get_layer("dense_4_norm")
        layer.moving_mean.assign([1, 2, 3, 4])
        layer.moving_variance.assign([4, 1, 9, 1])
        before = (before - [1, 2, 3, 4]) / np.sqrt(np.array([4, 1, 9, 1]) + layer.epsilon)
    if name == "prelu":
        model.get_layer("dense_4_prelu").alpha.assign([0.5, -1, 0, 2])
    seen = keras.Model(model.input, model.get_layer("probability").input)
    np.testing.assert_allclose(
        seen.predict(images, verbose=0), function(before), rtol=1e-4, atol=1e-5
    )


def test_penalty_is_on_kernels_alone():
    model = make(l2=1e-3)
    model(np.zeros((1, 3, 5, 7)))
    kernels = [model.get_layer(n).kernel for n in ("dense_512", "dense_32", "probability")]
    expected = 1e-3 * sum(float((keras.ops.convert_to_numpy(k) ** 2).sum()) for k in kernels)
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)
    assert make().losses == []


def test_dropout_of_none_changes_nothing_in_training():
    model = make(dropout=0.0)
    images = np.random.default_rng(0).normal(size=(4, 3, 5, 7))
    np.testing.assert_array_equal(model(images, training=True), model(images, training=False))
    model = make(dropout=0.5)
    assert not np.array_equal(model(images, training=True), model(images, training=False))


@pytest.mark.parametrize(
    ("options", "copies"),
    [
        ({}, 4),
        ({"optimizer": "sgd"}, 2),
        ({"optimizer": "sgd", "momentum": 0.9}, 3),
        ({"optimizer": "rmsprop"}, 3),
        ({"optimizer": "rmsprop", "momentum": 0.9}, 4),
        ({"optimizer": "adagrad", "ema": 0.9}, 4),
        ({"optimizer": "adamw", "ema": 0.9, "accumulate": 2}, 6),
    ],
    ids=str,
)
def test_memory_is_what_the_optimizer_holds(options, copies):
    config = TrainingConfig(**options)
    model = keras.Sequential([keras.Input((30,)), keras.layers.Dense(5, use_bias=False)])
    optimizer = optimizers.make(config, rate=0.1, model=model)
    optimizer.build(model.trainable_variables)
    assert 2 + sum(variable.shape == (30, 5) for variable in optimizer.variables) == copies
    head.check_memory(config, 30, units=5, available=copies * 600)
    with pytest.raises(CallerError, match=r"30 features x 5 units need"):
        head.check_memory(config, 30, units=5, available=copies * 600 - 1)


def test_memory_of_a_flatten_head():
    """671 million weights of experiment J: weight, gradient, two moments of 4 bytes."""
    with pytest.raises(
        CallerError,
        match=r"^--head=flatten: 1,310,720 features x 512 units need 10\.7 GB with gradients and "
        r"what --optimizer=adam keeps, 6\.0 GB are free; take --head=gap, --downsample_sets, ",
    ):
        head.check_memory(TrainingConfig(), 32 * 32 * 1280, units=512, available=6 * 10**9)
