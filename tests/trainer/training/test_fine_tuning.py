"""What phase 2 does to the base: layers, rates, batch normalisation."""

import itertools

import keras
import numpy as np
import pytest

from flags.training_config import TrainingConfig
from records.errors import CallerError
from records.image_size import ImageSize
from tests import make
from trainer.data.run_json import BaseBatchNorm
from trainer.model import network
from trainer.training import fine_tuning

SIZE = ImageSize(64, 48)
BASE = {"alpha": 0.35, "weights": "random"}


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return network.build(TrainingConfig(**BASE), SIZE)[0]


def choose(model, *, pretrained=True, devices=1, batches=100, begun=None, **options):
    return fine_tuning.choose_batch_norm(
        TrainingConfig(**BASE, **options),
        model,
        pretrained=pretrained,
        devices=devices,
        batches=batches,
        begun=begun,
    )


@pytest.mark.parametrize(
    ("setting", "batch", "devices", "learns"),
    [
        ("auto", 8, 1, True),
        ("auto", 7, 1, False),
        ("auto", 16, 4, False),
        ("auto", 35, 4, True),
        ("frozen", 64, 1, False),
        ("learn", 2, 1, True),
    ],
)
def test_what_a_device_sees_at_once_decides(model, setting, batch, devices, learns):
    chosen = choose(model, base_batch_norm=setting, batch_size=batch, devices=devices)
    assert chosen.learns == learns
    assert (chosen.batch, chosen.devices) == (batch // devices, devices)
    said = chosen.describe(setting)
    assert (f"{batch // devices} images" in said) == (learns or setting == "auto")
    assert ("devices" in said) == (devices > 1)


def test_a_base_from_random_weights_learns_and_one_without_any_is_named(model):
    chosen = choose(model, pretrained=False, base_batch_norm="frozen", batch_size=2)
    assert chosen == BaseBatchNorm(True, 2, 1, 0.9)
    plain, _ = network.build(TrainingConfig(base="vgg16", weights="random"), SIZE)
    assert choose(plain) is None


@pytest.mark.parametrize("batches", [1, 4, 44, 138, 300, 5000])
def test_an_epoch_forgets_what_imagenet_left(model, batches):
    """Within the bounds: a mean of two batches at least, of a hundred at most."""
    momentum = choose(model, batches=batches).momentum
    assert 0.5 <= momentum <= 0.99
    if 7 <= batches <= 458:
        assert momentum**batches == pytest.approx(0.01, rel=0.02)


def test_what_was_decided_holds_for_a_run_that_is_resumed(model):
    """On other devices, or of an earlier version, which froze all and said nothing."""
    before = BaseBatchNorm(True, 16, 1, 0.97)
    begun = make.described(base_batch_norm=vars(before))
    assert choose(model, batch_size=16, devices=4, begun=begun) == before
    assert not choose(model, batch_size=16, begun=make.described()).learns


def test_averaged_weights_and_moving_statistics_are_of_the_same_steps(model):
    """Of a linear layer the mean under averaged weights is the average of the means."""
    assert choose(model, ema=0.5, batches=100).momentum == pytest.approx(0.955, abs=1e-4)
    momentum = choose(model, ema=0.98, batches=100).momentum
    assert momentum == 0.98
    generator = np.random.default_rng(0)
    images = generator.normal(1.0, 1.0, (32, 5)).astype(np.float32)
    dense = keras.layers.Dense(4, use_bias=False)
    norm = keras.layers.BatchNormalization(momentum=momentum)
    learner = keras.Sequential([keras.Input((5,)), dense, norm, keras.layers.Dense(1)])
    optimizer = keras.optimizers.SGD(0.05, use_ema=True, ema_momentum=0.98)
    learner.compile(optimizer, "mse")
    for _ in range(600):
        learner.train_on_batch(images, images[:, :1] * images[:, 1:2])
    seen = images.mean(axis=0)
    average = keras.ops.convert_to_numpy(optimizer._model_variables_moving_average[0])
    mean = keras.ops.convert_to_numpy(norm.moving_mean)
    np.testing.assert_allclose(mean, seen @ average, atol=0.02)


@pytest.mark.parametrize("batch_norm", [BaseBatchNorm(True, 16, 1, 0.8), BaseBatchNorm(False, 2)])
def test_unfreezing_from_a_layer(batch_norm):
    config = TrainingConfig(**BASE, unfreeze_from="block_13_expand")
    model, _ = network.build(config, SIZE)
    fine_tuning.unfreeze(model, config, batch_norm)
    layers = model.get_layer(network.BASE_LAYER).layers
    names = [layer.name for layer in layers]
    first = names.index("block_13_expand")
    for number, layer in enumerate(layers):
        normalises = isinstance(layer, keras.layers.BatchNormalization)
        learns = number >= first and (batch_norm.learns or not normalises)
        assert layer.trainable == learns, layer.name
        assert not normalises or layer.momentum == (batch_norm.momentum or 0.9)
    assert model.get_layer("dense_512").trainable


@pytest.mark.parametrize(("fraction", "weighted"), [("1", 104), ("0.25", 26), ("0.001", 1)])
def test_unfreezing_a_fraction(fraction, weighted):
    """MobileNetV2 has 52 convolutions and 52 batch normalisations."""
    config = TrainingConfig(**BASE, unfreeze_from=fraction)
    model, _ = network.build(config, SIZE)
    layers = model.get_layer(network.BASE_LAYER).layers
    assert sum(bool(layer.weights) for layer in layers) == 104
    left = layers[fine_tuning.first_trained(model, config) :]
    assert sum(bool(layer.weights) for layer in left) == weighted
    fine_tuning.unfreeze(model, config)
    assert [layer.name for layer in layers if layer.trainable] == [layer.name for layer in left]


def test_rates_rise_from_the_first_layer_to_the_head(model):
    fine_tuning.unfreeze(model, TrainingConfig(**BASE))
    assert fine_tuning.rates(model, 1.0) == []
    rates = fine_tuning.rates(model, 0.1)
    base = model.get_layer(network.BASE_LAYER)
    assert [weight.path for weight, _ in rates] == [one.path for one in base.trainable_weights]
    factors = list(dict.fromkeys(factor for _, factor in rates))
    assert len(factors) == 104
    assert factors[0] == pytest.approx(0.1)
    assert factors[-1] < 1
    steps = {round(after / before, 6) for before, after in itertools.pairwise([*factors, 1.0])}
    assert len(steps) == 1


def test_what_is_about_phase_two_needs_it():
    with pytest.raises(CallerError, match="--base_batch_norm=learn is about phase 2, and"):
        TrainingConfig(base_batch_norm="learn", phase2_epochs=0)
