"""Scores against scikit-learn, and the resamples against a plain loop over them."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import optimize, special
from sklearn import metrics as reference  # type: ignore[import-untyped]

from records.errors import CallerError
from trainer.metrics import compute, intervals, metric_table, subgroups, typed_json
from trainer.metrics.predictions import Prediction, two_classes

NAMES = ("benign", "malignant")
NAMES_OF_TWO = metric_table.keys("binary")
CALIBRATION = [one.key for one in metric_table.of_kind("binary") if one.calibration]
RESAMPLED = [name for name in NAMES_OF_TWO if name != "calibration_error"]
NINE_AND_TEN = ("abcdefghii", "abcdefghij")
LIMITS = (2.0**-23, 1 - 2.0**-23)  # what float32 can tell from 0 and 1


def images(
    labels: Sequence[int], probabilities: Sequence[float], patients: Sequence[str] | None = None
) -> list[Prediction]:
    """Makes predictions; one patient an image unless told otherwise."""
    patients = patients or [f"p{index}" for index in range(len(labels))]
    return [
        Prediction(f"f{index}", patient, int(label), probabilities=two_classes(probability))
        for index, (label, probability, patient) in enumerate(
            zip(labels, probabilities, patients, strict=True)
        )
    ]


def score(predictions: Sequence[Prediction], **options: Any) -> dict[str, Any]:
    """Scores and makes sure that the result is JSON without NaN."""
    result = typed_json.to_json(
        compute.score(predictions, split="test", label_names=NAMES, **options)
    )
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    return result


def many(count: int, *, seed: int = 3, ties: bool = True) -> list[Prediction]:
    """Draws images of patients with one to four images, probabilities in steps of 0.05 if tied."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=count)
    raw = 1 / (1 + np.exp(-rng.normal(labels - 0.6, 1.2)))
    patients = [f"p{number}" for number in rng.integers(count // 2, size=count)]
    return images(list(labels), list(np.round(raw * 20) / 20 if ties else raw), patients)


def by_reference(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> dict[str, float]:
    """Computes every metric but the calibration error; those that are not defined are left out."""
    answers = (probabilities > 0.5).astype(int)
    if len(labels) == 0:
        return {}
    clipped = np.clip(probabilities, *LIMITS)
    values = {
        "accuracy": reference.accuracy_score(labels, answers),
        "brier": reference.brier_score_loss(labels, probabilities),
        "log_loss": reference.log_loss(labels, clipped, labels=[0, 1]),
    }
    if labels.any():
        values["recall"] = reference.recall_score(labels, answers)
    if not labels.all():
        values["specificity"] = reference.recall_score(labels, answers, pos_label=0)
    if not labels.any() or labels.all():
        return values
    values["auc"] = reference.roc_auc_score(labels, probabilities)
    values["partial_auc"] = reference.roc_auc_score(labels, probabilities, max_fpr=0.1)
    values["average_precision"] = reference.average_precision_score(labels, probabilities)
    values["f1"] = reference.f1_score(labels, answers)
    values["balanced_accuracy"] = reference.balanced_accuracy_score(labels, answers)
    values["pf1"] = probabilistic_f1(labels, probabilities)
    if answers.any():
        values["precision"] = reference.precision_score(labels, answers)
    if answers.any() and not answers.all():
        values["mcc"] = reference.matthews_corrcoef(labels, answers)
    across, up, _ = reference.roc_curve(labels, probabilities, drop_intermediate=False)
    false, found = np.rint(across * sum(1 - labels)), np.rint(up * sum(labels))
    for percent in (90, 95):
        few = 100 * false <= (100 - percent) * sum(1 - labels)
        enough = 100 * found >= percent * sum(labels)
        values[f"sensitivity_at_{percent}_specificity"] = max(up[few])
        values[f"specificity_at_{percent}_sensitivity"] = max(1 - across[enough])
    return {**values, **recalibration(labels, special.logit(clipped))}


def probabilistic_f1(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float:
    """The harmonic mean of probabilistic precision and recall, as RSNA's competition states it."""
    true, false = sum(probabilities[labels == 1]), sum(probabilities[labels == 0])
    if true == 0:
        return 0.0
    precision, recall = true / (true + false), true / sum(labels)
    return float(2 * precision * recall / (precision + recall))


def recalibration(labels: NDArray[np.int64], odds: NDArray[np.float64]) -> dict[str, float]:
    """Solves the likelihood equations of both regressions with SciPy."""

    def excess(intercept: float, slope: float) -> NDArray[np.float64]:
        return labels - special.expit(intercept + slope * odds)

    intercept = optimize.brentq(lambda a: excess(a, 1).sum(), -50, 50, xtol=1e-13, rtol=1e-13)
    of_none, of_some = odds[labels == 0], odds[labels == 1]
    crossed = min(max(of_none) - min(of_some), max(of_some) - min(of_none))
    if crossed <= 1e-6 or np.ptp(odds) < 0.01:  # what float32 can't tell apart is a tie
        return {"calibration_intercept": intercept}

    def inner(slope: float) -> float:
        """The best intercept for a slope: the likelihood of the slope alone is concave."""
        span = 50 + abs(slope) * abs(odds).max()
        return optimize.brentq(lambda a: excess(a, slope).sum(), -span, span, xtol=1e-14)

    def pull(slope: float) -> float:
        return float(excess(inner(slope), slope) @ (odds - odds.mean()))

    width = 1.0
    while pull(-width) * pull(width) > 0:
        width *= 4
    slope = optimize.brentq(pull, -width, width, xtol=1e-14, rtol=1e-13)
    return {"calibration_intercept": intercept, "calibration_slope": slope}


pairs = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.25, 0.5, 0.5000001, 1.0])),
    ),
    max_size=40,
)


