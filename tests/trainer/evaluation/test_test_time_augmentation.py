"""Views of an image against NumPy's turns and flips, and their average against the mean by hand."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest
import scipy.ndimage

from flags import targets
from records.image_size import ImageSize
from trainer.evaluation import test_time_augmentation as tta
from trainer.model import losses

SQUARE, TALL = ImageSize(8, 8), ImageSize(8, 6)


def seen(name: str, size: ImageSize) -> tuple[np.ndarray, list[np.ndarray]]:
    images = np.random.default_rng(0).random((5, size.height, size.width, 1), np.float32)
    return images, [np.asarray(view(images)) for view in tta.views(name, size)]


@pytest.mark.parametrize("size", [SQUARE, TALL], ids=str)
def test_one_view_is_the_image_and_a_flip_mirrors_it(size):
    images, views = seen("none", size)
    assert [np.array_equal(view, images) for view in views] == [True]
    images, (itself, mirrored) = seen("flip", size)
    assert np.array_equal(itself, images)
    assert np.array_equal(mirrored, np.stack([np.fliplr(image) for image in images]))


@pytest.mark.parametrize(("size", "turns"), [(SQUARE, range(4)), (TALL, (0, 2))], ids=str)
def test_dihedral_views_are_all_turns_of_the_image_and_of_its_mirror_image(size, turns):
    images, views = seen("dihedral", size)
    wanted = {
        np.stack([np.rot90(image, turn) for image in side]).tobytes()
        for side in (images, images[:, :, ::-1])
        for turn in turns
    }
    assert len(views) == len(wanted) == 2 * len(turns)
    assert {view.tobytes() for view in views} == wanted
    assert np.array_equal(views[0], images)


@pytest.mark.parametrize(("size", "down", "right"), [((80, 120), 2, 3), ((30, 10), 1, 1)])
def test_translated_views_are_scipys_shifts_with_a_mirrored_border(size, down, right):
    """Nine moves by a fortieth of each side, whole pixels, the image itself first."""
    images = np.random.default_rng(2).integers(0, 65536, (3, *size, 1), dtype=np.uint16)
    views = [np.asarray(view(images)) for view in tta.views("translate", ImageSize(*size))]
    wanted = {
        scipy.ndimage.shift(images, (0, y, x, 0), order=0, mode="reflect").tobytes()
        for y in (-down, 0, down)
        for x in (-right, 0, right)
    }
    assert len(views) == len(wanted) == 9
    assert {view.tobytes() for view in views} == wanted
    assert np.array_equal(views[0], images)
    assert {view.dtype for view in views} == {np.dtype(np.uint16)}


@pytest.mark.parametrize("kind", ["binary", "classes", "ordinal"])
@pytest.mark.parametrize("size", [SQUARE, TALL], ids=str)
def test_probabilities_are_averaged_over_the_views(kind, size):
    """Three questions of an ordinal network are made consistent before they are averaged."""
    count = {"binary": 1, "classes": 4, "ordinal": 3}[kind]
    last = "softmax" if kind == "classes" else "sigmoid"
    model = keras.Sequential(
        [
            keras.Input((size.height, size.width, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(
                count, last, kernel_initializer=keras.initializers.RandomNormal(0, 2, seed=1)
            ),
        ]
    )
    images = np.random.default_rng(1).random((7, size.height, size.width, 1), np.float32)
    names = ("no", "yes") if kind == "binary" else tuple("ABCD")
    target = dataclasses.replace(targets.TARGETS["density"], names=names, kind=kind)
    views = tta.views("dihedral", size)
    batches = [images[:3], images[3:6], images[6:]]
    found = tta.average([tta.predict(model, batch, views) for batch in batches], target)
    sides = (images, images[:, :, ::-1])
    turns = range(4) if size == SQUARE else (0, 2)
    each = [
        losses.class_probabilities(model.predict(np.rot90(side, turn, (1, 2)), verbose=0), target)
        for side in sides
        for turn in turns
    ]
    assert found == pytest.approx(np.mean(each, axis=0), abs=1e-6)
    assert found.sum(axis=1) == pytest.approx(np.ones(7))
    assert np.abs(found - each[0]).max() > 0.01  # the views do differ
