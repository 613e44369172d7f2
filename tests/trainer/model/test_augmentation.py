"""Augmentation against NumPy, SciPy and scikit-image."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import cv2
import keras
import numpy as np
import pytest
import scipy.ndimage
import skimage.transform
import tensorflow as tf

from flags import augmentation_spec
from flags.training_config import TrainingConfig
from records.errors import CallerError
from records.image_size import ImageSize
from tests import make
from trainer.commands import train
from trainer.model import augmentation, network
from trainer.training import checkpoints

HEIGHT, WIDTH = 24, 17


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).random((5, HEIGHT, WIDTH, 1), dtype=np.float32)


@pytest.fixture(scope="module")
def squares() -> np.ndarray:
    return np.random.default_rng(1).random((4, 11, 11, 1), dtype=np.float32)


def make_layer(changes: str, *, seed: int = 7) -> augmentation.Augmentation:
    return augmentation.Augmentation(changes, seed)


def test_flip_mirrors_the_chosen_images(images):
    chosen = np.array([True, False, True, False, False])
    for axis, mirrored in ((1, np.flipud), (2, np.fliplr)):
        for before, after, turned in zip(
            images, augmentation.flip(images, chosen, axis=axis), chosen, strict=True
        ):
            np.testing.assert_array_equal(after, mirrored(before) if turned else before)


def test_turn_is_numpys_rot90(squares, images):
    for quarters, before, after in zip(
        range(4), squares, augmentation.turn(tf.constant(squares), tf.range(4)), strict=True
    ):
        np.testing.assert_array_equal(after, np.rot90(before, quarters))
    halves = np.array([0, 2, 2, 0, 2])
    for quarters, before, after in zip(
        halves, images, augmentation.turn(images, halves), strict=True
    ):
        np.testing.assert_array_equal(after, np.rot90(before, quarters))


@pytest.mark.parametrize(
    ("fill", "mode", "border"),
    [
        ("constant", "grid-constant", cv2.BORDER_CONSTANT),
        ("reflect", "grid-mirror", cv2.BORDER_REFLECT),
    ],
)
def test_warp_is_scipys_affine_transform_and_opencvs(images, fill, mode, border):
    matrices = np.array([[1, 0, 2], [0, 1, -1]]) + np.random.default_rng(2).uniform(
        -0.3, 0.3, (5, 2, 3)
    )
    warped = augmentation.warp(images, matrices.reshape(5, 6).astype(np.float32), fill=fill)
    for before, matrix, after in zip(images[..., 0], matrices, warped[..., 0], strict=True):
        rows_first = matrix[::-1][:, [1, 0, 2]]  # x, y -> row, column
        expected = scipy.ndimage.affine_transform(
            before, rows_first[:, :2], rows_first[:, 2], order=1, mode=mode
        )
        np.testing.assert_allclose(after, expected, atol=2e-5)
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        theirs = cv2.warpAffine(before, matrix, (WIDTH, HEIGHT), flags=how, borderMode=border)
        np.testing.assert_allclose(after, theirs, atol=0.05)  # it counts in 32nds of a pixel


def test_fill_is_taken_from_the_flag_and_needs_geometry(images):
    """A white image stays white where its border is mirrored; other draws do not change."""
    white = np.ones_like(images)
    mirrored = make_layer("rotate:90,translate:0.3,fill:reflect")(white, training=True)
    np.testing.assert_allclose(mirrored, 1, atol=1e-6)
    assert (make_layer("rotate:90,translate:0.3")(white, training=True).numpy() == 0).any()
    with pytest.raises(CallerError, match=r"fill is about what rotate, translate, scale, shear"):
        TrainingConfig(augment="flip,fill:reflect")


def test_the_preset_of_petrini_goes_as_far_as_published(images):
    """Shear of 12 degrees moves a row by this much of its distance."""
    found = {str(one) for one in augmentation_spec.parse("petrini")}
    assert found == {
        "flip:both",
        "rotate:25",
        "scale:0.2",
        f"shear:{np.tan(np.deg2rad(12)):.4f}",
        "brightness:0.2",
        "fill:reflect",
    }
    assert make_layer("petrini")(images, training=True).shape == images.shape


def as_skimage(degrees, move, factor, shear) -> skimage.transform.AffineTransform:
    """The same change, composed of scikit-image's own transforms."""
    to_centre = skimage.transform.AffineTransform(translation=(-(WIDTH - 1) / 2, -(HEIGHT - 1) / 2))
    sheared = skimage.transform.AffineTransform(np.array([[1, shear, 0], [0, 1, 0], [0, 0, 1]]))
    # its y points down, so that its rotations are clockwise to the eye
    turned = skimage.transform.SimilarityTransform(rotation=-np.deg2rad(degrees), scale=factor)
    back = skimage.transform.AffineTransform(
        translation=((WIDTH - 1) / 2 + move[0] * WIDTH, (HEIGHT - 1) / 2 + move[1] * HEIGHT)
    )
    return to_centre + sheared + turned + back


