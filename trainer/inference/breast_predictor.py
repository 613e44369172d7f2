"""Input images -> breasts, each predicted once from all of its views.

for predicted in predict_breasts(predictor, images):   # one an image, with the answer of its breast
    ...
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from beam_jobs.imaging.image_kind import find_special
from beam_jobs.imaging.unusable import UnusableImage
from trainer.inference.image_prediction import ImagePrediction
from trainer.inference.inputs import InputImage
from trainer.inference.predictor import STATE, Predictor, Prepared, ahead
from trainer.model import network_input

Key = tuple[int | None, str, int]
"""Examination, side, and the number of an image that stands alone."""
_ANOTHER_TAKEN = "another image of its view was taken for the answer of the breast"


def predict_breasts(
    predictor: Predictor, images: Sequence[InputImage]
) -> Iterator[ImagePrediction]:
    """Predicts breast after breast, and yields what came of each image.

    Of several images of one view one is taken, a standard view rather than a special one.

    Args:
        predictor: of a run of breasts.
        images: as `inputs.find` lists them; those of one examination and side are a breast, one
            whose examination is not known is a breast of its own.
    """
    numbers = itertools.count(1)
    for _, group in itertools.groupby(_ahead(predictor, images), lambda pair: pair[0]):
        yield from _predict(predictor, [(one, next(numbers)) for _, one in group])


def _ahead(predictor: Predictor, images: Sequence[InputImage]) -> Iterator[tuple[Key, Prepared]]:
    """Prepares images ahead of the network, those of a breast one after the other."""
    keys = [_key(predictor, given, number) for number, given in enumerate(images)]
    first = {key: number for number, key in reversed([*enumerate(keys)])}
    order = sorted(range(len(images)), key=lambda number: first[keys[number]])
    prepared = ahead(predictor.prepare, [images[number] for number in order])
    return zip([keys[number] for number in order], prepared, strict=True)


def _key(predictor: Predictor, given: InputImage, number: int) -> Key:
    """Names the breast an image shows: examination and side, else the image itself."""
    try:
        place = predictor.find_place(given)
    except UnusableImage:  # named when it is its turn
        return None, "", number
    known = place.exam is not None and place.side
    return (place.exam, place.side, 0) if known else (None, "", number)


def _predict(
    predictor: Predictor, breast: Sequence[tuple[Prepared, int]]
) -> Iterable[ImagePrediction]:
    """Predicts the images of one breast together."""
    found = [predictor.examine(one, number) for one, number in breast]
    taken = _choose(found, predictor.views)
    for index, one in enumerate(found):
        if one.error or one.copy_of or index in taken.values():
            continue
        other = f"view {one.view} is none of {', '.join(predictor.views)}"
        if one.view and taken:
            unused = _ANOTHER_TAKEN if one.view in taken else other
            found[index] = dataclasses.replace(one, unused=unused)
        else:
            error = f"{other}; --images can state another"
            unknown = f"its view is not known; {STATE}"
            found[index] = dataclasses.replace(one, error=error if one.view else unknown)
    if not taken:
        return found
    images = {view: breast[index][0].image for view, index in taken.items()}
    pixels = {view: image.record[..., 0] for view, image in images.items() if image}
    absent = tuple(view for view in predictor.views if view not in taken)
    nothing = np.zeros_like(next(iter(pixels.values())))
    record = network_input.make(
        np.stack([pixels.get(view, nothing) for view in predictor.views]),
        np.array([view in pixels for view in predictor.views]),
    )
    answered = predictor.answer(
        record,
        [
            (dataclasses.replace(found[index], absent=absent), *breast[index])
            for index in taken.values()
        ],
    )
    for index, one in zip(taken.values(), answered, strict=True):
        found[index] = one
    return found


def _choose(found: Sequence[ImagePrediction], views: Sequence[str]) -> dict[str, int]:
    """Takes an image of each view, by its place: a standard one, else a special or raw one."""
    fit = [i for i, one in enumerate(found) if one.view in views and not (one.error or one.copy_of)]
    special = find_special([(found[i].view, found[i].kind, found[i].intent) for i in fit])
    taken: dict[str, int] = {}
    for index, _ in sorted(zip(fit, special, strict=True), key=lambda pair: bool(pair[1])):
        taken.setdefault(found[index].view, index)
    return taken
