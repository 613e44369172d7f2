"""Scores against scikit-learn, and the resamples against a plain loop over them."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as reference  # type: ignore[import-untyped]

from flags.errors import CallerError
from trainer import intervals, metrics
from trainer.predictions import Prediction

NAMES = ("benign", "malignant")


def films(
    labels: Sequence[int], probabilities: Sequence[float], patients: Sequence[str] | None = None
) -> list[Prediction]:
    """Makes predictions; one patient a film unless told otherwise."""
    patients = patients or [f"p{index}" for index in range(len(labels))]
    return [
        Prediction(f"f{index}", patient, int(label), float(probability))
        for index, (label, probability, patient) in enumerate(
            zip(labels, probabilities, patients, strict=True)
        )
    ]


def score(predictions: Sequence[Prediction], **options: Any) -> dict[str, Any]:
    """Scores and makes sure that the result is JSON without NaN."""
    result = metrics.score(predictions, split="test", label_names=NAMES, **options)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    return result


def many(count: int, *, seed: int = 3, ties: bool = True) -> list[Prediction]:
    """Draws films of patients with one to four films, probabilities in steps of 0.05 if tied."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=count)
    raw = 1 / (1 + np.exp(-rng.normal(labels - 0.6, 1.2)))
    patients = [f"p{number}" for number in rng.integers(count // 2, size=count)]
    return films(list(labels), list(np.round(raw * 20) / 20 if ties else raw), patients)


def by_sklearn(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> dict[str, float]:
    """Computes every figure with scikit-learn; those it can't define are left out."""
    answers = (probabilities > 0.5).astype(int)
    if len(labels) == 0:
        return {}
    values = {"accuracy": reference.accuracy_score(labels, answers)}
    if labels.any():
        values["recall"] = reference.recall_score(labels, answers)
    if not labels.all():
        values["specificity"] = reference.recall_score(labels, answers, pos_label=0)
    if labels.any() and not labels.all():
        values["auc"] = reference.roc_auc_score(labels, probabilities)
        values["f1"] = reference.f1_score(labels, answers)
        values["balanced_accuracy"] = reference.balanced_accuracy_score(labels, answers)
        if answers.any():
            values["precision"] = reference.precision_score(labels, answers)
    return values


pairs = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.25, 0.5, 0.5000001, 1.0])),
    ),
    max_size=40,
)


@given(pairs)
def test_values_are_those_of_sklearn(drawn: list[tuple[int, float]]) -> None:
    labels = np.array([label for label, _ in drawn], np.int64)
    probabilities = np.array([probability for _, probability in drawn], np.float64)
    result = score(films(list(labels), list(probabilities)), resamples=5)
    expected = by_sklearn(labels, probabilities)
    for name in metrics.NAMES:
        if name in expected:
            assert result[name]["value"] == pytest.approx(expected[name], abs=1e-12), name
        else:
            assert result[name]["value"] is None, name
            assert result[name]["not_defined_because"]
    if drawn:
        matrix = reference.confusion_matrix(labels, probabilities > 0.5, labels=[0, 1])
        assert result["confusion_matrix"] == matrix.tolist()