def test_geometry_is_scikit_images(images):
    generator = np.random.default_rng(3)
    drawn = {
        "degrees": generator.uniform(-180, 180, 5),
        "moves": generator.uniform(-0.3, 0.3, (5, 2)),
        "factors": generator.uniform(0.6, 1.7, 5),
        "shears": generator.uniform(-0.5, 0.5, 5),
    }
    matrices = augmentation.make_matrices(
        **{name: tf.constant(values, tf.float32) for name, values in drawn.items()}, images=images
    )
    warped = augmentation.warp(images, matrices)
    for number, after in enumerate(warped[..., 0]):
        transform = as_skimage(*(values[number] for values in drawn.values()))
        expected = skimage.transform.warp(images[number, ..., 0], transform.inverse, order=1)
        np.testing.assert_allclose(after, expected, atol=1e-4)


def test_a_turn_of_90_degrees_by_warp_is_counterclockwise(squares):
    count = len(squares)
    matrices = augmentation.make_matrices(
        degrees=tf.fill([count], 90.0),
        moves=tf.zeros([count, 2]),
        factors=tf.ones([count]),
        shears=tf.zeros([count]),
        images=squares,
    )
    np.testing.assert_allclose(
        augmentation.warp(squares, matrices), np.rot90(squares, axes=(1, 2)), atol=1e-5
    )


def test_brightness_and_contrast(images):
    amounts = np.array([-0.2, 0.1, 0, 0.5, -1], np.float32)
    np.testing.assert_allclose(
        augmentation.brighten(images, amounts), images + amounts[:, None, None, None], atol=1e-6
    )
    for before, amount, after in zip(
        images, amounts, augmentation.stretch(images, 1 + amounts), strict=True
    ):
        np.testing.assert_allclose(
            after, before.mean() + (before - before.mean()) * (1 + amount), atol=1e-6
        )


def test_noise_is_gaussian_of_the_variance_asked_for():
    grey = np.full((2, 200, 150, 1), 0.5, np.float32)
    noise = make_layer("noise:0.0025")(grey, training=True).numpy() - 0.5
    assert scipy.stats.kstest(noise.ravel()[::7], "norm", args=(0, 0.05)).pvalue > 0.01
    assert noise.var() == pytest.approx(0.0025, rel=0.02)
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.02


@pytest.mark.parametrize("side", [(HEIGHT, WIDTH), (11, 11)], ids=["oblong", "square"])
@pytest.mark.parametrize("changes", ["rotate90", "flip", "flip:vertical", "flip:both"])
def test_each_outcome_is_drawn_as_often(changes, side):
    image = np.random.default_rng(4).random((1, *side, 1), dtype=np.float32)
    outcomes = {
        "rotate90": [np.rot90(image[0], k) for k in ((0, 2) if side[0] != side[1] else range(4))],
        "flip": [image[0], np.fliplr(image[0])],
        "flip:vertical": [image[0], np.flipud(image[0])],
        "flip:both": [image[0], np.fliplr(image[0]), np.flipud(image[0]), np.rot90(image[0], 2)],
    }[changes]
    changed = make_layer(changes)(np.repeat(image, 400, axis=0), training=True).numpy()
    seen = [sum(np.array_equal(one, outcome) for one in changed) for outcome in outcomes]
    assert sum(seen) == 400  # and nothing else
    assert scipy.stats.chisquare(seen).pvalue > 0.001


