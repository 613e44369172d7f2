"""Random changes of images while they train, made on the device as part of the network.

`layers(config)` stands between the scaling to [0, 1] and the base; `without(model)` takes it out of
the network that is kept. What is drawn is a function of the seed, the epoch (checkpoints.Reseed
sets the layer's state at its start), the step and the replica, so a run resumed sees the images it
would have seen.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf

from flags import augmentation_spec
from flags.spec import Value
from flags.training_config import TrainingConfig
from trainer.model import network_input
from trainer.model.auxiliary import Auxiliary

LAYER = "augmentation"


def layers(config: TrainingConfig) -> list[keras.layers.Layer]:
    """Makes the layers that --augment asks for: one, or none."""
    if not augmentation_spec.parse(config.augment):
        return []
    return [Augmentation(config.augment, seed=config.seed, name=LAYER)]


def without(model: keras.Model) -> keras.Model:
    """Returns the network to keep: the same layers and weights, without those of training alone."""
    if not any(isinstance(layer, Augmentation | Auxiliary) for layer in model.layers):
        return model

    def call(layer: keras.layers.Layer, *args: Any, **options: Any) -> Any:
        if isinstance(layer, Augmentation | Auxiliary):
            return args[0][0] if isinstance(layer, Auxiliary) else args[0]
        return layer(*args, **options)

    kept = keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)
    if any(isinstance(layer, Auxiliary) for layer in model.layers):
        inputs = {n: i for n, i in kept.input.items() if not n.startswith(network_input.ALSO)}
        alone = inputs[network_input.PIXELS] if len(inputs) == 1 else inputs
        kept = keras.Model(alone, kept.output, name=model.name)
    if model.compiled:
        kept.compile_from_config(model.get_compile_config())
    return kept


@keras.saving.register_keras_serializable(package="mammograms")
class Augmentation(keras.layers.Layer):
    """Changes images at random in training, and leaves them alone otherwise.

    [batch, height, width, channels] floats in [0, 1] -> the same. Each image is changed by itself.

    Args:
        changes: value of --augment.
        seed: seed of the layer's state until `checkpoints.Reseed` sets it.
        **options: those of Keras's layers.
    """

    def __init__(self, changes: str, seed: int, **options: Any) -> None:
        # float32 under mixed precision too: bfloat16 holds grey levels to 1/256 only
        super().__init__(**{"dtype": "float32", **options})
        self._text, self._seed = changes, seed
        self._amounts = {
            one.name: augmentation_spec.amount(one) for one in augmentation_spec.parse(changes)
        }
        self._fill = "reflect" if "fill" in self._amounts else "constant"
        self._generator = keras.random.SeedGenerator(seed)
        # XLA has no kernel of ImageProjectiveTransformV3 (TensorFlow 2.17)
        self.supports_jit = not self._amounts.keys() & set(augmentation_spec.GEOMETRY)

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Draws and makes the changes."""
        if not training:
            return images
        seed, amounts = self._draw_seed(), self._amounts
        if "flip" in amounts:
            images = _flip_some(images, seed, ways=str(amounts["flip"]))
        if "rotate90" in amounts:
            images = _turn_some(images, seed)
        warps = {k: float(amounts[k]) for k in augmentation_spec.GEOMETRY if k in amounts}
        if warps:
            images = warp(images, draw_matrices(seed, images, warps), fill=self._fill)
        if "brightness" in amounts:
            images = brighten(images, _draw(seed, "brightness", images, amounts["brightness"]))
        if "contrast" in amounts:
            images = stretch(images, 1 + _draw(seed, "contrast", images, amounts["contrast"]))
        if "noise" in amounts:
            noise = tf.random.stateless_normal(tf.shape(images), _fold(seed, "noise"))
            images += math.sqrt(float(amounts["noise"])) * noise
        return tf.clip_by_value(images, 0.0, 1.0)  # what a record can hold

    def get_config(self) -> dict[str, Any]:
        """Returns what makes the layer anew."""
        return {**super().get_config(), "changes": self._text, "seed": self._seed}

    def _draw_seed(self) -> tf.Tensor:
        """Moves the layer's state on a step; each replica draws for its fraction of the batch."""
        seed = self._generator.next()
        context = tf.distribute.get_replica_context()
        replica = context.replica_id_in_sync_group if context else 0
        return tf.random.experimental.stateless_fold_in(seed, replica)


def flip(images: tf.Tensor, chosen: tf.Tensor, *, axis: int) -> tf.Tensor:
    """Mirrors the chosen images ([batch] bool) along an axis: 1 upside down, 2 left to right."""
    return tf.where(_column(chosen), tf.reverse(images, [axis]), images)