@pytest.mark.parametrize("ties", [True, False], ids=["ties", "no ties"])
def test_bootstrap_is_a_plain_loop_over_drawn_patients(
    ties: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictions = many(57, ties=ties)
    labels, probabilities, patients = metrics.columns(predictions, "test")
    monkeypatch.setattr(intervals, "BLOCK_VALUES", 57 * 7)  # several blocks, the last one smaller
    samples = metrics.bootstrap(labels, probabilities, patients, resamples=60, seed=11)
    names = np.unique(patients)
    rng = np.random.default_rng(11)
    for row in range(60):
        drawn = rng.integers(len(names), size=len(names))
        index = np.concatenate([np.flatnonzero(patients == names[one]) for one in drawn])
        expected = by_sklearn(labels[index], probabilities[index])
        for name in metrics.NAMES:
            value = samples[name][row]
            assert value == pytest.approx(expected.get(name, np.nan), abs=1e-12, nan_ok=True)


def test_interval_is_the_percentiles_of_the_samples() -> None:
    predictions = many(80)
    result = score(predictions, resamples=300, seed=5)
    samples = metrics.bootstrap(*metrics.columns(predictions, "test"), resamples=300, seed=5)
    for name in metrics.NAMES:
        low, high = np.percentile(samples[name], [2.5, 97.5])
        assert (result[name]["low"], result[name]["high"]) == (low, high)
        assert low < result[name]["value"] < high
    assert result["interval"] == "95 % percentile bootstrap over patients, 300 resamples, seed 5"


def test_same_seed_same_score_and_another_seed_another_interval() -> None:
    predictions = many(80)
    assert score(predictions, resamples=50) == score(predictions, resamples=50)
    assert (
        score(predictions, resamples=50)["auc"] != score(predictions, resamples=50, seed=1)["auc"]
    )


@settings(max_examples=25)
@given(st.integers(2, 4), st.integers(0, 100))
def test_more_films_of_the_same_patients_tell_nothing_new(times: int, seed: int) -> None:
    once = many(30, seed=seed)
    copies = [
        Prediction(f"{film.film_id}-{copy}", film.patient_id, film.label, film.probability)
        for film in once
        for copy in range(times)
    ]
    one, more = score(once, resamples=100), score(copies, resamples=100)
    assert {name: one[name] for name in metrics.NAMES} == {
        name: more[name] for name in metrics.NAMES
    }
    assert (more["films"], more["patients"]) == (times * one["films"], one["patients"])


def test_interval_over_patients_is_wider_than_over_films_that_repeat_each_other() -> None:
    once = many(60, ties=False)
    labels = [film.label for film in once for _ in range(4)]
    probabilities = [film.probability for film in once for _ in range(4)]
    clustered = score(films(labels, probabilities, [f"p{n // 4}" for n in range(240)]))["auc"]
    naive = score(films(labels, probabilities))["auc"]
    ratio = (clustered["high"] - clustered["low"]) / (naive["high"] - naive["low"])
    assert ratio == pytest.approx(2, rel=0.15)  # a fourth of the information, twice the width


def test_content_of_metrics_json() -> None:
    predictions = films([0, 0, 0, 1, 1], [0.1, 0.5, 0.9, 0.8, 0.2], ["a", "a", "b", "c", "c"])
    result = score(predictions)
    assert list(result) == [
        *("split", "films", "patients", "labels", "threshold", "majority_baseline"),
        *metrics.NAMES,
        *("confusion_matrix", "interval", "predicts_one_class"),
    ]
    assert result["split"] == "test"
    assert (result["films"], result["patients"]) == (5, 3)
    assert result["labels"] == {"benign": 3, "malignant": 2}
    assert result["majority_baseline"] == 0.6
    assert result["confusion_matrix"] == [[2, 1], [1, 1]]  # 0.5 itself is not above 0.5
    assert result["accuracy"]["value"] == 0.6
    assert result["predicts_one_class"] is False


@pytest.mark.parametrize(
    ("labels", "probabilities", "reasons"),
    [
        pytest.param([], [], dict.fromkeys(metrics.NAMES, "no films"), id="empty"),
        pytest.param(
            [0, 0, 0],
            [0.1, 0.2, 0.9],
            dict.fromkeys(
                ["auc", "precision", "recall", "f1", "balanced_accuracy"], "no film.* is malignant"
            ),
            id="only benign",
        ),
        pytest.param(
            [1, 1, 1],
            [0.1, 0.2, 0.9],
            dict.fromkeys(
                ["auc", "precision", "specificity", "f1", "balanced_accuracy"],
                "no film.* is benign",
            ),
            id="only malignant",
        ),
        pytest.param(
            [0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4], {"precision": "calls no film malignant"}, id="none"
        ),
    ],
)
def test_figures_that_are_not_defined_say_why(
    labels: list[int], probabilities: list[float], reasons: dict[str, str]
) -> None:
    result = score(films(labels, probabilities))
    for name in metrics.NAMES:
        if name in reasons:
            because = result[name].pop("not_defined_because")
            assert result[name] == {"value": None, "low": None, "high": None}
            assert re.search(reasons[name], because)
        else:
            assert result[name]["value"] is not None
    assert (result["majority_baseline"] is None) == (labels == [])


def test_all_the_same_probability_is_chance_and_one_class() -> None:
    result = score(films([0, 1, 1, 0, 0] * 8, [0.7] * 40))
    assert result["auc"] == {"value": 0.5, "low": 0.5, "high": 0.5}
    assert result["predicts_one_class"] is True
    assert result["recall"]["value"] == 1.0
    assert result["specificity"]["value"] == 0.0
    assert result["majority_baseline"] == 0.6


def test_interval_is_withheld_where_resamples_often_lack_the_figure() -> None:
    result = score(films([0] * 9 + [1], [0.1] * 9 + [0.9]))  # (9/10)^10 = 35 % have no malignant
    auc = result["auc"]
    assert (auc["value"], auc["low"], auc["high"]) == (1.0, None, None)
    assert "not defined in 3" in auc["interval_not_defined_because"]
    assert result["accuracy"]["low"] == 1.0


def test_interval_stays_where_few_resamples_lack_the_figure() -> None:
    auc = score(films([0] * 95 + [1] * 5, np.linspace(0, 1, 100).tolist()))["auc"]
    assert auc["low"] == auc["high"] == 1.0  # 0.6 % of the resamples have no malignant film


def test_one_patient_has_no_interval() -> None:
    accuracy = score(films([0, 1, 1], [0.1, 0.9, 0.2], ["p"] * 3))["accuracy"]
    assert accuracy["value"] == pytest.approx(2 / 3)
    assert accuracy["low"] is None
    assert accuracy["interval_not_defined_because"] == "all films are of one patient"


def test_refuses_films_of_another_split() -> None:
    film = Prediction("f", "p", 1, 0.5, split="fold0")
    with pytest.raises(CallerError, match="film 'f' is of split 'fold0', wanted 'test'"):
        score([film])


def test_refuses_no_resamples() -> None:
    with pytest.raises(CallerError, match="0 resamples, wanted at least 1"):
        score(many(10), resamples=0)


def test_the_test_set_of_cbis_ddsm_takes_well_under_two_seconds() -> None:
    predictions = many(641, ties=False)
    started = time.perf_counter()
    score(predictions)
    assert time.perf_counter() - started < 2