@pytest.mark.parametrize(
    ("changes", "low", "high"),
    [("brightness:0.2", -0.2, 0.2), ("brightness:0.05", -0.05, 0.05)],
)
def test_amounts_are_drawn_evenly_within_their_range(changes, low, high):
    grey = np.full((500, 2, 3, 1), 0.5, np.float32)
    added = make_layer(changes)(grey, training=True).numpy()[:, 0, 0, 0] - 0.5
    assert scipy.stats.kstest(added, "uniform", args=(low, high - low)).pvalue > 0.01


@pytest.mark.parametrize(
    "changes",
    ["rotate:20", "translate:0.2", "scale:0.3", "shear:0.3", "contrast:0.5", "noise", "paper"],
)
def test_each_change_changes_every_image_by_itself_and_only_in_training(images, changes):
    same = np.repeat(images[:1], 6, axis=0)
    layer = make_layer(changes)
    np.testing.assert_array_equal(layer(same), same)
    np.testing.assert_array_equal(layer(same, training=False), same)
    changed = layer(same, training=True).numpy()
    assert changed.shape == same.shape
    assert len({one.tobytes() for one in changed}) == 6
    assert (changed >= 0).all()
    assert (changed <= 1).all()


def test_translation_moves_by_whole_fractions_of_each_side(images):
    """Drawn amounts stay within the share asked for, for rows and columns apart."""
    points = np.zeros((64, 101, 51, 1), np.float32)
    points[:, 50, 25] = 1
    moved = make_layer("translate:0.1")(points, training=True).numpy()[..., 0]
    rows, columns = np.indices(moved.shape[1:])
    down = (moved * rows).sum((1, 2)) - 50
    right = (moved * columns).sum((1, 2)) - 25
    assert 9 < abs(down).max() <= 10.1
    assert 4.5 < abs(right).max() <= 5.1
    assert abs(np.corrcoef(down, right)[0, 1]) < 0.4


EVERYTHING = "flip:both,rotate90,rotate,translate,scale,shear,brightness,contrast,noise"


def test_what_is_drawn_depends_on_seed_epoch_and_step_alone(images):
    def run(seed: int, epoch: int, steps: int, warm_up: int = 0) -> np.ndarray:
        model = keras.Sequential([keras.Input((HEIGHT, WIDTH, 1)), make_layer(EVERYTHING, seed=0)])
        for _ in range(warm_up):
            model(images, training=True)
        reseed = checkpoints.Reseed(seed)
        reseed.set_model(model)
        reseed.on_epoch_begin(epoch)
        return np.stack([model(images, training=True) for _ in range(steps)])

    first = run(1, 3, 2)
    np.testing.assert_array_equal(first, run(1, 3, 2, warm_up=2))
    assert (first[0] != first[1]).any()
    assert (first != run(1, 4, 2)).any()
    assert (first != run(2, 3, 2)).any()


def test_draws_of_one_change_do_not_depend_on_the_others(images):
    alone = make_layer("brightness:0.001")(images * 0.5 + 0.25, training=True)
    both = make_layer("brightness:0.001,flip")(images * 0.5 + 0.25, training=True)
    np.testing.assert_allclose(
        tf.reduce_mean(alone, [1, 2, 3]), tf.reduce_mean(both, [1, 2, 3]), atol=1e-6
    )


def test_a_graph_draws_what_eager_code_draws(images):
    eager, traced = make_layer(EVERYTHING), make_layer(EVERYTHING)
    inside = tf.data.Dataset.from_tensors(images).map(lambda batch: traced(batch, training=True))
    np.testing.assert_allclose(next(iter(inside)), eager(images, training=True), atol=1e-5)


