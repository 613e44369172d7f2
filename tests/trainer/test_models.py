import pathlib

import keras
import numpy as np
import pytest

from flags import catalogue
from flags.errors import CallerError
from flags.size import ImageSize
from flags.training import TrainingConfig
from trainer import models

# the smallest sizes that every base takes
SIZE = ImageSize(80, 96)
PREPROCESS = {
    "mobilenetv2": keras.applications.mobilenet_v2.preprocess_input,
    "vgg19": keras.applications.vgg19.preprocess_input,
    "resnet50": keras.applications.resnet50.preprocess_input,
    "inceptionv3": keras.applications.inception_v3.preprocess_input,
    "densenet121": keras.applications.densenet.preprocess_input,
}


def build(**options):
    return models.build(TrainingConfig(**{"weights": "random", **options}), SIZE)[0]


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 65536, (2, 80, 96, 1), dtype=np.uint16)


@pytest.mark.parametrize("base", catalogue.BASES)
def test_the_base_sees_what_its_own_preprocessing_makes_of_the_film(base, pixels):
    model = build(base=base)
    inner = model.get_layer(models.BASE_LAYER)
    seen = keras.Model(model.input, model.get_layer("to_base_range").output).predict(
        pixels, verbose=0
    )
    grey = np.repeat(pixels.astype(np.float64) * (255 / 65535), 3, axis=-1)
    expected = PREPROCESS[base](grey.astype(np.float32).copy())
    np.testing.assert_allclose(seen, expected, atol=2e-4)
    assert inner.name == models.BASE_LAYER
    assert model.output_shape == (None, 1)
    assert model.input.dtype == "uint16"


def test_weights_of_head_and_base_are_counted_as_published():
    """Dense 512 on 1280 pooled features of MobileNetV2, Dense 32, Dense 1; base 2,257,984."""
    model = build()
    head = (1280 + 1) * 512 + (512 + 1) * 32 + (32 + 1)
    assert model.count_params() == 2_257_984 + head


def test_flatten_head_has_a_weight_for_every_feature():
    flat = build(head="flatten").get_layer("dense_512")
    assert flat.kernel.shape == (3 * 3 * 1280, 512)


def test_phase_one_trains_the_head_alone_and_leaves_batch_normalisation_alone(pixels):
    model = build()
    models.freeze_base(model)
    assert len(model.trainable_variables) == 6
    inner = model.get_layer(models.BASE_LAYER)
    before = [keras.ops.convert_to_numpy(v).copy() for v in inner.weights]
    head = keras.ops.convert_to_numpy(model.get_layer("dense_32").kernel).copy()
    model.compile("adam", "binary_crossentropy")
    model.fit(pixels, np.array([[0.0], [1.0]]), epochs=3, verbose=0)
    for old, new in zip(before, inner.weights, strict=True):
        np.testing.assert_array_equal(old, keras.ops.convert_to_numpy(new))
    assert not np.array_equal(head, keras.ops.convert_to_numpy(model.get_layer("dense_32").kernel))


@pytest.mark.parametrize("pretrained", [True, False])
def test_phase_two_trains_all_layers_batch_normalisation_only_from_random(pixels, pretrained):
    model = build()
    models.unfreeze_base(model, pretrained=pretrained)
    inner = model.get_layer(models.BASE_LAYER)
    moving = inner.get_layer("bn_Conv1").moving_mean
    kernel = inner.get_layer("Conv1").kernel
    before = [keras.ops.convert_to_numpy(v).copy() for v in (moving, kernel)]
    model.compile("adam", "binary_crossentropy")
    model.fit(pixels, np.array([[0.0], [1.0]]), epochs=1, verbose=0)
    after = [keras.ops.convert_to_numpy(v) for v in (moving, kernel)]
    assert np.array_equal(before[0], after[0]) == pretrained
    assert not np.array_equal(before[1], after[1])


def test_a_saved_model_takes_a_record_and_says_the_same(pixels, tmp_path):
    model = build(alpha=0.35)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        model.predict(pixels, verbose=0), again.predict(pixels, verbose=0)
    )


@pytest.fixture
def weights_file(shared_data) -> pathlib.Path:
    return shared_data / "weights/mobilenetv2_0.35_224_no_top_from_teachablemachine.weights.h5"


def test_real_imagenet_weights_are_loaded_into_every_layer(weights_file):
    h5py = pytest.importorskip("h5py")
    model, weights = models.build(
        TrainingConfig(weights=str(weights_file), alpha=0.35), ImageSize(128, 96)
    )
    assert weights == models.BaseWeights(weights_file.name, pretrained=True)
    stored: list[np.ndarray] = []
    with h5py.File(weights_file) as file:
        file.visititems(
            lambda _, item: stored.append(item[()]) if isinstance(item, h5py.Dataset) else None
        )
    loaded = [keras.ops.convert_to_numpy(v) for v in model.get_layer(models.BASE_LAYER).weights]
    key = lambda array: (array.shape, float(array.sum()), float(array.ravel()[0]))  # noqa: E731
    assert sorted(map(key, stored)) == sorted(map(key, loaded))


def test_weights_of_another_width_are_refused(weights_file):
    with pytest.raises(CallerError, match=r"does not hold the weights of mobilenetv2 alpha 1 "):
        models.build(TrainingConfig(weights=str(weights_file)), SIZE)


def test_weights_that_are_no_file_are_refused(tmp_path):
    with pytest.raises(CallerError, match=r"is not a file; give a .weights.h5 file, imagenet"):
        models.build(TrainingConfig(weights=str(tmp_path / "none.h5")), SIZE)
    (tmp_path / "text.weights.h5").write_text("no weights")
    with pytest.raises(CallerError, match=r"text.weights.h5 does not hold the weights of"):
        models.build(TrainingConfig(weights=str(tmp_path / "text.weights.h5")), SIZE)


def test_a_size_too_small_for_the_base_is_refused():
    with pytest.raises(CallerError, match=r"--base=inceptionv3 at 48x64: .*at least 75x75"):
        models.build(TrainingConfig(base="inceptionv3", weights="random"), ImageSize(48, 64))