def turn(images: tf.Tensor, quarters: tf.Tensor) -> tf.Tensor:
    """Turns images by so many quarters ([batch] int, 0..3) counterclockwise.

    A quarter is a transposition and a mirroring; images that are not square take 0 and 2 only.
    """
    if images.shape[1] == images.shape[2]:
        transposed = tf.transpose(images, [0, 2, 1, 3])
        images = tf.where(_column(quarters % 2 == 1), transposed, images)
    images = flip(images, (quarters == 1) | (quarters == 2), axis=1)
    return flip(images, quarters >= 2, axis=2)


def warp(images: tf.Tensor, matrices: tf.Tensor, *, fill: str = "constant") -> tf.Tensor:
    """Moves pixels, with straight lines between them.

    Args:
        images: [batch, height, width, channels].
        matrices: [batch, 6]; the pixel at (x, y) of the result is the one at
            (m0 x + m1 y + m2, m3 x + m4 y + m5) of the image, counted in columns and rows.
        fill: what comes in from outside: "constant", black, or "reflect", the image mirrored at
            the edge of its outermost pixels.
    """
    projective = tf.pad(matrices, [[0, 0], [0, 2]])
    return keras.ops.image.affine_transform(
        images, projective, fill_mode=fill, fill_value=0, data_format="channels_last"
    )


def brighten(images: tf.Tensor, offsets: tf.Tensor) -> tf.Tensor:
    """Adds an offset ([batch], fraction of full scale) to every pixel of an image."""
    return images + _column(offsets)


def stretch(images: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
    """Stretches the pixels of an image about their mean by a factor ([batch])."""
    means = tf.reduce_mean(images, axis=[1, 2, 3], keepdims=True)
    return means + (images - means) * _column(factors)


def make_matrices(
    *,
    degrees: tf.Tensor,
    moves: tf.Tensor,
    factors: tf.Tensor,
    shears: tf.Tensor,
    images: tf.Tensor,
) -> tf.Tensor:
    """Composes shear, rotation, magnification and translation, in this order, about the centre.

    All of them in one matrix: the image is interpolated once.

    Args:
        degrees: [batch], counterclockwise as one looks at the image.
        moves: [batch, 2], to the right and down, fractions of width and height.
        factors: [batch], above 1 magnifies.
        shears: [batch], pixels to the right a row moves for each row it is below the centre.
        images: what the matrices are for.

    Returns:
        [batch, 6] for `warp`.
    """
    size = tf.constant([images.shape[2], images.shape[1]], tf.float32)
    x, y = (size[0] - 1) / 2, (size[1] - 1) / 2
    angles = degrees * (math.pi / 180)
    cosine, sine = tf.cos(angles) / factors, tf.sin(angles) / factors
    # rotation and factor undone, then the shear
    a, b, c, d = cosine - shears * sine, -sine - shears * cosine, sine, cosine
    right, down = x + moves[:, 0] * size[0], y + moves[:, 1] * size[1]
    return tf.stack([a, b, x - a * right - b * down, c, d, y - c * right - d * down], axis=1)


def draw_matrices(seed: tf.Tensor, images: tf.Tensor, amounts: dict[str, float]) -> tf.Tensor:
    """Draws a matrix for each image; a change that is not among the amounts is not made."""
    drawn = {
        name: _draw(seed, name, images, amounts.get(name, 0.0))
        for name in augmentation_spec.GEOMETRY
    }
    sideways = _draw(seed, "translate", images, amounts.get("translate", 0.0), second=1)
    return make_matrices(
        degrees=drawn["rotate"],
        moves=tf.stack([sideways, drawn["translate"]], axis=1),
        factors=1 + drawn["scale"],
        shears=drawn["shear"],
        images=images,
    )


def _flip_some(images: tf.Tensor, seed: tf.Tensor, *, ways: str) -> tf.Tensor:
    for number, (way, axis) in enumerate((("horizontal", 2), ("vertical", 1))):
        if ways in (way, "both"):
            images = flip(images, _draw(seed, "flip", images, 1, second=number) > 0, axis=axis)
    return images


def _turn_some(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    quarters = tf.random.stateless_uniform(
        tf.shape(images)[:1], _fold(seed, "rotate90"), 0, 4, tf.int32
    )
    square = images.shape[1] == images.shape[2]
    return turn(images, quarters if square else quarters // 2 * 2)


def _draw(
    seed: tf.Tensor, name: str, images: tf.Tensor, amount: Value, *, second: int = 0
) -> tf.Tensor:
    """Draws a number from -amount to amount for each image."""
    shape, limit = tf.shape(images)[:1], float(amount)
    return tf.random.stateless_uniform(shape, _fold(seed, name, second), -limit, limit)


def _fold(seed: tf.Tensor, name: str, second: int = 0) -> tf.Tensor:
    """Gives each change random numbers of its own, whatever other changes there are."""
    number = 2 * list(augmentation_spec.CHANGES).index(name) + second
    return tf.random.experimental.stateless_fold_in(seed, number)


def _column(values: tf.Tensor) -> tf.Tensor:
    """[batch] -> [batch, 1, 1, 1]."""
    return values[:, tf.newaxis, tf.newaxis, tf.newaxis]
