"""Calibration metrics and proper scores: labels and probabilities -> Brier score, slope, ...

metrics = measure(labels, probabilities, weights, names=("brier", "calibration_slope"))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import expit, logit

from trainer.metrics.intervals import Floats, ratio
from trainer.metrics.predictions import Labels

EPSILON = float(np.finfo(np.float32).eps)
"""Probabilities count as at least this far from 0 and 1 where logarithms are taken: outputs
of networks are float32, whose 1 may be as little as that short of it. scikit-learn's log_loss
does the same."""
MIN_SPREAD = 0.01
"""Least range of log-odds through which a slope is laid: probabilities 0.0025 apart at a half."""
TIE = 1e-6
"""Log-odds nearer than this are a tie: around 0, float32 resolves no less than 2e-7."""
STEPS = 100
TOLERANCE = 1e-8
"""Of log-odds: the fit ends with a step below it, as the next would be about its square."""


def measure(
    labels: Labels, probabilities: Floats, weights: Floats, *, names: Sequence[str]
) -> dict[str, Floats]:
    """Computes metrics for every row of weights.

    Args:
        labels: [images], 0 or 1.
        probabilities: [images], of label 1, 0..1.
        weights: [rows, images], how often each image counts; whole numbers.
        names: of METRICS.

    Returns:
        For each name [rows], NaN where it is not defined.
    """
    return {
        name: METRICS[name](labels, probabilities, weights) for name in names if name in METRICS
    }


def reason(probabilities: Floats) -> str:
    """Explains why images of both classes have no calibration slope."""
    if np.ptp(_log_odds(probabilities)) < MIN_SPREAD:
        return "all probabilities are nearly the same"
    return "a threshold parts the classes without an error, so the slope has no end"


def pf1(labels: Labels, probabilities: Floats, weights: Floats) -> Floats:
    """F1 with probabilities in the place of the classes called; defined where both labels weigh.

    Yacouby & Axman, Probabilistic extension of precision, recall, and F1 score, Eval4NLP 2020; the
    score of the RSNA Screening Mammography Breast Cancer Detection competition, 2023.
    """
    positives = weights @ labels.astype(np.float64)
    found: Floats = weights @ (labels * probabilities)
    score = ratio(2 * found, positives + weights @ probabilities)
    return np.where((positives > 0) & (positives < weights.sum(axis=1)), score, np.nan)


def brier(labels: Labels, probabilities: Floats, weights: Floats) -> Floats:
    """Mean squared distance to the truth: Brier, Monthly Weather Review 78:1-3, 1950."""
    distances: Floats = np.square(probabilities - labels)
    return ratio(weights @ distances, weights.sum(axis=1))


def log_loss(labels: Labels, probabilities: Floats, weights: Floats) -> Floats:
    """Mean of minus the natural logarithm of the probability of the truth; see EPSILON."""
    of_truth = np.where(labels == 1, _clip(probabilities), 1 - _clip(probabilities))
    return ratio(weights @ -np.log(of_truth), weights.sum(axis=1))


def calibration_slope(labels: Labels, probabilities: Floats, weights: Floats) -> Floats:
    """Slope b of the logistic regression of label 1 on the log-odds; 1 is right, less too sure.

    Cox, Two further applications of a model for binary regression, Biometrika 45:562-565, 1958.
    It has an end only where the classes overlap: some positive image below some negative one, some
    above one, no ties (Albert & Anderson, Biometrika 71:1-10, 1984).
    """
    odds = _log_odds(probabilities)
    low, high = (
        [_extreme(odds, weights * (labels == label), sign) for label in (0, 1)] for sign in (-1, 1)
    )
    spread = np.maximum(*high) - np.minimum(*low)
    crossed = np.minimum(high[0] - low[1], high[1] - low[0]) > TIE
    overlap = crossed & (spread >= MIN_SPREAD)
    slopes = np.full(len(weights), np.nan)
    slopes[overlap] = _fit(labels, odds, weights[overlap], free_slope=True)[1]
    return slopes


def calibration_intercept(labels: Labels, probabilities: Floats, weights: Floats) -> Floats:
    """Intercept a of that regression with slope 1: 0 is right, below it risks are too high.

    Calibration in the large; Van Calster et al., Calibration: the Achilles heel of predictive
    analytics, BMC Medicine 17:230, 2019. Defined where both labels weigh.
    """
    positives = weights @ labels.astype(np.float64)
    both = (positives > 0) & (positives < weights.sum(axis=1))
    intercepts = np.full(len(weights), np.nan)
    intercepts[both] = _fit(labels, _log_odds(probabilities), weights[both], free_slope=False)[0]
    return intercepts


def _extreme(odds: Floats, weights: Floats, sign: int) -> Floats:
    """Largest (sign 1) or smallest (-1) of the log-odds [images] that weigh in each row."""
    return sign * np.where(weights > 0, sign * odds, -np.inf).max(axis=1, initial=-np.inf)


def _fit(
    labels: Labels, odds: Floats, weights: Floats, *, free_slope: bool
) -> tuple[Floats, Floats]:
    """Fits P(label 1) = expit(a + b odds) to each row by likelihood; b stays 1 unless free.

    Newton's method. A step that would move the log-odds of an image by r is shortened to log(1 +
    r): as a logistic density changes by no more than a factor of exp(r) on the way, it cannot
    overshoot and always ends (Bach, Self-concordant analysis for logistic regression, 2010).

    Returns:
        a and b, [rows]; NaN where it did not end after STEPS.
    """
    a, b = np.zeros(len(weights)), np.ones(len(weights))
    least, most = odds.min(initial=0), odds.max(initial=0)
    reach = np.zeros(len(weights))
    for _ in range(STEPS):
        risk = expit(a[:, None] + b[:, None] * odds)
        left = weights * (labels - risk)
        curve = weights * risk * (1 - risk)
        up, whole = left.sum(axis=1), curve.sum(axis=1)
        step, turn = up / whole, np.zeros(len(weights))
        if free_slope:
            mean = (curve @ odds) / whole
            spread = curve @ np.square(odds) - whole * mean**2
            turn = (left @ odds - up * mean) / spread
            step = step - turn * mean
        reach = np.maximum(abs(step + turn * least), abs(step + turn * most))
        shorter = np.divide(np.log1p(reach), reach, out=np.ones(len(weights)), where=reach > 0)
        a, b = a + shorter * step, b + shorter * turn
        if reach.max(initial=0) < TOLERANCE:
            break
    ended = reach < TOLERANCE
    return np.where(ended, a, np.nan), np.where(ended, b, np.nan)


def _clip(probabilities: Floats) -> Floats:
    return np.clip(probabilities, EPSILON, 1 - EPSILON)


def _log_odds(probabilities: Floats) -> Floats:
    odds: Floats = logit(_clip(probabilities))
    return odds


METRICS: dict[str, Callable[[Labels, Floats, Floats], Floats]] = {
    "pf1": pf1,
    "brier": brier,
    "log_loss": log_loss,
    "calibration_slope": calibration_slope,
    "calibration_intercept": calibration_intercept,
}
