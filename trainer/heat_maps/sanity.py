"""Sanity check: heat maps of the trained and of randomised networks -> rank correlations.

Adebayo et al., Sanity checks for saliency maps, NeurIPS 2018, section 3: weights are randomised
from the output down, and each step's maps are compared with those of the trained network by rank
correlation. Maps that stay the same show edges of the image, not what the network knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from scipy import stats

from trainer.heat_maps.heat_map import Heat, HeatMapper
from trainer.model.network import BASE_LAYER

_PARTS = 4  # of the base, randomised one after the other
_SEED = 0


def check(
    model: keras.Model,
    kind: str,
    images: NDArray[np.uint16],
    *,
    method: str,
    report: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Randomises a network step by step and compares its maps; its weights are restored.

    The class explained is that of the trained network throughout. Weights are permuted within
    each array, so that a step changes what was learned and not how large values are.

    Args:
        model: the trained network.
        kind: of its target.
        images: [images, height, width, 1] uint16.
        method: one of `heat_map.METHODS`.
        report: called with (steps done, steps in all).

    Returns:
        content of sanity.json: for each step the mean of Spearman's rank correlation, and of how
        many images; images where one of the two maps has no evidence have none.
    """
    trained = HeatMapper(model, kind, method=method)
    before = trained.draw(images)
    kept = model.get_weights()
    generator = np.random.default_rng(_SEED)
    steps = list(_steps(model))
    described = []
    try:
        for done, (name, layers) in enumerate(steps, start=1):
            for layer in layers:
                for weight in layer.weights:
                    values = keras.ops.convert_to_numpy(weight)
                    weight.assign(generator.permutation(values.ravel()).reshape(values.shape))
            described.append({"randomised": name, **compare(before, trained.draw(images))})
            if report:
                report(done, len(steps))
    finally:
        model.set_weights(kept)
    return {"method": method, "images": len(images), "steps": described}


def compare(before: Heat, after: Heat) -> dict[str, Any]:
    """Means the rank correlation of maps [images, height, width] over images that have both."""
    both = [(a, b) for a, b in zip(before, after, strict=True) if np.ptp(a) > 0 and np.ptp(b) > 0]
    if not both:
        return {
            "rank_correlation": None,
            "images": 0,
            "not_defined_because": "no image has a map with evidence before and after",
        }
    found = [stats.spearmanr(a.ravel(), b.ravel()).statistic for a, b in both]
    return {"rank_correlation": float(np.mean(found)), "images": len(both)}


def _steps(model: keras.Model) -> Iterator[tuple[str, Sequence[keras.layers.Layer]]]:
    """Yields what is randomised in each step, from the output down; earlier ones stay random."""
    layers = model.layers
    place = [layer.name for layer in layers].index(BASE_LAYER)
    yield "the last layer", [layers[-1]]
    hidden = [layer for layer in layers[place + 1 : -1] if layer.weights]
    if hidden:
        yield "the whole head", hidden
    inner = [layer for layer in layers[place].layers if layer.weights][::-1]
    for part in range(_PARTS):
        start, end = (len(inner) * edge // _PARTS for edge in (part, part + 1))
        if end > start:
            yield f"{100 * (part + 1) // _PARTS} % of the base", inner[start:end]
    before = [layer for layer in layers[:place] if layer.weights]
    if before:
        yield "the layers before the base", before