CONFIG = TrainingConfig(alpha=0.35, weights="random", augment=EVERYTHING)
SIZE = ImageSize(64, 48)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return network.build(CONFIG, SIZE)[0]


def test_the_network_kept_is_the_one_trained_without_the_layer(model, tmp_path):
    pixels = np.random.default_rng(5).integers(0, 65536, (3, 64, 48, 1), dtype=np.uint16)
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    kept = augmentation.without(model)
    assert [layer.name for layer in model.layers if layer not in kept.layers[1:]][1:] == [
        augmentation.LAYER
    ]
    kept.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert augmentation.LAYER not in [layer.name for layer in loaded.layers]
    assert loaded.loss == "binary_crossentropy"
    np.testing.assert_allclose(
        loaded.predict(pixels, verbose=0), model.predict(pixels, verbose=0), atol=1e-6
    )
    assert model.get_layer(augmentation.LAYER)  # training may go on


def test_a_network_without_augmentation_is_kept_as_it_is():
    plain = network.build(TrainingConfig(alpha=0.35, weights="random"), SIZE)[0]
    assert augmentation.without(plain) is plain


def test_weights_saved_under_training_are_loaded_again(model, tmp_path):
    model.save_weights(tmp_path / "model.weights.h5")
    other = network.build(CONFIG, SIZE)[0]
    other.load_weights(tmp_path / "model.weights.h5")
    for ours, theirs in zip(model.weights, other.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_layer_can_be_saved_and_made_anew(images):
    layer = make_layer("flip,noise:0.02")
    again = augmentation.Augmentation.from_config(layer.get_config())
    np.testing.assert_array_equal(layer(images, training=True), again(images, training=True))


def test_xla_compiles_all_but_geometry(squares):
    """It draws other numbers, the same ones each time."""

    def change() -> np.ndarray:
        layer = make_layer("flip,rotate90,brightness,contrast,noise")
        assert layer.supports_jit
        return tf.function(layer, jit_compile=True)(squares, training=True).numpy()

    first = change()
    np.testing.assert_array_equal(change(), first)
    assert (first != squares).mean() > 0.9
    assert not make_layer("paper").supports_jit


def test_half_precision(images):
    layer = make_layer(EVERYTHING)
    assert layer(tf.cast(images, tf.bfloat16), training=True).dtype == tf.float32


def test_an_interrupted_run_sees_the_images_it_would_have_seen(records_dir, tmp_path, monkeypatch):
    def run(name: str) -> list[np.ndarray]:
        train.train(
            TrainingConfig(
                dataset_dir=str(records_dir),
                run_dir=str(tmp_path / name),
                **make.TINY,
                augment="paper",
                phase1_epochs=3,
                phase2_epochs=0,
                deterministic=True,
            )
        )
        return keras.models.load_model(tmp_path / name / "model.keras").get_weights()

    whole = run("whole")
    saved = checkpoints.Checkpoint.on_epoch_end

    def stopping(self, epoch, logs=None):
        saved(self, epoch, logs)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints.Checkpoint, "on_epoch_end", stopping)
        with pytest.raises(KeyboardInterrupt):
            run("resumed")
    for once, twice in zip(whole, run("resumed"), strict=True):
        np.testing.assert_array_equal(once, twice)


REPLICAS = """
    import numpy as np, tensorflow as tf
    cpus = tf.config.list_physical_devices("CPU")
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpus[0], two)
    from trainer.model import augmentation
    devices = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with devices.scope():
        layer = augmentation.Augmentation("brightness:0.2", 7)
        layer.build((None, 2, 3, 1))
    grey = tf.fill([4, 2, 3, 1], 0.5)
    step = tf.function(lambda: devices.run(lambda: layer(grey, training=True)))
    for _ in range(2):
        first, second = (part.numpy()[:, 0, 0, 0] for part in step().values)
        print(len({*first, *second}))
"""


@pytest.mark.slow
def test_each_replica_draws_for_its_own_images():
    child = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(REPLICAS)],
        check=True,
        capture_output=True,
        text=True,
    )
    assert child.stdout.split() == ["8", "8"]
