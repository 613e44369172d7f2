"""Whole networks: what the base sees, what learns, what a saved file can do."""

import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from flags.training_config import TrainingConfig
from records.errors import CallerError
from records.image_size import ImageSize
from trainer.model import backbones, network

# the smallest sizes that every base takes
SIZE = ImageSize(80, 96)


def build(size: ImageSize = SIZE, **options):
    return network.build(TrainingConfig(**{"weights": "random", "alpha": 0.35, **options}), size)[0]


def values(variables) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(variable).copy() for variable in variables]


def what_the_base_sees(model: keras.Model, pixels: np.ndarray) -> np.ndarray:
    node = model.get_layer(network.BASE_LAYER)._inbound_nodes[-1]
    return say(keras.Model(model.input, node.input_tensors[0]), pixels)


def say(model: keras.Model, pixels: np.ndarray) -> np.ndarray:
    """What a model makes of images, without the time to compile it."""
    return keras.ops.convert_to_numpy(model(pixels, training=False))


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 65536, (2, 80, 96, 1), dtype=np.uint16)


@pytest.mark.parametrize(
    ("base", "preprocess"),
    [
        ("mobilenetv2", keras.applications.mobilenet_v2.preprocess_input),
        ("vgg19", keras.applications.vgg19.preprocess_input),
        ("densenet121", keras.applications.densenet.preprocess_input),
    ],
)
def test_the_base_sees_what_its_own_preprocessing_makes_of_the_image(base, preprocess, pixels):
    model = build(base=base, alpha=0.35 if base == "mobilenetv2" else 1.0)
    grey = np.repeat(pixels.astype(np.float64) * (255 / 65535), 3, axis=-1)
    expected = preprocess(grey.astype(np.float32).copy())
    np.testing.assert_allclose(what_the_base_sees(model, pixels), expected, atol=2e-4)
    assert model.output_shape == (None, 1)
    assert model.input.dtype == "uint16"


def test_input_scaling_of_the_paper_is_none(pixels):
    seen = what_the_base_sees(build(input_scaling="paper"), pixels)
    np.testing.assert_allclose(seen, np.repeat(pixels / 65535, 3, axis=-1), atol=1e-6)


def test_weights_of_head_and_base_are_counted_as_published():
    """Dense 512 on 1280 pooled features of MobileNetV2, Dense 32, Dense 1; base 2,257,984."""
    model = build(alpha=1.0)
    head = (1280 + 1) * 512 + (512 + 1) * 32 + (32 + 1)
    assert model.count_params() == 2_257_984 + head


def test_flatten_head_has_a_weight_for_every_feature():
    flat = build(head="flatten").get_layer("dense_512")
    assert flat.kernel.shape == (3 * 3 * 1280, 512)


@pytest.mark.parametrize(
    ("kind", "fractions", "units"),
    [("binary", (1, 3), 1), ("classes", (1, 2, 3), 3), ("ordinal", (1, 2, 3, 4), 3)],
)
def test_outputs(kind, fractions, units, pixels):
    config = TrainingConfig(weights="random", alpha=0.35)
    model, _ = network.build(config, SIZE, kind=kind, fractions=fractions)
    said = say(model, pixels)
    assert said.shape == (2, units)
    assert said.dtype == np.float32
    assert ((said > 0) & (said < 1)).all()
    if kind == "classes":
        np.testing.assert_allclose(said.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("setting", "size", "sets"),
    [
        ("0", ImageSize(2048, 2048), 0),
        ("1", ImageSize(64, 64), 1),
        ("2", ImageSize(64, 64), 2),
        ("auto", ImageSize(512, 512), 0),
        ("auto", ImageSize(1023, 80), 0),
        ("auto", ImageSize(512, 1024), 1),
        ("auto", ImageSize(2047, 1376), 1),
        ("auto", ImageSize(2048, 1376), 2),
    ],
)
def test_number_of_sets(setting, size, sets):
    config = TrainingConfig(downsample_sets=setting)
    assert network.downsample_sets(config, size) == sets


@pytest.mark.parametrize("sets", [1, 2])
def test_sets_halve_the_image_and_learn_while_the_base_is_frozen(sets):
    """Behind a frozen base gradients must still reach them; odd sides lose their last row."""
    size = ImageSize(33 * 2**sets + 1, 40 * 2**sets)
    model = build(size, downsample_sets=str(sets))
    assert model.get_layer(network.BASE_LAYER).input_shape == (None, 33, 40, 3)
    network.freeze_base(model)
    kernels = [
        layer.kernel
        for layer in model.layers
        if layer.weights and layer.name.startswith(("set", "to_base_channels"))
    ]
    assert len(kernels) == 2 * sets + 1
    # a kernel and a bias for each, six of the head, none of the base
    assert len(model.trainable_variables) == 2 * len(kernels) + 6
    images = np.random.default_rng(0).integers(
        0, 65536, (2, size.height, size.width, 1), dtype=np.uint16
    )
    with tf.GradientTape() as tape:
        probability = keras.ops.sum(model(images))
    for gradient in tape.gradient(probability, [kernel.value for kernel in kernels]):
        assert np.isfinite(gradient).all()
        assert np.any(gradient)


