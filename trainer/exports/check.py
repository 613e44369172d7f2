"""Exported model and model.keras on the same images -> largest difference of probabilities.

reference = open_reference(run_dir)
differences = check(predict, reference, what="model.onnx")
"""

from __future__ import annotations

import dataclasses
import pathlib
import statistics
import time

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from records.errors import CallerError
from records.image_size import ImageSize
from records.schema import FULL_SCALE
from trainer.data import dataset, input_pipeline
from trainer.exports.export_json import Checked, CheckedOn
from trainer.exports.formats import Floats, Pixels, Predict
from trainer.model import own_backbone

TOLERANCE = 1e-4
"""Largest difference of a probability that is allowed."""
IMAGES = 16
_TOGETHER = 3


@dataclasses.dataclass(frozen=True, eq=False)
class Reference:
    """Images and the outputs of model.keras that an exported model is compared with.

    Attributes:
        model: the network of model.keras.
        images: [images, height, width, 1] uint16.
        source: which images these are.
        expected: the network's outputs, [images, outputs].
        milliseconds: it takes for an image alone.
    """

    model: keras.Model
    images: Pixels
    source: str
    expected: Floats
    milliseconds: float


def open_reference(run_dir: pathlib.Path, network: pathlib.Path) -> Reference:
    """Loads a model and predicts images that the scores of a run were measured on.

    Where the records are gone, or are others now, images are made up, and `source` names them so.
    """
    model = own_backbone.load_network(network)
    try:
        images, source = _evaluated_images(run_dir)
    except (CallerError, OSError, tf.errors.OpError) as error:
        _, height, width, _ = model.input_shape
        images = make_up_images(ImageSize(height, width))
        # the reason is logged here alone: paths of this machine have no place in what is passed on
        logging.warning("%s: its images can't be read: %s", run_dir, error)
        source = "made-up images, because the run's could not be read"
    expected, milliseconds = _predict_one_by_one(model.predict_on_batch, images)
    return Reference(model, images, source, expected, milliseconds)


def check(predict: Predict, reference: Reference, *, what: str) -> Checked:
    """Compares an exported model with its reference, and measures its time.

    Raises:
        CallerError: it gives other probabilities, or none.
    """
    images = reference.images
    outputs, milliseconds = _predict_one_by_one(predict, images)
    together = predict(images[:_TOGETHER])
    differences = (outputs - reference.expected, together - reference.expected[:_TOGETHER])
    largest = float(np.max([np.abs(difference).max() for difference in differences]))
    if not largest <= TOLERANCE:  # NaN is not
        raise CallerError(
            f"{what} gives other probabilities than model.keras, by up to {largest:.2g} where "
            f"{TOLERANCE:g} is allowed ({len(images)} {reference.source}), so it was not kept; "
            "leave this format out of --formats"
        )
    on = CheckedOn(len(images), reference.source, round(reference.milliseconds, 3))
    return Checked(
        largest_difference=largest, milliseconds_a_image=round(milliseconds, 3), checked_on=on
    )


def make_up_images(size: ImageSize) -> Pixels:
    """Makes a black image, a white one and some with a breast of noise, the same each time.

    Returns:
        [images, height, width, 1] uint16.
    """
    draw = np.random.default_rng(0)
    rows, columns = np.mgrid[: size.height, : size.width]
    images = [np.zeros((size.height, size.width)), np.full((size.height, size.width), FULL_SCALE)]
    for width in np.linspace(0.3, 0.9, 4):
        middle, half = 0.5 * size.height, 0.45 * size.height
        breast = ((rows - middle) / half) ** 2 + (columns / (width * size.width)) ** 2 < 1
        noise = draw.uniform(0.2, 1, breast.shape)
        images.append(FULL_SCALE * breast * noise)
    return np.stack(images)[..., np.newaxis].astype(np.uint16)


def _evaluated_images(run_dir: pathlib.Path) -> tuple[Pixels, str]:
    """Reads the first images of the evaluated split, as the network was evaluated on them."""
    _, data = dataset.open_again(run_dir)
    assert data.test is not None
    batches = input_pipeline.evaluation_batches(
        data.test, data.target, data.records.size, batch_size=1
    )
    images = np.concatenate([batch.numpy() for batch, _ in batches.take(IMAGES)])
    return images, f"{data.test.name} images of the run"


def _predict_one_by_one(predict: Predict, images: Pixels) -> tuple[Floats, float]:
    """Returns the outputs, [images, outputs], and the median of milliseconds an image takes."""
    predict(images[:1])  # the first call prepares much
    outputs, seconds = [], []
    for image in images[:, np.newaxis]:
        start = time.perf_counter()
        outputs.append(predict(image))
        seconds.append(time.perf_counter() - start)
    return np.concatenate(outputs), 1000 * statistics.median(seconds)
