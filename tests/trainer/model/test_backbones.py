"""Bases: names, ranges, weights."""

import gc
import importlib
import pathlib

import h5py
import keras
import numpy as np
import pytest

from flags import network_config
from flags.training_config import TrainingConfig
from records.errors import CallerError
from records.image_size import ImageSize
from trainer.model import backbones

SIZE = ImageSize(80, 96)


def build(**options):
    return backbones.build(TrainingConfig(**{"weights": "random", **options}), SIZE)[0]


def values(variables) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def test_the_list_of_bases_is_that_of_keras():
    classes = {
        name: item
        for name, item in vars(keras.applications).items()
        if callable(item) and name[0].isupper()
    }
    assert set(network_config.BASES.values()) == set(classes)
    assert all(key == name.lower() for key, name in network_config.BASES.items())
    assert set(backbones.SCALING) == set(network_config.BASES)


def preprocessing_of(name: str):
    """The function of a base's own module in keras.applications."""
    module = getattr(keras.applications, network_config.BASES[name]).__module__.rsplit(".", 1)[1]
    return importlib.import_module(f"keras.applications.{module}").preprocess_input


@pytest.mark.parametrize(
    "name", [n for n in network_config.BASES if not n.startswith("efficientnetb")]
)
def test_scaling_is_what_the_bases_own_preprocessing_does(name):
    image = np.linspace(0, 1, 7 * 5, dtype=np.float32).reshape(1, 7, 5, 1)
    grey = np.repeat(image, 3, axis=-1)
    factor, offset = backbones.SCALING[name]
    expected = preprocessing_of(name)(grey * 255)
    np.testing.assert_allclose(grey * factor + offset, expected, atol=2e-4)


def test_scaling_of_efficientnet_makes_up_for_the_layer_keras_adds_to_its_own_weights_only():
    """Plain Keras: what Keras does where it loads ImageNet, against ours and what a file gets."""
    mean, deviation = (0.485, 0.456, 0.406), np.array([0.229, 0.224, 0.225])
    image = np.repeat(np.linspace(0, 1, 35, dtype=np.float32).reshape(1, 7, 5, 1), 3, axis=-1)
    inner = keras.Sequential(
        [
            keras.layers.Rescaling(1 / 255),
            keras.layers.Normalization(mean=mean, variance=deviation**2),
        ]
    )
    by_keras = keras.layers.Rescaling(list(1 / np.sqrt(deviation)))(inner(image * 255))
    factor, offset = backbones.SCALING["efficientnetb3"]
    ours = inner(image * np.float32(factor) + np.float32(offset))
    np.testing.assert_allclose(ours, by_keras, atol=1e-4)


FAMILIES = (
    *("vgg16", "vgg19", "resnet50", "resnet50v2", "inceptionv3", "inceptionresnetv2", "xception"),
    *("mobilenet", "mobilenetv2", "mobilenetv3small", "densenet121", "nasnetmobile"),
    *("efficientnetb0", "efficientnetv2b0", "efficientnetv2s", "convnexttiny"),
)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_base_of_every_family_can_be_built(name):
    """At an odd size, without memory for weights."""
    with keras.StatelessScope(initialize_variables=False):
        base = backbones.build(TrainingConfig(base=name, weights="random"), ImageSize(96, 136))[0]
        assert base.input_shape == (None, 96, 136, 3)
        assert len(base.output_shape) == 4
        assert min(base.output_shape[1:3]) >= 1
    del base
    keras.utils.clear_session()
    gc.collect()


@pytest.mark.parametrize("name", network_config.ALPHAS)
def test_every_width_can_be_built(name):
    widths = network_config.ALPHAS[name]
    with keras.StatelessScope(initialize_variables=False):
        counts = {width: build(base=name, alpha=width).count_params() for width in widths}
        assert counts[1.0] == build(base=name).count_params()
    assert list(counts.values()) == sorted(set(counts.values()))
    keras.utils.clear_session()


@pytest.fixture
def weights(shared_data) -> dict[str, pathlib.Path]:
    folder = shared_data / "weights"
    return {
        "mobilenetv2 0.35": folder / "mobilenetv2_0.35_224_no_top_from_teachablemachine.weights.h5",
        "mobilenetv2 1.0": folder / "mobilenetv2_1.0_224_no_top_dequant_from_coral_ptq.weights.h5",
        "mobilenet 0.25": folder / "mobilenetv1_0.25_224_no_top_from_tfjs.weights.h5",
    }


