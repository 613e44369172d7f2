"""Networks of several views: absent views, bags of one, weights, and files that open anywhere."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from flags.training_config import TrainingConfig
from records import schema
from records.errors import CallerError
from records.image_size import ImageSize
from tests import make
from trainer.model import frozen_part, network, views_cc_mlo
from trainer.training import fine_tuning, initial_weights

SIZE = ImageSize(64, 48)
KINDS = ("mean", "concat", "attention", "cc_mlo")
BREAST, EXAM = schema.VIEWS["breast"], schema.VIEWS["exam"]


def build(kind, views=BREAST, **options):
    config = TrainingConfig(**make.TINY, hidden="none", dropout=0.0, views=kind, **options)
    return network.build(config, SIZE, views=views, kind="binary")[0]


@pytest.fixture(scope="module", params=KINDS)
def breasts(request):
    """A network whose every weight is other than 0, stand-ins too."""
    keras.utils.set_random_seed(1)
    return shake(build(request.param))


@pytest.fixture(scope="module", params=("mean", "attention", "cc_mlo"))
def exams(request):
    keras.utils.set_random_seed(1)
    return shake(build(request.param, EXAM))


def shake(model):
    """Learns nothing, but statistics of noise; features of a random base would be next to 0."""
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    for weight in model.trainable_variables:
        weight.assign_add(keras.random.normal(weight.shape, stddev=0.05, seed=len(weight.shape)))
    model(batch(np.ones((8, model.inputs[0].shape[1]))), training=True)
    return model


def batch(present, seed=0):
    present = np.array(present, bool)
    pixels = np.random.default_rng(seed).integers(0, 65535, (*present.shape, 64, 48, 1))
    return {"pixels": pixels.astype(np.uint16), "views_present": present}


def other_pixels(inputs):
    """The same with other pixels where no view is."""
    there = inputs["views_present"][:, :, None, None, None]
    noise = batch(inputs["views_present"], seed=9)["pixels"]
    return {**inputs, "pixels": np.where(there, inputs["pixels"], noise).astype(np.uint16)}


@pytest.mark.parametrize("training", [False, True])
def test_no_answer_depends_on_the_pixels_of_an_absent_view(breasts, training):
    inputs = batch([[1, 1], [1, 0], [0, 1]])
    states = [weight.numpy() for weight in breasts.weights]

    def answer(given):
        for weight, value in zip(breasts.weights, states, strict=True):
            weight.assign(value)
        outputs = keras.ops.convert_to_numpy(breasts(given, training=training))
        return outputs, [weight.numpy() for weight in breasts.non_trainable_variables]

    (one, kept), (two, moved) = answer(inputs), answer(other_pixels(inputs))
    np.testing.assert_array_equal(one, two)
    for before, after in zip(kept, moved, strict=True):  # batch normalisation saw none of it
        np.testing.assert_array_equal(before, after)
    assert np.isfinite(one).all()
    assert ((one > 0) & (one < 1)).all()
    seen = batch([[1, 1], [1, 1], [1, 1]])
    assert (answer(seen)[0][1:] != one[1:]).all()  # a view that is there counts


@pytest.mark.parametrize("kind", ["concat", "cc_mlo"])
def test_what_stands_for_an_absent_view_is_learned_for_each(kind):
    model = shake(build(kind))
    inputs = batch([[1, 1], [1, 0], [0, 1]])
    before = model.predict_on_batch(inputs)
    stand_in = model.get_layer("stand_in")
    (kernel,) = stand_in.get_weights()
    kernel[BREAST.index("MLO")] += 1
    stand_in.set_weights([kernel])
    changed = model.predict_on_batch(inputs) != before
    assert changed[:, 0].tolist() == [False, True, False]


def test_an_examination_of_any_of_its_views_gets_an_answer(exams):
    inputs = batch([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 1]])
    one = exams.predict_on_batch(inputs)
    np.testing.assert_allclose(one, exams.predict_on_batch(other_pixels(inputs)), atol=1e-6)
    assert len(np.unique(one)) == 3


def single_of(model):
    """The same weights in a network of one image."""
    config = TrainingConfig(**make.TINY, hidden="none")
    single = network.build(config, SIZE, kind="binary")[0]
    single.set_weights(model.get_weights())
    return single


def test_the_mean_of_views_is_the_mean_of_what_one_network_says_of_each():
    model = shake(build("mean"))
    inputs = batch([[1, 1], [1, 0], [0, 1]])
    of_views = single_of(model).predict_on_batch(inputs["pixels"].reshape(-1, 64, 48, 1))
    weights = inputs["views_present"].astype(np.float32)
    wanted = np.average(of_views.reshape(3, 2), axis=1, weights=weights)
    np.testing.assert_allclose(model.predict_on_batch(inputs)[:, 0], wanted, atol=1e-6)


def test_attention_is_the_weighted_mean_of_the_views_that_are_there():
    model = shake(build("attention"))
    names = ("pool", "view_value", "view_gate", "dropout")
    layers = [model.get_layer(name) for name in names]
    ends = [layer.output for layer in layers[:3]] + [layers[3].input]
    pooled, value, gate, given = keras.Model(model.input, ends)(batch([[1, 1], [0, 1]]))
    score = (value.numpy() * gate.numpy()) @ model.get_layer("view_score").get_weights()[0]
    first = np.exp(score[0]) / np.exp(score[0]).sum()  # softmax of Ilse et al., equation 9
    pooled = pooled.numpy().reshape(2, 2, -1)
    np.testing.assert_allclose(given[0], (first * pooled[0]).sum(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(given[1], pooled[1, 1], rtol=1e-5, atol=1e-6)  # a bag of one


def test_concat_is_two_blocks_of_stride_two_at_the_width_of_all_views():
    model = build("concat")
    _, rows, columns, channels = model.get_layer("base").output_shape
    shapes = [tuple(layer.output.shape[1:]) for layer in model.layers]
    assert (-(-rows // 4), -(-columns // 4), 2 * channels) in shapes
    assert model.get_layer("joined2_expand").filters == 4 * channels
    assert model.get_layer("joined1_reduce").filters == channels // 2
    assert model.get_layer("joined1_depthwise").strides == (2, 2)


def test_every_weight_learns(breasts):
    inputs = batch([[1, 1], [1, 0], [0, 1]])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.math.log(breasts(inputs, training=True)))
    gradients = tape.gradient(loss, [one.value for one in breasts.trainable_variables])
    still = [
        one.path
        for one, found in zip(breasts.trainable_variables, gradients, strict=True)
        if found is None or not np.any(found)
    ]
    assert not still


def test_columns_begin_alike_with_weights_of_their_own():
    model = build("cc_mlo")
    base = model.get_layer("base")
    cc, mlo = (
        [w for layer in base.layers if layer.name.endswith(f"_{name}") for w in layer.weights]
        for name in ("cc", "mlo")
    )
    assert len(cc) == len(mlo) == len(base.weights) / 2
    for one, two in zip(cc, mlo, strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy())
    assert len(fine_tuning.rates(model, 0.5)) == len(base.trainable_variables)


@pytest.mark.parametrize("kind", KINDS)
def test_the_base_of_a_run_of_images_is_taken_over(kind, tmp_path):
    config = TrainingConfig(**make.TINY, hidden="none")
    single = network.build(config, SIZE)[0]
    single.save(tmp_path / "model.keras")
    make.write_described(tmp_path)
    config = dataclasses.replace(config, views=kind, init_from=str(tmp_path), init_parts="base")
    how = {"kind": "binary", "fractions": (0.5, 0.5)}
    model, weights = initial_weights.build(config, SIZE, views=BREAST, **how)
    assert weights.pretrained
    theirs = {layer.name: layer for layer in single.get_layer("base").layers}
    for layer in (one for one in model.get_layer("base").layers if one.weights):
        name = layer.name.removesuffix("_cc").removesuffix("_mlo")
        for one, two in zip(layer.get_weights(), theirs[name].get_weights(), strict=True):
            np.testing.assert_array_equal(one, two)


def test_columns_hold_each_view_to_its_side():
    base = keras.Sequential([keras.Input((2, 2, 3)), keras.layers.Dense(1, use_bias=False)])
    columns = views_cc_mlo.make_columns(keras.Model(base.inputs, base.outputs))
    columns.set_weights([np.full((3, 1), 1.0), np.full((3, 1), 10.0)])
    images = keras.Input((2, 2, 3))
    model = keras.Model(images, views_cc_mlo.run_columns(columns, images))
    views = np.arange(4)[:, None, None, None] * np.ones((4, 2, 2, 3))  # L-CC, L-MLO, R-CC, R-MLO
    np.testing.assert_array_equal(model(views)[:, 0, 0, 0], [0, 30, 6, 90])


@pytest.mark.parametrize("kind", KINDS)
def test_files_open_without_this_program(kind, tmp_path):
    model = shake(build(kind, augment="flip"))
    inputs = batch([[1, 1], [0, 1]])
    path = tmp_path / "model.keras"
    from trainer.model import augmentation

    augmentation.without(model).save(path)
    opened = keras.models.load_model(path, custom_objects={}, safe_mode=True)
    np.testing.assert_array_equal(opened.predict_on_batch(inputs), model.predict_on_batch(inputs))
    assert "trainer" not in opened.to_json()


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_gives_about_the_same(kind):
    keras.utils.set_random_seed(1)
    full = build(kind)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = build(kind)
    finally:
        keras.config.set_dtype_policy(before)
    half.set_weights(full.get_weights())
    inputs = batch([[1, 1], [0, 1]])
    assert half.output.dtype == "float32"
    np.testing.assert_allclose(
        half.predict_on_batch(inputs), full.predict_on_batch(inputs), atol=0.05
    )


@pytest.mark.parametrize("kind", ["attention", "cc_mlo"])
def test_pooled_features_are_no_flat_head(kind):
    with pytest.raises(CallerError, match=f"^--head=flatten: --views={kind} joins pooled"):
        TrainingConfig(head="flatten", views=kind)


def test_phase_1_keeps_no_features_of_several_views(breasts):
    with pytest.raises(frozen_part.NotCacheable, match="more than the pixels of one image"):
        frozen_part.cut(breasts)
