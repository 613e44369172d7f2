"""Paired comparison of runs on the images both were evaluated on: differences and p values.

comparisons = compare(baseline, [other, third])
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from records.errors import CallerError
from trainer.evaluation.compared_run import ComparedRun, called_of
from trainer.evaluation.comparison_json import Comparison, DeLong, Difference, McNemar
from trainer.metrics import intervals, significance
from trainer.metrics.intervals import Bootstrap, Floats
from trainer.metrics.prediction_arrays import PredictionArrays
from trainer.metrics.significance import MIN_IMAGES

ALPHA = 0.05
"""Risk of calling any difference of the page more than noise where none is."""
RESAMPLES_PER_TEST = 200
"""Of so many the smallest p, 2 / (resamples + 1), times the number of tests is below 0.01."""


def compare(baseline: ComparedRun, others: Sequence[ComparedRun]) -> list[Comparison]:
    """Compares each run with the baseline, metric by metric; adjusts all p values together.

    Of each metric there is the difference, run less baseline, with its 95 % interval over
    patients, the same resamples for both. Its p is that of the bootstrap; for accuracy, recall and
    AUC the larger of it and that of McNemar's or DeLong's test, which take the images of one
    patient for independent. Metrics and p values that are not defined say why.

    Raises:
        CallerError: two runs can't be compared: names them and why.
    """
    bootstrap = bootstrap_for(baseline, others)
    known: dict[tuple[str, ...], dict[str, Floats]] = {}
    comparisons = [_compare(baseline, other, bootstrap, known) for other in others]
    tested = [
        (metrics, name, p)
        for metrics in (one.metrics for one in comparisons)
        for name, metric in metrics.items()
        if (p := metric.p) is not None
    ]
    adjusted = significance.holm([p for *_, p in tested])
    for (metrics, name, _), p in zip(tested, adjusted, strict=True):
        metrics[name] = dataclasses.replace(metrics[name], p_holm=p, more_than_noise=p < ALPHA)
    return comparisons


def bootstrap_for(baseline: ComparedRun, others: Sequence[ComparedRun]) -> Bootstrap:
    """Chooses the number of resamples: with so many the smallest p survives its correction."""
    tests = len(baseline.measures) * len(others)
    return Bootstrap(max(intervals.RESAMPLES, RESAMPLES_PER_TEST * tests))


def common_images(baseline: ComparedRun, other: ComparedRun) -> list[str]:
    """Lists the images both runs were evaluated on, by name; averages only if labels agree.

    Raises:
        CallerError: they have other targets, label images differently, or have no image in common.
    """
    for what, one, two in (
        ("data set", baseline.run.dataset, other.run.dataset),
        ("question", baseline.question, other.question),
        ("label policy", *(r.run.policies.get("label_policy") for r in (baseline, other))),
    ):
        if one != two:
            raise CallerError(
                f"{other.name} and {baseline.name} can't be compared: their {what} is {two} and "
                f"{one}; compare runs of one {what}"
            )
    if baseline.unit != other.unit:
        raise CallerError(
            f"{other.name} and {baseline.name} can't be compared: one says of {other.unit}s, the "
            f"other of {baseline.unit}s"
        )
    common = sorted(baseline.images.keys() & other.images.keys())
    if not common:
        raise CallerError(
            f"{other.name} and {baseline.name} can't be compared: none of their "
            f"{len(other.images)} and {len(baseline.images)} {baseline.unit}s is the same; "
            "evaluate both on the same split"
        )
    if baseline.averaged:
        return [key for key in common if baseline.images[key].label == other.images[key].label]
    for what, of in (("label", "label"), ("patient", "patient_id")):
        differing = [
            image
            for image in common
            if getattr(other.images[image], of) != getattr(baseline.images[image], of)
        ]
        if differing:
            raise CallerError(
                f"{other.name} and {baseline.name} can't be compared: they name another {what} on "
                f"{len(differing)} of their {len(common)} common images, "
                f"first on {differing[0]!r}; evaluate both on records of one conversion"
            )
    return common


def _compare(
    baseline: ComparedRun,
    other: ComparedRun,
    bootstrap: Bootstrap,
    known: dict[tuple[str, ...], dict[str, Floats]],
) -> Comparison:
    """Compares two runs, p not adjusted yet; `known` keeps resampled metrics of the baseline."""
    common = common_images(baseline, other)
    one, two = baseline.evaluated(common), other.evaluated(common)
    patients = len(np.unique(one.patients))
    shared = baseline.images.keys() & other.images.keys()
    once = np.ones((1, len(common)))
    before, after = baseline.measure(one, once), other.measure(two, once)
    key = tuple(common)
    if key not in known:
        known[key] = bootstrap.sample(lambda weights: baseline.measure(one, weights), one.patients)
    resampled = bootstrap.sample(lambda weights: other.measure(two, weights), one.patients)
    samples = {name: resampled[name] - known[key][name] for name in resampled}
    mcnemar, delong = _mcnemar(one, two), _delong(one, two)
    by_image: dict[str, float | None] = {"accuracy": mcnemar.p, "auc": delong.p}
    if one.kind == "binary":  # recall is the accuracy on images of class 1
        positive = one.labels == 1
        by_image["recall"] = _mcnemar(one.take(positive), two.take(positive)).p
    return Comparison(
        run=other.name,
        images=len(common),
        patients=patients,
        same_images=len(common) == len(baseline.images) == len(other.images),
        metrics={
            name: _metric(
                name,
                [float(before[name][0]), float(after[name][0])],
                samples[name],
                by_image=by_image.get(name),
                patients=patients,
            )
            for name in baseline.measures
        },
        mcnemar=mcnemar,
        delong=delong,
        unit=baseline.unit,
        not_shared=(len(baseline.images) - len(shared), len(other.images) - len(shared)),
        labels_differ=len(shared) - len(common),
    )


def _metric(
    name: str, values: list[float], samples: Floats, *, by_image: float | None, patients: int
) -> Difference:
    """Puts a difference together: values of both, interval, p by patient, by image, and the larger.

    Args:
        name: of the metric.
        values: baseline's and run's.
        samples: [resamples], differences.
        by_image: p of McNemar's or DeLong's test, if there is one.
        patients: whose images they are.
    """
    one, two = (None if math.isnan(value) else value for value in values)
    if one is None or two is None:
        who = "both" if one is two else "the baseline" if one is None else "the run"
        reason = f"{name} is not defined for {who} on these images"
        return Difference(None, not_defined_because=reason, baseline=one, run=two)
    metric = intervals.metric(two - one, samples, patients=patients)
    difference = Difference(**vars(metric), baseline=one, run=two)
    if metric.low is None:
        return difference
    by_patient = significance.bootstrap_p(samples[~np.isnan(samples)])
    p = by_patient if by_image is None else max(by_patient, by_image)
    return dataclasses.replace(difference, p=p, p_by_patient=by_patient, p_by_image=by_image)


def _mcnemar(baseline: PredictionArrays, other: PredictionArrays) -> McNemar:
    """Counts images by who calls them right, and tests whether either does so more often."""
    one, two = (called_of(images) == images.labels for images in (baseline, other))
    masks = (one & two, one & ~two, ~one & two, ~one & ~two)
    both, first, second, neither = (int(mask.sum()) for mask in masks)
    p = significance.mcnemar(first_alone=first, second_alone=second)
    return McNemar(both, first, second, neither, p)


def _delong(baseline: PredictionArrays, other: PredictionArrays) -> DeLong:
    """Tests the difference of the areas, or gives the reason why not."""
    if baseline.kind != "binary":
        return DeLong(not_defined_because="DeLong's test is of two classes")
    labels = baseline.labels
    if min(np.bincount(labels, minlength=2)) < MIN_IMAGES:
        return DeLong(not_defined_because=f"a class has fewer than {MIN_IMAGES} images")
    scores = (images.probabilities[:, 1] for images in (baseline, other))
    difference, error, p = significance.delong_difference(labels, *scores)
    low, high = difference - 1.96 * error, difference + 1.96 * error
    if math.isnan(p):
        reason = "the areas do not vary from image to image"
        return DeLong(difference, error, low, high, p_not_defined_because=reason)
    return DeLong(difference, error, low, high, p)
