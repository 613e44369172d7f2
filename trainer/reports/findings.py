"""Findings of a report: metrics.json -> sentences a clinician can read.

for finding in describe(scores, ["benign", "malignant"]):
    print(finding.lead, finding.text)
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

from records.printable import counted
from trainer.metrics.metrics_json import Metrics, MetricValue, Scores

SMALL = 30
"""Images below which a subgroup is called small; a rate of 30 is known to about 18 points."""

_OFF = "Its probabilities are off."
_NOT_OFF = "Its probabilities are not shown to be off."


@dataclasses.dataclass(frozen=True)
class Finding:
    """One finding of the metrics.

    Attributes:
        lead: the gist.
        text: sentences that bear it out.
    """

    lead: str
    text: str


def describe(scores: Metrics, names: Sequence[str]) -> list[Finding]:
    """Puts metrics.json into sentences."""
    found = [_ranking(scores, names), _majority(scores, names)]
    if len(names) == 2:
        found.append(_decisions(scores, names))
    found += [_calibration(scores), *_subgroups(scores), _limits(scores)]
    return found


def compare(metric: MetricValue, mark: float) -> str:
    """Places an interval: above or below a mark, around it, or unknown."""
    if metric.interval is None:
        return "unknown"
    low, high = metric.interval
    if low > mark:
        return "above"
    return "below" if high < mark else "around"


def _rate(metric: MetricValue, chance: float | None) -> str:
    """Does the same with a rate; without an interval: level with chance, or faultless at 1."""
    if metric.interval is None or chance is None:
        return {1.0: "faultless", chance: "level"}.get(metric.value, "unknown")
    return compare(metric, chance)


def percent(fraction: float | None) -> str:
    """Writes a fraction in whole percent, in tenths near the ends."""
    if fraction is None:
        return "not defined"
    decimals = 0 if 0.1 <= fraction <= 0.9 or fraction in (0, 1) else 1
    return f"{100 * fraction:.{decimals}f}\u00a0%"


def _interval(metric: MetricValue) -> str:
    if metric.interval is None:
        return f"no interval: {metric.interval_not_defined_because}"
    return "95 % interval {} to {}".format(*map(percent, metric.interval))


def _ranking(scores: Metrics, names: Sequence[str]) -> Finding:
    """Whether the AUC is better than chance."""
    auc = scores["auc"]
    if auc.value is None:
        lead = "Whether it can tell the classes apart is not known."
        return Finding(lead, f"The AUC is not defined: {auc.not_defined_because}.")
    lead = {
        "above": "It does better than guessing.",
        "below": "It does worse than guessing: something is wrong.",
        "around": "It is not shown to do better than guessing.",
        "unknown": "Whether it does better than guessing is not known.",
        "faultless": "It ranks these images without a fault; how it ranks others is not known.",
        "level": "It does no better than guessing on these images.",
    }[_rate(auc, 0.5)]
    if len(names) == 2:
        text = f"Of two images, one {names[1]} and one {names[0]}, it gives the {names[1]} one the "
        text += "higher probability"
    else:
        text = "Of two images, one of a class and one of another, it gives the first the higher "
        text += "probability of its class"
    sentence = f"{text} in {percent(auc.value)} of cases ({_interval(auc)}); guessing gets 50 %."
    if auc.interval and auc.interval[1] - auc.interval[0] > 0.2:
        sentence += " The interval is wide because the images are few."
    return Finding(lead, sentence)


def _majority(scores: Metrics, names: Sequence[str]) -> Finding:
    """Whether the accuracy is better than one prediction for all."""
    accuracy, baseline = scores["accuracy"], scores.majority_baseline
    sizes = [sum(row) for row in scores.confusion_matrix]
    guess = f"always predicting \u201c{names[sizes.index(max(sizes))]}\u201d"
    lead = {
        "above": f"It is right more often than {guess}.",
        "below": f"It is right less often than {guess}.",
        "around": f"It is not shown to be right more often than {guess}.",
        "unknown": f"Whether it is right more often than {guess} is not known.",
        "faultless": "It calls all these images right; how it does on others is not known.",
        "level": f"It is right just as often as {guess}.",
    }[_rate(accuracy, baseline)]
    right = f"{percent(accuracy.value)} of the images are called right ({_interval(accuracy)})"
    return Finding(lead, f"{right}; {guess} gets {percent(baseline)}.")


def _decisions(scores: Metrics, names: Sequence[str]) -> Finding:
    """The confusion matrices in words."""
    text = f"Called {names[1]} above a probability of {scores.threshold:g}: "
    text += _counts(scores.confusion_matrix, names)
    chosen = scores.chosen_threshold
    if chosen and chosen.confusion_matrix:
        text += f" {name_thresholds(chosen.thresholds).capitalize()}, chosen on other images: "
        text += _counts(chosen.confusion_matrix, names)
    return Finding("What it finds and what it misses.", text)


def name_thresholds(thresholds: Sequence[float]) -> str:
    """Names the threshold chosen, or the span of those that the networks of a run chose."""
    low, high = min(thresholds), max(thresholds)
    if low == high:
        return f"threshold {low:.3g}"
    return f"thresholds {low:.3g} to {high:.3g}"


def _counts(cells: Sequence[Sequence[int]], names: Sequence[str]) -> str:
    (_, false), (missed, found) = cells
    negatives = sum(cells[0])
    return (
        f"{found} of {missed + found} {names[1]} images are found, {missed} missed; {false} of "
        f"{negatives} {names[0]} images are called {names[1]}."
    )


def _calibration(scores: Metrics) -> Finding:
    """Whether a probability can be taken at its word."""
    lead, text = _evaluate(scores)
    calibrated = scores.calibrated or Scores(not_defined_because="not measured")
    if "calibration_error" in calibrated:
        after, words = _evaluate(calibrated)
        text += f" After calibration on other images: {after[0].lower()}{after[1:]} {words}"
        before, now = (one["calibration_error"].value or 0 for one in (scores, calibrated))
        if now > before and _NOT_OFF in after:
            text += " More points apart are not worse where chance alone explains them."
    else:
        text += f" There are no calibrated ones: {calibrated.not_defined_because}."
    return Finding(lead, text)


def _evaluate(metrics: Metrics | Scores) -> tuple[str, str]:
    """Reads slope and intercept of the recalibration.

    Slope below 1: probabilities too extreme; intercept above 0: too low on the whole (Van Calster
    et al., Calibration: the Achilles heel of predictive analytics, BMC Medicine 17:230, 2019).
    """
    error = metrics["calibration_error"]
    if error.value is None or error.by_chance is None:
        reason = error.not_defined_because
        return "How far its probabilities can be trusted is not known.", f"Not defined: {reason}."
    text = f"Stated and seen fractions are {100 * error.value:.0f} points apart on average"
    chance = error.by_chance
    text += f", {100 * chance.mean:.0f} by chance alone, up to {100 * chance.high:.0f} in 95 of 100"
    text += " such tests"
    beyond = error.beyond_chance
    slope, intercept = (metrics.metrics.get(f"calibration_{key}") for key in ("slope", "intercept"))
    if slope is None or intercept is None:
        return _OFF if beyond else _NOT_OFF, text + "."
    if slope.value is None:
        lead = "Whether its probabilities are too bold or too timid is not known."
        text += f"; the slope is not defined: {slope.not_defined_because}."
        return _OFF if beyond else lead, text
    text += f"; calibration slope {slope.value:.2f}"
    text += " ({:.2f} to {:.2f})".format(*slope.interval) if slope.interval else ""
    lead = _trust(compare(slope, 1), compare(intercept, 0), beyond=beyond)
    return lead, text + ", ideally 1."


def _trust(slope: str, intercept: str, *, beyond: bool) -> str:
    """Explains where slope and intercept lie beside 1 and 0, and an error beyond chance."""
    if slope == "below":
        return "Its probabilities are over-confident: they lie too near 0 % and 100 %."
    if slope == "above":
        return "Its probabilities are under-confident: they lie too near the middle."
    if beyond and intercept not in ("above", "below"):
        return _OFF
    if "unknown" in (slope, intercept):
        return "Whether its probabilities are too bold or too timid is not known."
    return {
        "above": "Its probabilities are too low on the whole.",
        "below": "Its probabilities are too high on the whole.",
        "around": _NOT_OFF,
    }[intercept]


def _subgroups(scores: Metrics) -> Iterator[Finding]:
    """Warns against reading much into small groups."""
    kinds = scores.subgroups
    groups = [group for of_kind in kinds.values() for group in of_kind]
    if len(groups) < 2:
        return
    pairs = [
        (kind, one, other)
        for kind, of_kind in kinds.items()
        for one, other in itertools.combinations(of_kind, 2)
        if one["auc"].interval and other["auc"].interval
    ]
    apart = [
        f"{kind} {one.value} and {other.value}"
        for kind, one, other in pairs
        if _apart(one["auc"], other["auc"])
    ]
    small = sum((group.images or 0) < SMALL for group in groups)
    text = f"{len(groups)} groups are shown; with so many, some differ by chance alone"
    text += f", and {small} of them hold{'s' if small == 1 else ''} fewer than {SMALL} images. "
    if apart:
        text += f"AUC intervals lie apart for: {'; '.join(apart)}."
        yield Finding("Some groups of images may differ.", text)
    elif not pairs:
        text += "No two of a kind have an AUC with an interval."
        yield Finding("Whether groups of images differ is not known.", text)
    else:
        text += "No two AUC intervals of a kind lie apart."
        yield Finding("No group of images is shown to differ from another.", text)


def _apart(one: MetricValue, other: MetricValue) -> bool:
    """Whether two intervals have nothing in common."""
    (low, high), (start, end) = one.interval or (0, 1), other.interval or (0, 1)
    return low > end or start > high


def _limits(scores: Metrics) -> Finding:
    text = (
        f"These are {counted(scores.images, f'{scores.unit}s')} of "
        f"{counted(scores.patients, 'patients')} of one data set. How the model does in "
        "another hospital, on other machines, or in screening, where cancer is far rarer, can't be "
        "read off them."
    )
    return Finding("What this can't show.", text)