@pytest.mark.parametrize(
    "name",
    ["mobilenetv2 0.35", "mobilenetv2 1.0", "mobilenet 0.25"],
)
def test_real_imagenet_weights_are_loaded_into_every_layer(weights, name):
    path = weights[name]
    base, alpha = name.split()
    config = TrainingConfig(base=base, alpha=float(alpha), weights=str(path))
    built, found = backbones.build(config, ImageSize(128, 96))
    assert found == backbones.BaseWeights(path.name, pretrained=True)
    stored: list[np.ndarray] = []
    with h5py.File(path) as file:
        file.visititems(
            lambda _, item: stored.append(item[()]) if isinstance(item, h5py.Dataset) else None
        )

    def key(array):
        return array.shape, float(array.sum()), float(array.ravel()[0])

    assert sorted(map(key, stored)) == sorted(map(key, values(built.weights)))
    image = np.random.default_rng(0).uniform(-1, 1, (1, 128, 96, 3)).astype(np.float32)
    features = keras.ops.convert_to_numpy(built(image, training=False))
    assert np.isfinite(features).all()
    assert (features >= 0).all()  # both end in a ReLU that is cut at 6
    assert 0 < features.max() <= 6


@pytest.mark.parametrize(
    ("file", "base", "alpha"),
    [
        ("mobilenetv2 0.35", "mobilenetv2", 1.0),
        ("mobilenetv2 1.0", "mobilenetv2", 0.35),
        ("mobilenetv2 1.0", "mobilenet", 1.0),
        ("mobilenet 0.25", "mobilenet", 0.5),
        ("mobilenet 0.25", "vgg16", 1.0),
    ],
)
def test_weights_of_another_network_are_refused(weights, file, base, alpha):
    config = TrainingConfig(base=base, alpha=alpha, weights=str(weights[file]))
    with pytest.raises(CallerError, match=rf"does not hold the weights of {base}.* without top \("):
        backbones.build(config, SIZE)


@pytest.mark.parametrize(("saved", "asked"), [("vgg16", "vgg19"), ("vgg19", "vgg16")])
def test_weights_of_a_sister_network_are_refused(tmp_path, saved, asked):
    path = tmp_path / "of_another.weights.h5"
    build(base=saved).save_weights(path)
    with pytest.raises(CallerError, match=rf"does not hold the weights of {asked} without top"):
        build(base=asked, weights=str(path))


@pytest.mark.parametrize("suffix", [".weights.h5", ".h5"])
def test_files_of_either_format_are_loaded(tmp_path, suffix):
    """Keras's own downloads for these bases are in the older one."""
    saved = build(alpha=0.35)
    path = tmp_path / f"saved{suffix}"
    saved.save_weights(path) if suffix == ".weights.h5" else saved.save(path)
    loaded = build(alpha=0.35, weights=str(path))
    for one, other in zip(values(saved.weights), values(loaded.weights), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_base_with_a_counter_among_its_weights_is_loaded(tmp_path):
    """EfficientNet's normalisation counts, in whole numbers, the images it was adapted to."""
    saved = build(base="efficientnetb0")
    saved.save_weights(tmp_path / "saved.weights.h5")
    loaded = build(base="efficientnetb0", weights=str(tmp_path / "saved.weights.h5"))
    for one, other in zip(values(saved.weights), values(loaded.weights), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (None, None, r"is not a file; give a .weights.h5 file, imagenet, auto or random$"),
        ("text.weights.h5", b"no weights", r"text.weights.h5 does not hold the weights of"),
        ("empty.weights.h5", b"", r"empty.weights.h5 does not hold the weights of"),
        ("text.h5", b"no weights", r"text.h5 does not hold the weights of mobilenetv2 alpha 1 "),
        ("text.keras", b"no weights", r"--weights=.*text.keras is not one of auto, imagenet, "),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_is_no_weights_file_is_refused(tmp_path, name, content, message):
    path = tmp_path / (name or "none.h5")
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CallerError, match=message) as caught:
        build(weights=str(path))
    assert "\n" not in str(caught.value)


def test_half_a_weights_file_is_refused(tmp_path, weights):
    path = tmp_path / "half.weights.h5"
    path.write_bytes(weights["mobilenetv2 0.35"].read_bytes()[: 10**6])
    with pytest.raises(CallerError, match=r"half.weights.h5 does not hold the weights of"):
        build(alpha=0.35, weights=str(path))


@pytest.mark.parametrize(
    ("base", "size", "message"),
    [
        ("inceptionv3", ImageSize(48, 64), r"--base=inceptionv3 at 48x64: .*at least 75x75"),
        ("vgg19", ImageSize(31, 64), r"--base=vgg19 at 31x64: .*at least 32x32"),
        ("xception", ImageSize(80, 70), r"--base=xception at 80x70: .*at least 71x71"),
    ],
)
def test_a_size_too_small_for_the_base_is_refused(base, size, message):
    with pytest.raises(CallerError, match=message):
        backbones.build(TrainingConfig(base=base, weights="random"), size)
