"""Sentences say what the scores say, no more."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from trainer.metrics import typed_json
from trainer.metrics.metrics_json import Metrics
from trainer.reports import findings

NAMES = ("benign", "malignant")


def figure(value: float, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    if low is None:
        return {"value": value, "low": None, "high": None, "interval_not_defined_because": "few"}
    return {"value": value, "low": low, "high": high}


def undefined(reason: str) -> dict[str, Any]:
    return {"value": None, "low": None, "high": None, "not_defined_because": reason}


def scores(**changes: Any) -> Metrics:
    """A hundred images, 60 benign, of a model with nothing the matter."""
    content = {
        "split": "test",
        "images": 100,
        "patients": 50,
        "labels": {"benign": 60, "malignant": 40},
        "interval": "bootstrap",
        "predicts_one_class": False,
        "threshold": 0.5,
        "majority_baseline": 0.6,
        "auc": figure(0.8, 0.72, 0.88),
        "accuracy": figure(0.75, 0.68, 0.82),
        "confusion_matrix": [[50, 10], [15, 25]],
        "calibration_error": figure(0.08) | {"by_chance": {"mean": 0.06, "high": 0.09}},
        "calibration_slope": figure(1.1, 0.7, 1.6),
        "calibration_intercept": figure(0.1, -0.3, 0.5),
        "calibrated": {"not_defined_because": "there are no validation images"},
        "chosen_threshold": {"not_defined_because": "there are no validation images"},
        "subgroups": {},
    } | changes
    return typed_json.from_json(Metrics, content, path="metrics.json", remedy="again")


def told(lead: str, names: tuple[str, ...] = NAMES, **changes: Any) -> str:
    """Returns the text under the one lead that has these words."""
    (found,) = [one for one in findings.describe(scores(**changes), names) if lead in one.lead]
    return found.text.replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("auc", "lead"),
    [
        (figure(0.8, 0.72, 0.88), "It does better than guessing."),
        (figure(0.55, 0.5, 0.6), "It is not shown to do better than guessing."),
        (figure(0.55, 0.45, 0.65), "It is not shown to do better than guessing."),
        (figure(0.2, 0.1, 0.3), "It does worse than guessing"),
        (figure(0.8), "Whether it does better than guessing is not known."),
        (figure(1.0), "It ranks these images without a fault; how it ranks others is not known."),
        (figure(0.5), "It does no better than guessing on these images."),
    ],
)
def test_ranking(auc: dict[str, Any], lead: str) -> None:
    text = told(lead, auc=auc)
    assert text.startswith(
        "Of two images, one malignant and one benign, it gives the malignant one"
    )
    assert f"{100 * auc['value']:.0f} % of cases" in text
    assert "guessing gets 50 %" in text
    assert ("no interval: few" in text) == (auc["low"] is None)


def test_a_wide_interval_is_said_to_be_one() -> None:
    assert "wide" in told("better than guessing", auc=figure(0.8, 0.65, 0.95))
    assert "wide" not in told("better than guessing", auc=figure(0.8, 0.72, 0.88))


def test_an_undefined_auc_has_its_reason() -> None:
    text = told("tell the classes apart is not known", auc=undefined("no image is malignant"))
    assert text == "The AUC is not defined: no image is malignant."


@pytest.mark.parametrize(
    ("accuracy", "lead"),
    [
        (figure(0.75, 0.68, 0.82), "It is right more often than"),
        (figure(0.62, 0.55, 0.7), "It is not shown to be right more often than"),
        (figure(0.5, 0.4, 0.59), "It is right less often than"),
        (figure(0.5), "Whether it is right more often than"),
        (figure(0.6), "It is right just as often as"),
    ],
)
def test_accuracy_beside_the_baseline(accuracy: dict[str, Any], lead: str) -> None:
    text = told(f"{lead} always predicting \u201cbenign\u201d", accuracy=accuracy)
    assert text.endswith("always predicting \u201cbenign\u201d gets 60 %.")


def test_no_error_is_said_plainly() -> None:
    assert "no interval: few" in told(
        "It calls all these images right; how it does on others is not known.",
        accuracy=figure(1.0),
    )


def test_images_found_and_missed_are_counted() -> None:
    text = told("What it finds and what it misses.")
    assert text == (
        "Called malignant above a probability of 0.5: 25 of 40 malignant images are found, "
        "15 missed; 10 of 60 benign images are called malignant."
    )
    chosen = {"thresholds": [0.2, 0.31], "confusion_matrix": [[40, 20], [5, 35]]}
    assert told("What it finds", chosen_threshold=chosen).endswith(
        " Thresholds 0.2 to 0.31, chosen on other images: 35 of 40 malignant images are found, "
        "5 missed; 20 of 60 benign images are called malignant."
    )
    one = told("What it finds", chosen_threshold=chosen | {"thresholds": [0.25]})
    assert " Threshold 0.25, chosen" in one


@pytest.mark.parametrize(
    ("slope", "intercept", "lead"),
    [
        (figure(0.5, 0.3, 0.7), figure(0, -0.3, 0.3), "over-confident"),
        (figure(2, 1.5, 2.7), figure(0, -0.3, 0.3), "under-confident"),
        (figure(1, 0.8, 1.3), figure(0.6, 0.3, 0.9), "too low on the whole"),
        (figure(1, 0.8, 1.3), figure(-0.6, -0.9, -0.3), "too high on the whole"),
        (figure(1, 0.8, 1.3), figure(0, -0.3, 0.3), "not shown to be off"),
        (figure(0.5), figure(0, -0.3, 0.3), "is not known"),
    ],
)
def test_calibration(slope: dict[str, Any], intercept: dict[str, Any], lead: str) -> None:
    text = told(lead, calibration_slope=slope, calibration_intercept=intercept)
    assert text.startswith("Stated and seen fractions are 8 points apart on average, 6 by chance")
    assert f"calibration slope {slope['value']:.2f}" in text
    assert text.endswith("There are no calibrated ones: there are no validation images.")


def test_calibration_before_and_after() -> None:
    after = {
        "calibration_error": figure(0.03) | {"by_chance": {"mean": 0.05, "high": 0.09}},
        "calibration_slope": figure(1, 0.8, 1.3),
        "calibration_intercept": figure(0, -0.3, 0.3),
    }
    text = told("over-confident", calibration_slope=figure(0.5, 0.3, 0.7), calibrated=after)
    assert "After calibration on other images: its probabilities are not shown to be off." in text
    assert "3 points apart on average, 5 by chance" in text
    assert "More points apart" not in text
    after["calibration_error"] = figure(0.1) | {"by_chance": {"mean": 0.08, "high": 0.12}}
    text = told("over-confident", calibration_slope=figure(0.5, 0.3, 0.7), calibrated=after)
    assert text.endswith("More points apart are not worse where chance alone explains them.")


def test_undefined_calibration_has_its_reason() -> None:
    text = told("can be trusted is not known", calibration_error=undefined("9 images are too few"))
    assert text.startswith("Not defined: 9 images are too few.")
    text = told("too bold or too timid is not known", calibration_slope=undefined("all alike"))
    assert "the slope is not defined: all alike." in text


def group(value: str, images: int, auc: dict[str, Any]) -> dict[str, Any]:
    return {"value": value, "images": images, "auc": auc}


def test_groups_are_not_over_read() -> None:
    alike = {
        "view": [
            group("CC", 60, figure(0.9, 0.7, 0.95)),
            group("MLO", 29, figure(0.6, 0.4, 0.75)),
        ],
        "side": [group("left", 90, figure(0.3, 0.2, 0.35)), group("right", 30, undefined("few"))],
    }
    text = told("No group of images is shown to differ", subgroups=alike)
    assert text.startswith("4 groups are shown; with so many, some differ by chance alone")
    assert "1 of them holds fewer than 30 images" in text
    alike["view"][1] = group("MLO", 29, figure(0.6, 0.4, 0.69))
    text = told("Some groups of images may differ", subgroups=alike)
    assert text.endswith("AUC intervals lie apart for: view CC and MLO.")
    lone = {"side": alike["side"]}
    assert "an AUC with an interval" in told("groups of images differ is not known", subgroups=lone)
    assert not [f for f in findings.describe(scores(), NAMES) if "group" in f.lead]


def test_three_classes() -> None:
    found = scores(confusion_matrix=[[5, 1, 0], [2, 8, 1], [0, 3, 4]])
    slope = {"calibration_slope", "calibration_intercept"}
    metrics = {name: one for name, one in found.metrics.items() if name not in slope}
    found = dataclasses.replace(found, metrics=metrics)
    leads = [one.lead for one in findings.describe(found, ("A", "B", "C"))]
    assert "Its probabilities are not shown to be off." in leads
    error = dataclasses.replace(found["calibration_error"], value=0.1)
    found = dataclasses.replace(found, metrics=metrics | {"calibration_error": error})
    off = [one.lead for one in findings.describe(found, ("A", "B", "C"))]
    assert "Its probabilities are off." in off
    assert "What it finds and what it misses." not in leads
    assert "It is right more often than always predicting \u201cB\u201d." in leads


def test_the_limits_are_always_told() -> None:
    assert "another hospital" in told("What this can't show.")


@pytest.mark.parametrize(
    ("fraction", "said"), [(0, "0"), (1, "100"), (0.004, "0.4"), (0.5, "50"), (0.987, "98.7")]
)
def test_percent(fraction: float, said: str) -> None:
    assert findings.percent(fraction) == f"{said}\u00a0%"
