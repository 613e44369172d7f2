"""Heat maps against gradients worked out by hand, on networks that are linear in their layers."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from scipy import ndimage, signal

from flags.training_config import TrainingConfig
from records.image_size import ImageSize
from trainer.heat_maps import heat_map
from trainer.heat_maps.heat_map import HeatMapper
from trainer.heat_maps.overlay import blend, warp_to_image
from trainer.model import network

HEIGHT, WIDTH, CHANNELS = 8, 6, 5


def small_network(
    head: str, outputs: int, *, activation: str = "sigmoid", pooled: bool = False
) -> keras.Model:
    """A 3x3 convolution (and, pooled, 2x2 means and a 1x1 convolution) as base, one dense layer."""
    keras.utils.set_random_seed(3)
    image = keras.Input((HEIGHT, WIDTH, 3))
    features = keras.layers.Conv2D(CHANNELS, 3, padding="same", name="conv", activation="relu")(
        image
    )
    if pooled:
        features = keras.layers.AveragePooling2D(2)(features)
        features = keras.layers.Conv2D(4, 1, name="mix")(features)
    base = keras.Model(image, features, name="base")
    pixels = keras.Input((HEIGHT, WIDTH, 1), dtype="uint16")
    grey = keras.layers.Rescaling(1 / 65535, dtype="float32")(pixels)
    values = base(keras.layers.Concatenate()([grey] * 3))
    pool = {"gap": keras.layers.GlobalAveragePooling2D, "flatten": keras.layers.Flatten}[head]
    values = keras.layers.Dropout(0.5)(pool()(values))
    model = keras.Model(pixels, keras.layers.Dense(outputs, activation=activation)(values))
    for weight in model.weights:
        weight.assign(np.random.default_rng(5).normal(size=weight.shape))
    return model


def images(count: int) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 65536, (count, HEIGHT, WIDTH, 1), np.uint16)


def features_by_hand(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """What the 3x3 convolution makes of images, with SciPy: [images, height, width, channels]."""
    kernel, bias = (np.asarray(w) for w in model.get_layer("base").get_layer("conv").weights)
    grey = images[:, :, :, 0] / 65535
    return np.stack(
        [
            np.stack(
                [
                    signal.correlate2d(image, kernel[:, :, :, k].sum(axis=2), mode="same") + bias[k]
                    for k in range(CHANNELS)
                ],
                axis=-1,
            )
            for image in grey
        ]
    ).clip(0)


def scaled(evidence: np.ndarray) -> np.ndarray:
    positive = evidence.clip(0)
    most = positive.max(axis=(1, 2), keepdims=True)
    return np.divide(positive, most, out=np.zeros_like(positive), where=most > 0)


def dense(model: keras.Model) -> tuple[np.ndarray, np.ndarray]:
    kernel, bias = (np.asarray(weight) for weight in model.layers[-1].weights)
    return kernel, bias


@pytest.mark.parametrize("method", heat_map.METHODS)
def test_pooled_head_by_hand(method):
    """The logit is sum of w * mean(A), so every slope is w / (height * width)."""
    model = small_network("gap", 1)
    batch = images(3)
    evidence = features_by_hand(model, batch) @ dense(model)[0][:, 0]
    heat = HeatMapper(model, "binary", method=method).draw(batch)
    assert heat.dtype == np.float32
    np.testing.assert_allclose(heat, scaled(evidence), atol=1e-5)


def test_flat_head_by_hand():
    """Each place has a slope of its own; Grad-CAM takes their mean, HiResCAM each."""
    model = small_network("flatten", 1)
    batch = images(3)
    features = features_by_hand(model, batch)
    slopes = dense(model)[0][:, 0].reshape(HEIGHT, WIDTH, CHANNELS)
    coarse = features @ slopes.mean(axis=(0, 1))
    np.testing.assert_allclose(HeatMapper(model, "binary").draw(batch), scaled(coarse), atol=1e-5)
    fine = (features * slopes).sum(axis=3)
    drawn = HeatMapper(model, "binary", method="hirescam").draw(batch)
    np.testing.assert_allclose(drawn, scaled(fine), atol=1e-5)


def test_two_resolutions_by_hand():
    """Slopes of the first layer go back through the 1x1 convolution and the means of 2x2."""
    model = small_network("flatten", 1, pooled=True)
    batch = images(2)
    features = features_by_hand(model, batch)
    mix, shift = (np.asarray(w) for w in model.get_layer("base").get_layer("mix").weights)
    small = (HEIGHT // 2, WIDTH // 2)
    means = features.reshape(2, small[0], 2, small[1], 2, CHANNELS).mean(axis=(2, 4))
    late = means @ mix[0, 0] + shift
    slopes_late = dense(model)[0][:, 0].reshape(*small, 4)
    slopes = np.kron(slopes_late @ mix[0, 0].T / 4, np.ones((2, 2, 1)))
    fine = scaled((features * slopes).sum(axis=3))
    coarse = scaled((late * slopes_late).sum(axis=3))
    for image, drawn in enumerate(HeatMapper(model, "binary", method="hirescam").draw(batch)):
        mean = fine[image] + enlarge(coarse[image])
        np.testing.assert_allclose(drawn, mean / mean.max(), atol=1e-5)


def enlarge(small: np.ndarray) -> np.ndarray:
    """Doubles an image by straight lines between the centres of its pixels, edges repeated."""
    height, width = small.shape
    rows, columns = ((np.arange(2 * length) + 0.5) / 2 - 0.5 for length in (height, width))
    places = np.meshgrid(rows, columns, indexing="ij")
    return ndimage.map_coordinates(small, places, order=1, mode="nearest")


def test_classes_and_labels():
    """Without labels an image is asked about the class it is called."""
    model = small_network("gap", 3, activation="softmax")
    batch = images(6)
    kernel, bias = dense(model)
    features = features_by_hand(model, batch)
    called = (features.mean(axis=(1, 2)) @ kernel + bias).argmax(axis=1)
    mapper = HeatMapper(model, "classes")
    evidence = np.stack([f @ kernel[:, c] for f, c in zip(features, called, strict=True)])
    np.testing.assert_allclose(mapper.draw(batch), scaled(evidence), atol=1e-5)
    asked = [2, 1, 0, 2, 1, 0]
    evidence = np.stack([f @ kernel[:, c] for f, c in zip(features, asked, strict=True)])
    np.testing.assert_allclose(mapper.draw(batch, asked), scaled(evidence), atol=1e-5)


@pytest.mark.parametrize(
    ("label", "question", "sign"), [(0, 0, -1), (1, 0, 1), (2, 1, 1), (3, 2, 1)]
)
def test_grades(label, question, sign):
    """Output k says whether the grade is above k; the lowest grade is what speaks against that."""
    model = small_network("gap", 3)
    batch = images(2)
    evidence = sign * (features_by_hand(model, batch) @ dense(model)[0][:, question])
    drawn = HeatMapper(model, "ordinal").draw(batch, [label] * 2)
    np.testing.assert_allclose(drawn, scaled(evidence), atol=1e-5)


@pytest.mark.parametrize(
    ("biases", "question"),
    [((-99, 99, 99), 0), ((99, -99, 99), 0), ((99, 99, -99), 1), ((99, 99, 99), 2)],
    ids=["lowest", "first", "second", "highest"],
)
def test_a_grade_is_asked_as_it_is_called(biases, question):
    """The first question answered no ends the scan (Cheng et al. 2008); the lowest asks of more."""
    model = small_network("gap", 3)
    model.layers[-1].bias.assign(np.array(biases, np.float32))
    batch = images(2)
    evidence = features_by_hand(model, batch) @ dense(model)[0][:, question]
    np.testing.assert_allclose(
        HeatMapper(model, "ordinal").draw(batch), scaled(evidence), atol=1e-5
    )


@pytest.mark.parametrize("method", heat_map.METHODS)
def test_no_evidence_is_no_heat(method):
    """Weights below 0 alone: nothing speaks for the class. And a network that sees nothing."""
    for weights in (-1.0, 0.0):
        model = small_network("gap", 1)
        model.layers[-1].kernel.assign(np.full((CHANNELS, 1), weights, np.float32))
        assert not HeatMapper(model, "binary", method=method).draw(images(2)).any()


def test_what_cancels_out_is_no_evidence():
    """Two equal channels with opposite weights leave rounding, which must not be blown up."""
    model = small_network("gap", 1)
    kernel, bias = model.get_layer("base").get_layer("conv").weights
    kernel.assign(np.repeat(np.asarray(kernel)[..., :1], CHANNELS, axis=3))
    bias.assign(np.full(CHANNELS, 0.3, np.float32))
    weights = np.array([0.1, 0.2, 0.3, -0.25, -0.35], np.float32)
    model.layers[-1].kernel.assign(weights[:, None])
    assert not HeatMapper(model, "binary").draw(images(4)).any()


def test_a_sure_network_has_a_map_too():
    """The sigmoid is flat at a logit of 200; the logit is not."""
    model = small_network("gap", 1)
    batch = images(2)
    plain = HeatMapper(model, "binary").draw(batch)
    model.layers[-1].bias.assign([200.0])
    np.testing.assert_allclose(HeatMapper(model, "binary").draw(batch), plain, atol=1e-6)


def test_images_do_not_depend_on_their_batch(monkeypatch):
    model = small_network("flatten", 1)
    batch = images(5)
    together = HeatMapper(model, "binary").draw(batch)
    monkeypatch.setattr(heat_map, "_IMAGES_PIXELS", 2 * HEIGHT * WIDTH)
    np.testing.assert_allclose(HeatMapper(model, "binary").draw(batch), together, atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"base": "mobilenetv2", "alpha": 0.35, "head": "flatten"},
        {"base": "mobilenet", "alpha": 0.25, "conv_after": "1", "precision": "mixed_bfloat16"},
        {"base": "vgg19", "downsample_sets": "1"},
        {"base": "mobilenetv3small"},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_networks_of_the_program(options, tmp_path):
    """Frozen bases too; the map is one of the image's size that differs from place to place."""
    keras.config.set_dtype_policy(options.get("precision", "float32"))
    try:
        keras.utils.set_random_seed(1)
        config = TrainingConfig(weights="random", **options)
        model, _ = network.build(config, ImageSize(96, 64))
    finally:
        keras.config.set_dtype_policy("float32")
    network.freeze_base(model)
    model.save(tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras", compile=False)
    images = np.random.default_rng(7).integers(0, 65536, (2, 96, 64, 1), np.uint16)
    for method in heat_map.METHODS:
        mapper = HeatMapper(model, "binary", method=method)
        heat = np.stack([mapper.draw(images, [label] * 2) for label in (0, 1)])
        assert heat.shape == (2, 2, 96, 64)
        assert heat.min() == 0
        assert heat.max() == 1
        assert heat.std(axis=(2, 3)).max() > 0.01


def test_vgg_is_read_before_its_last_maximum():
    """Selvaraju et al. 2017 take conv5 itself, not the pooled one."""
    config = TrainingConfig(weights="random", base="vgg19")
    model, _ = network.build(config, ImageSize(64, 96))
    shapes = [tuple(o.shape[1:3]) for o in HeatMapper(model, "binary")._rest.outputs]
    assert shapes[0] == (4, 6)


def test_overlay_leaves_the_image_where_there_is_no_evidence():
    image = np.random.default_rng(0).integers(0, 256, (5, 7), np.uint8)
    heat = np.zeros((5, 7), np.float32)
    heat[2, 3] = 1
    picture = blend(image, heat)
    assert picture.shape == (5, 7, 3)
    assert picture.dtype == np.uint8
    same = np.ones((5, 7), bool)
    same[2, 3] = False
    np.testing.assert_array_equal(picture[same], np.repeat(image[same][:, None], 3, axis=1))
    red, green, blue = picture[2, 3].astype(int)
    assert red > blue
    assert green > blue  # the brightest colour of inferno is a light yellow


def test_heat_lies_where_the_record_lay():
    """A record of 4x3 out of the middle of an image, mirrored, each pixel 2x2 of the image's."""
    heat = np.zeros((4, 3), np.float32)
    heat[1, 0] = 1
    # column = 11 - (2 c + 0.5), row = 4 + 2 r + 0.5
    matrix = np.array([[-2, 0, 10.5], [0, 2, 4.5], [0, 0, 1]])
    image = warp_to_image(heat, matrix, (16, 20))
    assert image.shape == (16, 20)
    rows, columns = np.mgrid[:16, :20]
    assert (image * columns).sum() / image.sum() == pytest.approx(10.5, abs=0.05)
    assert (image * rows).sum() / image.sum() == pytest.approx(6.5, abs=0.05)
    assert not image[:, 13:].any()