def test_sets_run_into_vgg19_at_its_second_layer():
    size = ImageSize(64, 80)
    model = build(size, base="vgg19", alpha=1.0, downsample_sets="1", hidden="8")
    assert model.get_layer("to_base_channels").kernel.shape == (3, 3, 32, 64)
    base = model.get_layer(network.BASE_LAYER)
    assert base.input_shape == (None, 32, 40, 64)
    names = [layer.name for layer in base.layers if layer.weights]
    assert names[0] == "block1_conv2"
    assert len(names) == 15
    assert "to_base_range" not in [layer.name for layer in model.layers]


def test_sets_keep_the_weights_of_a_file_for_the_rest_of_vgg19(tmp_path):
    whole, _ = backbones.build(TrainingConfig(base="vgg19", weights="random"), ImageSize(32, 32))
    whole.save_weights(tmp_path / "vgg19.weights.h5")
    model = build(
        ImageSize(64, 64),
        base="vgg19",
        alpha=1.0,
        downsample_sets="1",
        weights=str(tmp_path / "vgg19.weights.h5"),
    )
    kept = values(model.get_layer(network.BASE_LAYER).weights)
    for old, new in zip(values(whole.weights)[2:], kept, strict=True):
        np.testing.assert_array_equal(old, new)


def test_convolutions_after_the_base():
    model = build(conv_after="1", head="flatten", hidden="4", l2=1e-4)
    kernels = [model.get_layer(f"after_conv{n}").kernel.shape for n in (1, 2)]
    assert kernels == [(3, 3, 1280, 1024), (3, 3, 1024, 1024)]
    assert model.get_layer("dense_4").kernel.shape == (1 * 1 * 1024, 4)  # 3x3 features halved
    assert len(model.losses) == 4


def test_sets_on_too_small_a_image_are_refused():
    with pytest.raises(
        CallerError, match=r"--base=vgg19 at 20x24 \(--downsample_sets=2\): .*at least 32x32"
    ):
        build(base="vgg19", alpha=1.0, downsample_sets="2")


def test_a_flatten_head_that_fits_no_memory_is_refused():
    """16384x16384 images: 512x512x1280 features, 172 thousand million weights."""
    with pytest.raises(
        CallerError, match=r"335,544,320 features x 512 units need 2748\.8 GB .* --head=gap"
    ):
        build(ImageSize(16384, 16384), head="flatten")


def test_phase_one_trains_the_head_alone_and_leaves_batch_normalisation_alone(pixels):
    model = build()
    network.freeze_base(model)
    assert len(model.trainable_variables) == 6
    inner = model.get_layer(network.BASE_LAYER)
    before = values(inner.weights)
    head = values([model.get_layer("dense_32").kernel])[0]
    model.compile("adam", "binary_crossentropy", run_eagerly=True)
    model.fit(pixels, np.array([[0.0], [1.0]]), epochs=3, verbose=0)
    for old, new in zip(before, values(inner.weights), strict=True):
        np.testing.assert_array_equal(old, new)
    assert not np.array_equal(head, values([model.get_layer("dense_32").kernel])[0])


@pytest.mark.parametrize("learns", [True, False])
def test_phase_two_trains_all_layers_batch_normalisation_only_if_told(pixels, learns):
    """What one step leaves of the mean that ImageNet had: the momentum."""
    model = build()
    network.unfreeze_base(model, batch_norm=learns, momentum=0.75)
    inner = model.get_layer(network.BASE_LAYER)
    watched = [inner.get_layer("bn_Conv1").moving_mean, inner.get_layer("Conv1").kernel]
    before = values(watched)
    means = inner.get_layer("Conv1")(what_the_base_sees(model, pixels)).numpy().mean(axis=(0, 1, 2))
    model.compile("adam", "binary_crossentropy", run_eagerly=True)
    model.fit(pixels, np.array([[0.0], [1.0]]), epochs=1, verbose=0)
    after = values(watched)
    expected = 0.75 * before[0] + 0.25 * means if learns else before[0]
    np.testing.assert_allclose(after[0], expected, rtol=1e-3, atol=1e-5)
    assert not np.array_equal(before[1], after[1])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"downsample_sets": "1", "conv_after": "1", "activation": "prelu", "batch_norm": True},
        {"base": "vgg19", "alpha": 1.0, "downsample_sets": "1", "l2": 1e-5},
    ],
    ids=str,
)
def test_a_saved_model_takes_a_record_and_says_the_same(pixels, tmp_path, options):
    model = build(**options)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_array_equal(say(model, pixels), say(again, pixels))


def test_white_pixels_stay_finite_in_half_precision():
    """65535 has no float16."""
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = build()
    finally:
        keras.config.set_dtype_policy("float32")
    white = np.full((1, 80, 96, 1), 65535, np.uint16)
    np.testing.assert_allclose(what_the_base_sees(model, white), 1.0)
    said = say(model, white)
    assert said.dtype == np.float32
    assert np.isfinite(said).all()


def test_real_weights_of_another_width_are_refused(shared_data: pathlib.Path):
    path = shared_data / "weights/mobilenetv2_0.35_224_no_top_from_teachablemachine.weights.h5"
    with pytest.raises(CallerError, match=r"does not hold the weights of mobilenetv2 alpha 1 "):
        build(alpha=1.0, weights=str(path))
