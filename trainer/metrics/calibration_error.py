"""Calibration error: how far probabilities are from observed fractions, and how far by chance.

metric = score(images, Bootstrap())  # .value 0.19, .by_chance.mean 0.1, .by_chance.high 0.15
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from trainer.metrics.intervals import Bootstrap, Floats
from trainer.metrics.metrics_json import ByChance, MetricValue, undefined
from trainer.metrics.prediction_arrays import PredictionArrays
from trainer.metrics.predictions import Labels

BINS = 10
MIN_IMAGES = 5 * BINS
"""Below it, bins of fewer than five images would show chance alone."""
BY_CHANCE_PERCENTILE = 95


def score(evaluated: PredictionArrays, bootstrap: Bootstrap) -> MetricValue:
    """Computes the error, and that of a model whose probabilities are right.

    Expected calibration error (Naeini et al., AAAI 2015): the mean distance of fraction and
    probability of label 1, here in ten bins of equally many images, steadier than ones of equal
    width (Nixon et al., Measuring calibration in deep learning, 2019). Of more than two classes the
    mean over the classes, each against the rest (Kull et al., NeurIPS 2019).

    Chance alone adds to it, and to each resample once more: of 150 simulated tests of 641 images
    with an error of 0 the percentile interval held it in none. So it has no interval, but
    "by_chance": mean and 95th percentile of the error if labels are sampled from the probabilities,
    image by image (Bröcker & Smith, Weather and Forecasting 22:651-661, 2007). An error below that
    percentile is no sign that the probabilities are wrong.
    """
    images, classes = evaluated.probabilities.shape
    if images < MIN_IMAGES:
        few = f"too few {evaluated.unit}s for {BINS} bins: {images}, wanted {MIN_IMAGES}"
        return undefined(few if images else str(evaluated.lack()))
    counted = range(1 if classes == 2 else 0, classes)
    bins = [bins_of(evaluated.probabilities[:, label]) for label in counted]

    def error(labels: Labels) -> float:
        sums = [
            np.bincount(places, (labels == label) - evaluated.probabilities[:, label])
            for label, places in zip(counted, bins, strict=True)
        ]
        return float(np.mean([np.abs(one).sum() for one in sums])) / images

    generator = np.random.default_rng(bootstrap.seed)
    edges: Floats = np.cumsum(evaluated.probabilities, axis=1)[:, :-1]
    chance = [
        error(np.count_nonzero(generator.random((images, 1)) >= edges, axis=1))
        for _ in range(bootstrap.resamples)
    ]
    high = float(np.percentile(chance, BY_CHANCE_PERCENTILE))
    return MetricValue(
        error(evaluated.labels),
        interval_not_defined_because="chance adds to it in every resample; see by_chance",
        by_chance=ByChance(float(np.mean(chance)), high),
    )


def bins_of(probabilities: Floats) -> NDArray[np.int64]:
    """Assigns images to BINS bins of equally many by probability, [images] -> 0..9.

    An image's bin follows from the fraction of images below it, and half of those that tie with
    it, itself included: ties share a bin.
    """
    return (BINS * (rankdata(probabilities) - 0.5) / len(probabilities)).astype(np.int64)