@settings(deadline=None)
@given(pairs)
def test_values_are_those_of_the_references(drawn: list[tuple[int, float]]) -> None:
    labels = np.array([label for label, _ in drawn], np.int64)
    probabilities = np.array([probability for _, probability in drawn], np.float64)
    result = score(images(list(labels), list(probabilities)), resamples=5)
    expected = by_reference(labels, probabilities)
    for name in RESAMPLED:
        if name in expected:
            assert result[name]["value"] == pytest.approx(expected[name], rel=1e-8, abs=1e-9), name
        else:
            assert result[name]["value"] is None, name
            assert result[name]["not_defined_because"]
    if drawn:
        matrix = reference.confusion_matrix(labels, probabilities > 0.5, labels=[0, 1])
        assert result["confusion_matrix"] == matrix.tolist()


@pytest.mark.parametrize("ties", [True, False], ids=["ties", "no ties"])
def test_intervals_are_percentiles_of_a_plain_loop_over_drawn_patients(
    ties: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Metrics of weighted images are those of the references on images repeated as often."""
    predictions = many(157, ties=ties)
    labels = np.array([image.label for image in predictions])
    probabilities = np.array([image.probability for image in predictions])
    patients = np.array([image.patient_id for image in predictions])
    monkeypatch.setattr(intervals, "BLOCK_VALUES", 157 * 7)  # several blocks, the last one smaller
    result = score(predictions, resamples=40, seed=11)
    names = np.unique(patients)
    rng = np.random.default_rng(11)
    samples = []
    for _ in range(40):
        drawn = rng.integers(len(names), size=len(names))
        index = np.concatenate([np.flatnonzero(patients == names[one]) for one in drawn])
        samples.append(by_reference(labels[index], probabilities[index]))
    for name in RESAMPLED:
        low, high = np.percentile([sample[name] for sample in samples], [2.5, 97.5])
        assert result[name]["low"] == pytest.approx(low, rel=1e-8, abs=1e-9), name
        assert result[name]["high"] == pytest.approx(high, rel=1e-8, abs=1e-9), name
        assert low < result[name]["value"] < high
    assert result["interval"] == "95 % percentile bootstrap over patients, 40 resamples, seed 11"


def test_same_seed_same_score_and_another_seed_another_interval() -> None:
    predictions = many(80)
    assert score(predictions, resamples=50) == score(predictions, resamples=50)
    assert (
        score(predictions, resamples=50)["auc"] != score(predictions, resamples=50, seed=1)["auc"]
    )


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 4), st.integers(0, 100))
def test_more_images_of_the_same_patients_tell_nothing_new(times: int, seed: int) -> None:
    once = many(30, seed=seed)
    copies = [
        Prediction(
            f"{image.image_id}-{copy}",
            image.patient_id,
            image.label,
            probabilities=image.probabilities,
        )
        for image in once
        for copy in range(times)
    ]
    one, more = score(once, resamples=100), score(copies, resamples=100)
    for name in RESAMPLED:
        for key in ("value", "low", "high"):
            if one[name][key] is None:
                assert more[name][key] is None, name
            else:
                assert more[name][key] == pytest.approx(one[name][key], rel=1e-8, abs=1e-9), name
    assert (more["images"], more["patients"]) == (times * one["images"], one["patients"])


def test_interval_over_patients_is_wider_than_over_images_that_repeat_each_other() -> None:
    once = many(60, ties=False)
    labels = [image.label for image in once for _ in range(4)]
    probabilities = [image.probability for image in once for _ in range(4)]
    clustered = score(images(labels, probabilities, [f"p{n // 4}" for n in range(240)]))["auc"]
    naive = score(images(labels, probabilities))["auc"]
    ratio = (clustered["high"] - clustered["low"]) / (naive["high"] - naive["low"])
    assert ratio == pytest.approx(2, rel=0.15)  # a fourth of the information, twice the width


def test_content_of_metrics_json() -> None:
    predictions = images([0, 0, 0, 1, 1], [0.1, 0.5, 0.9, 0.8, 0.2], ["a", "a", "b", "c", "c"])
    result = score(predictions)
    assert list(result) == [
        *("split", "images", "patients", "labels", "threshold", "majority_baseline"),
        *NAMES_OF_TWO,
        *("confusion_matrix", "interval", "predicts_one_class"),
        *("calibrated", "chosen_threshold", "levels", "subgroups"),
    ]
    assert result["split"] == "test"
    assert (result["images"], result["patients"]) == (5, 3)
    assert result["labels"] == {"benign": 3, "malignant": 2}
    assert result["majority_baseline"] == 0.6
    assert result["confusion_matrix"] == [[2, 1], [1, 1]]  # 0.5 itself is not above 0.5
    assert result["accuracy"]["value"] == 0.6
    assert result["predicts_one_class"] is False


OF_ONE_CLASS = {"accuracy", "brier", "log_loss"}
FEW = {"calibration_error": "too few images for 10 bins: 4, wanted 50"}


@pytest.mark.parametrize(
    ("labels", "probabilities", "reasons"),
    [
        pytest.param([], [], dict.fromkeys(NAMES_OF_TWO, "no images"), id="empty"),
        pytest.param(
            [0, 0, 0, 0],
            [0.1, 0.2, 0.9, 0.3],
            dict.fromkeys(
                {*NAMES_OF_TWO} - OF_ONE_CLASS - {"specificity"}, "no image.* is malignant"
            )
            | FEW,
            id="only benign",
        ),
        pytest.param(
            [1, 1, 1, 1],
            [0.1, 0.2, 0.9, 0.3],
            dict.fromkeys({*NAMES_OF_TWO} - OF_ONE_CLASS - {"recall"}, "no image.* is benign")
            | FEW,
            id="only malignant",
        ),
        pytest.param(
            [0, 1, 0, 1],
            [0.1, 0.3, 0.4, 0.45],
            {"precision": "calls no image malignant", "mcc": "calls every image benign", **FEW},
            id="nothing found",
        ),
        pytest.param(
            [0, 1, 0, 1],
            [0.6, 0.7, 0.8, 0.9],
            {"mcc": "calls every image malignant", **FEW},
            id="everything called",
        ),
        pytest.param(
            [0, 0, 1, 1],
            [0.1, 0.4, 0.4, 0.9],
            {"calibration_slope": "parts the classes without an error", **FEW},
            id="separated but for a tie",
        ),
        pytest.param(
            [1, 0, 1, 0],
            [0.5, 0.5001, 0.5, 0.4999],
            {"calibration_slope": "nearly the same", **FEW},
            id="nothing learned",
        ),
    ],
)
def test_metrics_that_are_not_defined_say_why(
    labels: list[int], probabilities: list[float], reasons: dict[str, str]
) -> None:
    result = score(images(labels, probabilities))
    for name in NAMES_OF_TWO:
        if name in reasons:
            because = result[name].pop("not_defined_because")
            result[name].pop("delong", None)
            assert result[name] == {"value": None, "low": None, "high": None}
            assert re.search(reasons[name], because), (name, because)
        else:
            assert result[name]["value"] is not None, name
    assert (result["majority_baseline"] is None) == (labels == [])


def test_perfect_separation_has_metrics_but_no_slope_and_no_variance() -> None:
    labels = [0] * 40 + [1] * 40
    result = score(images(labels, np.linspace(0.01, 0.99, 80).tolist()), resamples=200)
    assert result["auc"]["value"] == result["partial_auc"]["value"] == 1.0
    assert result["calibration_slope"]["value"] is None
    assert abs(result["calibration_intercept"]["value"]) < 1e-9  # as many too high as too low
    assert result["auc"]["delong"]["se"] is None
    assert "no variance" in result["auc"]["delong"]["not_defined_because"]


@pytest.mark.parametrize("wrong", [0.0, 1e-30], ids=["0", "1e-30"])
def test_a_image_called_impossible_costs_as_much_as_float32_can_tell(wrong: float) -> None:
    result = score(images([1, 0, 1, 0], [wrong, 0.0, 1.0, 0.5]))
    expected = -(np.log(LIMITS[0]) + 2 * np.log(LIMITS[1]) + np.log(0.5)) / 4
    assert result["log_loss"]["value"] == pytest.approx(expected, abs=1e-12)


def with_answers(
    predictions: Sequence[Prediction], thresholds: Sequence[float | None]
) -> list[Prediction]:
    """Adds thresholds, and the square of the probability as the calibrated one."""
    return [
        dataclasses.replace(
            image,
            threshold=one,
            calibrated_probabilities=two_classes(image.probability**2),
        )
        for image, one in zip(predictions, thresholds, strict=True)
    ]


def test_each_image_is_called_at_the_threshold_of_its_own_model() -> None:
    predictions = many(80)
    thresholds = [0.3 if index < 40 else 0.7 for index in range(80)]
    chosen = score(with_answers(predictions, thresholds), resamples=50)["chosen_threshold"]
    labels = np.array([image.label for image in predictions])
    called = np.array([image.probability for image in predictions]) > thresholds
    assert chosen["thresholds"] == [0.3, 0.7]
    assert chosen["confusion_matrix"] == reference.confusion_matrix(labels, called).tolist()
    for name, function in {
        "accuracy": reference.accuracy_score,
        "balanced_accuracy": reference.balanced_accuracy_score,
        "precision": reference.precision_score,
        "recall": reference.recall_score,
        "f1": reference.f1_score,
        "mcc": reference.matthews_corrcoef,
    }.items():
        assert chosen[name]["value"] == pytest.approx(function(labels, called), abs=1e-12)
        assert chosen[name]["low"] < chosen[name]["value"] < chosen[name]["high"]


def test_the_threshold_chosen_at_one_half_changes_nothing() -> None:
    result = score(with_answers(many(80), [0.5] * 80), resamples=50)
    chosen = result["chosen_threshold"]
    assert {name: chosen[name] for name in metric_table.keys("binary", section="decisions")} == {
        name: result[name] for name in metric_table.keys("binary", section="decisions")
    }
    assert chosen["confusion_matrix"] == result["confusion_matrix"]


def test_calibrated_probabilities_are_scored_as_such() -> None:
    predictions = many(80)
    result = score(with_answers(predictions, [None] * 80), resamples=50)
    squares = images(
        [image.label for image in predictions],
        [image.probability**2 for image in predictions],
        [image.patient_id for image in predictions],
    )
    again = score(squares, resamples=50)
    assert set(result["calibrated"]) == set(CALIBRATION)
    for name in CALIBRATION:
        assert result["calibrated"][name] == again[name]
        assert result["calibrated"][name] != result[name]


@pytest.mark.parametrize(
    ("given", "reason"), [(0, "80 of 80 images have no"), (79, "1 of 80 images have no")]
)
def test_what_some_images_lack_is_not_scored(given: int, reason: str) -> None:
    predictions = many(80)
    complete = with_answers(predictions, [0.4] * 80)
    result = score([*complete[:given], *predictions[given:]], resamples=5)
    assert result["calibrated"] == {"not_defined_because": f"{reason} calibrated probability"}
    chosen = {"not_defined_because": f"{reason} threshold chosen on validation"}
    assert result["chosen_threshold"] == chosen


def test_no_images_have_no_metric_anywhere() -> None:
    result = score([])
    none = {"not_defined_because": "there are no images in this split"}
    assert result["calibrated"] == result["chosen_threshold"] == none
    assert result["levels"]["breast"]["mean"]["groups"] == 0
    because = result["levels"]["patient"]["max"]["auc"]["not_defined_because"]
    assert because == "there are no patients in this split"
    assert result["subgroups"] == {column: [] for column in subgroups.COLUMNS}


def test_all_the_same_probability_is_chance_and_one_class() -> None:
    result = score(images([0, 1, 1, 0, 0] * 8, [0.7] * 40))
    auc = result["auc"]
    assert (auc["value"], auc["low"], auc["high"]) == (0.5, None, None)
    assert auc["interval_not_defined_because"].startswith("nearly all resamples")
    assert result["predicts_one_class"] is True
    assert result["recall"]["value"] == 1.0
    assert result["specificity"]["value"] == 0.0
    assert result["majority_baseline"] == 0.6


def test_interval_is_withheld_where_resamples_often_lack_the_metric() -> None:
    result = score(images([0] * 9 + [1], [0.1] * 9 + [0.9]))  # (9/10)^10 = 35 % have no malignant
    auc = result["auc"]
    assert (auc["value"], auc["low"], auc["high"]) == (1.0, None, None)
    assert "not defined in 3" in auc["interval_not_defined_because"]
    assert "nearly all resamples" in result["accuracy"]["interval_not_defined_because"]


def test_interval_stays_where_few_resamples_lack_the_metric() -> None:
    labels = [0] * 94 + [1, 0] + [1] * 4
    auc = score(images(labels, np.linspace(0, 1, 100).tolist()))["auc"]
    assert auc["low"] < auc["value"] < auc["high"] == 1.0  # 0.6 % have no malignant image


def test_one_patient_has_no_interval() -> None:
    accuracy = score(images([0, 1, 1], [0.1, 0.9, 0.2], ["p"] * 3))["accuracy"]
    assert accuracy["value"] == pytest.approx(2 / 3)
    assert accuracy["low"] is None
    assert accuracy["interval_not_defined_because"] == "all images are of one patient"


def test_nine_patients_have_no_interval_and_ten_have() -> None:
    nine, ten = (
        score(images([0, 1] * 5, [0.1, 0.9] * 4 + [0.9, 0.1], list(names)))
        for names in NINE_AND_TEN
    )
    assert nine["accuracy"]["value"] == 0.8
    few = "too few patients to draw from: 9, wanted 10"
    assert nine["accuracy"]["interval_not_defined_because"] == few
    assert ten["accuracy"]["low"] < 0.8 < ten["accuracy"]["high"]


def test_refuses_images_of_another_split() -> None:
    image = Prediction("f", "p", 1, probabilities=two_classes(0.5), split="fold0")
    with pytest.raises(CallerError, match="image 'f' is of split 'fold0', wanted 'test'"):
        score([image])


def test_refuses_predictions_of_another_number_of_classes() -> None:
    of_three = Prediction("g", "p", 2, probabilities=(0.5, 0.25, 0.25))
    with pytest.raises(CallerError, match="image 'g' has a prediction of 3 classes, wanted 2: ben"):
        score([*many(10), of_three])
    with pytest.raises(CallerError, match="image 'f0' has a prediction of 2 classes, wanted 3"):
        compute.score(many(10), split="test", label_names=("A", "B", "C"))


def test_resamples_count_pairs_of_one_patient_twice_over() -> None:
    """Patients in a row, each right in her own pair: AUC 1/2 + (sum of squared draws) / 2 n^2."""
    patients = 11
    names = [f"p{place // 2:02d}" for place in range(2 * patients)]
    given = np.linspace(0.1, 0.9, 2 * patients).tolist()
    auc = score(images([0, 1] * patients, given, names))["auc"]
    draws = np.random.default_rng(1).multinomial(patients, [1 / patients] * patients, 100_000)
    expected = np.percentile(1 / 2 + (draws**2).sum(axis=1) / (2 * patients**2), [2.5, 97.5])
    assert auc["value"] == pytest.approx(1 / 2 + 1 / (2 * patients))
    assert [auc["low"], auc["high"]] == pytest.approx(expected)
    assert auc["value"] < auc["low"]


def test_refuses_no_resamples() -> None:
    with pytest.raises(CallerError, match="0 resamples, wanted at least 1"):
        score(many(10), resamples=0)
