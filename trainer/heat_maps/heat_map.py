"""Saliency: network and images -> class activation maps (Grad-CAM, HiResCAM).

mapper = HeatMapper(model, "binary", method="gradcam")
heat = mapper.draw(images)

Grad-CAM: Selvaraju et al., Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization, ICCV 2017. HiResCAM: Draelos and Carin, Use HiResCAM instead of Grad-CAM for faithful
explanations of convolutional neural networks, arXiv 2011.08891, 2020.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from trainer.model import network_input, side_inputs
from trainer.model.network import AFTER, BASE_LAYER

Heat = NDArray[np.float32]

_STAGES = {"gradcam": 1, "hirescam": 2}
METHODS = tuple(_STAGES)
# A map below this fraction of what was summed is rounding of sums that cancel out, not evidence
_ROUNDING = 1e-6
_SLOPES = 1024.0  # slopes of float16 networks would fall to 0 otherwise; maps are scaled anyway
_IMAGES_PIXELS = 2**21  # pixels of the images looked at together
# These copy or blur what stands before them
_NO_STAGE = (
    keras.layers.ZeroPadding2D,
    keras.layers.Cropping2D,
    keras.layers.MaxPooling2D,
    keras.layers.AveragePooling2D,
)


class HeatMapper:
    """Draws heat maps of one network.

    Explained is the logit of a class, the network's output before its sigmoid or softmax, so that
    a network that is sure has a gradient too.
    """

    def __init__(self, model: keras.Model, target_kind: str, *, method: str = "gradcam") -> None:
        """Takes the network apart: up to its base, the base and what follows, the last layer.

        Args:
            model: as `trainer.model.network.build` makes them and model.keras holds them.
            target_kind: binary, classes or ordinal.
            method: one of METHODS.
        """
        assert method in METHODS, method
        self._kind = target_kind
        self._method = method
        layers = model.layers
        place = [layer.name for layer in layers].index(BASE_LAYER)
        base, self._last = layers[place], layers[-1]
        assert isinstance(self._last, keras.layers.Dense)
        self._front = keras.Model(network_input.images_of(model.input), layers[place - 1].output)
        values, outputs = base.output, [_output_of(layer) for layer in base.layers]
        several = network_input.is_several(model.input)
        vectors = side_inputs.vectors_of(model)
        outer = base._inbound_nodes[-1].output_tensors[0]
        for layer in layers[place + 1 : -1]:
            if several and not layer.name.startswith(AFTER):  # where views are joined
                break
            if side_inputs.is_side(layer):  # joined at a linear layer, it moves no map
                continue
            values, outer = layer(values, training=False), layer.output
            outputs.append(values if not isinstance(layer, _NO_STAGE) else None)
        stages = _last_of_each_size(outputs)[-_STAGES[method] :]
        inputs = [base.inputs[0]]
        if several:
            present = model.input[network_input.PRESENT]
            inputs.append(keras.Input(present.shape[1:], dtype=present.dtype, name=present.name))
            values = keras.Model([outer, present], vectors)([values, inputs[1]])
        self._rest = keras.Model(inputs, [*stages, values])

    def draw(self, batch: Any, labels: Sequence[int] | None = None) -> Heat:
        """Draws what speaks for a class on each image.

        Args:
            batch: as the network takes it: pixels [images, (views,) height, width, 1] uint16.
            labels: the class explained, by image. None: `default_labels`.

        Returns:
            [images, (views,) height, width] float32: 1 where the evidence is strongest, 0 where
            there is none. All of a map is 0 if nothing on the image speaks for the class.
        """
        images, *views, height, width, _ = network_input.pixels_of(batch).shape
        count = math.prod(views)
        heat = np.zeros((images * count, height, width), np.float32)
        at_once = max(1, _IMAGES_PIXELS // (height * width * count))
        for start in range(0, images, at_once):
            part = slice(start, start + at_once)
            some = network_input.take(batch, part)
            maps = self._evidence(some, None if labels is None else labels[part])
            for image, of_stages in enumerate(zip(*maps, strict=True), start=start * count):
                heat[image] = _fuse(of_stages, (height, width))
        return heat.reshape(images, *views, height, width)

    def _evidence(self, batch: Any, labels: Sequence[int] | None) -> list[Heat]:
        """Returns the maps of each stage, [images, rows, columns], 0 or more, not yet scaled."""
        seen = self._front(network_input.images_of(batch), training=False)
        given = seen
        if network_input.is_several(batch):
            given = [seen, tf.constant(batch[network_input.PRESENT])]
        with tf.GradientTape() as tape:
            tape.watch(seen)  # a frozen base has no variable that is watched
            *stages, values = self._rest(given, training=False)
            kernel = self._last.kernel[: values.shape[-1]]
            logits = tf.cast(values, tf.float32) @ kernel + self._last.bias
            chosen = default_labels(logits.numpy(), self._kind) if labels is None else labels
            # a mean of views has a logit for each
            explained = [one for one in chosen for _ in range(len(logits) // len(chosen))]
            scores = _SLOPES * _scores(logits, self._kind, explained)
        gradients = tape.gradient(scores, stages)
        rules = {"gradcam": _grad_cam, "hirescam": _hi_res_cam}
        return [
            rules[self._method](np.asarray(values, np.float32), np.asarray(slopes, np.float32))
            for values, slopes in zip(stages, gradients, strict=True)
        ]


def can_draw(model: keras.Model) -> bool:
    """Whether there are heat maps of a network: a column for each view has none."""
    return len(model.get_layer(BASE_LAYER).inputs) == 1


def default_labels(outputs: NDArray[np.floating], kind: str) -> list[int]:
    """Chooses the class that is explained of each image where none is given.

    The second of two; of more, what the network calls the image; of grades the same, but the second
    where it calls the lowest. Not `called_class`, which takes probabilities: of a logit near 0 its
    sigmoid in float32 is 0.5, so that the two may differ, and no threshold applies here.

    Args:
        outputs: [images, outputs] of the network, logits or probabilities less 0.5.
        kind: of the target.
    """
    if kind == "classes":
        return outputs.argmax(axis=1).tolist()
    # as `outputs.ordinal_accuracy` scans the questions; a binary target has one
    called = np.cumprod(outputs > 0, axis=1).sum(axis=1)
    return np.maximum(called, 1).tolist()


def explained_label(called: int, kind: str) -> int:
    """Returns the class explained of an image that is called one, as `default_labels` does."""
    return called if kind == "classes" else max(called, 1)


def _scores(logits: tf.Tensor, kind: str, labels: Sequence[int]) -> tf.Tensor:
    """Takes the logit explained of each image, [images]."""
    explained = tf.constant(labels, tf.int64)
    if kind == "classes":
        return tf.gather(logits, explained, axis=1, batch_dims=1)
    # question k asks whether the label is above k: P(label > k), one question if binary
    above = tf.gather(logits, tf.maximum(explained - 1, 0), axis=1, batch_dims=1)
    return tf.where(explained > 0, above, -above)


def _grad_cam(values: Heat, slopes: Heat) -> Heat:
    """Weights each channel by its mean slope: Selvaraju et al. 2017, equations 1 and 2.

    Args:
        values: [images, rows, columns, channels], of a layer.
        slopes: the same, of the score by each value.

    Returns:
        [images, rows, columns], 0 or more.
    """
    return _positive(slopes.mean(axis=(1, 2), keepdims=True) * values)


def _hi_res_cam(values: Heat, slopes: Heat) -> Heat:
    """Weights each value by its own slope: Draelos and Carin 2020, section 3.

    So an earlier, finer layer, whose slopes differ from place to place, gives a map too.
    Arguments and result are those of `_grad_cam`.
    """
    return _positive(slopes * values)


def _positive(terms: Heat) -> Heat:
    """Sums over channels and keeps what is positive beyond rounding."""
    total = terms.sum(axis=3)
    size = np.abs(terms).sum(axis=3).max(axis=(1, 2), keepdims=True)
    return np.where(total > _ROUNDING * size, total, 0).astype(np.float32)


def _fuse(maps: Sequence[Heat], shape: tuple[int, int]) -> Heat:
    """Brings the maps of one image to its size and to 0..1, and averages them."""
    fused = np.zeros(shape, np.float32)
    for stage in maps:
        if stage.max() > 0:
            fused += cv2.resize(stage / stage.max(), shape[::-1], interpolation=cv2.INTER_LINEAR)
    return fused / fused.max() if fused.max() > 0 else fused


def _output_of(layer: keras.layers.Layer) -> keras.KerasTensor | None:
    """Returns what a layer makes of images, None if it makes nothing of its own."""
    return None if isinstance(layer, (*_NO_STAGE, keras.layers.InputLayer)) else layer.output


def _last_of_each_size(outputs: Sequence[keras.KerasTensor | None]) -> list[keras.KerasTensor]:
    """Keeps the last picture of each height and width, in order.

    What is smaller than the very last (squeeze and excitation makes 1x1) is no stage.
    """
    pictures = [values for values in outputs if values is not None and len(values.shape) == 4]
    last: dict[tuple[int, int], keras.KerasTensor] = {}
    for values in pictures:
        size = values.shape[1:3]
        if size[0] >= pictures[-1].shape[1] and size[1] >= pictures[-1].shape[2]:
            last.pop(size, None)
            last[size] = values
    return list(last.values())
