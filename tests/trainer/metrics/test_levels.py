"""Breasts and patients by hand and by scikit-learn."""

import collections

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from trainer.metrics import levels, typed_json
from trainer.metrics.intervals import Bootstrap
from trainer.metrics.prediction_arrays import PredictionArrays
from trainer.metrics.predictions import Prediction, two_classes

NAMES = ("benign", "malignant")
GRADES = ("A", "B", "C")


def image(number, patient, label, probability, *, side="left", view="CC", probabilities=()):
    return Prediction(
        f"f{number}",
        patient,
        label,
        columns={"side": side, "view": view},
        probabilities=probabilities or two_classes(probability),
    )


def four_views(count, seed=3):
    """Patients of two breasts and two views, some images missing."""
    rng = np.random.default_rng(seed)
    found = []
    for patient in range(count):
        for side in ("left", "right"):
            label = int(rng.integers(2))
            for view in ("CC", "MLO"):
                if rng.random() < 0.85:
                    p = float(np.clip(rng.normal(0.4 + 0.2 * label, 0.2), 0, 1))
                    found.append(image(len(found), f"p{patient}", label, p, side=side, view=view))
    return found


def score(images, names=NAMES, *, ordinal=False, resamples=30):
    evaluated = PredictionArrays.of(images, names, ordinal=ordinal)
    scored = levels.score(images, evaluated, Bootstrap(resamples), threshold=0.5)
    return {unit: typed_json.to_json(level) for unit, level in scored.items()}


def by_hand(images, key):
    """Label and probabilities of each group, in plain Python."""
    groups = collections.defaultdict(list)
    for one in images:
        groups[key(one)].append(one)
    return [
        (max(one.label for one in group), [one.probability for one in group])
        for group in groups.values()
    ]


@pytest.mark.parametrize("unit", levels.UNITS)
@pytest.mark.parametrize(("how", "function"), [("mean", np.mean), ("max", np.max)])
def test_metrics_are_those_of_groups_made_by_hand(unit, how, function):
    images = four_views(30)
    found = score(images)[unit][how]
    keys = {
        "breast": lambda one: (one.patient_id, one.columns["side"]),
        "patient": lambda one: one.patient_id,
    }
    groups = by_hand(images, keys[unit])
    labels = np.array([label for label, _ in groups])
    probabilities = np.array([function(of_images) for _, of_images in groups])
    assert found["groups"] == len(groups)
    assert found["patients"] == len({one.patient_id for one in images})
    assert found["labels"] == {"benign": sum(1 - labels), "malignant": sum(labels)}
    expected = {
        "auc": reference.roc_auc_score(labels, probabilities),
        "partial_auc": reference.roc_auc_score(labels, probabilities, max_fpr=0.1),
        "accuracy": reference.accuracy_score(labels, probabilities > 0.5),
        "recall": reference.recall_score(labels, probabilities > 0.5),
        "f1": reference.f1_score(labels, probabilities > 0.5),
    }
    for name, value in expected.items():
        assert found[name]["value"] == pytest.approx(value, abs=1e-12)
        assert found[name]["low"] <= found[name]["value"] <= found[name]["high"]
    assert "brier" not in found


def test_one_positive_image_makes_its_breast_and_its_patient_positive():
    images = [
        image(0, "a", 0, 0.2),
        image(1, "a", 1, 0.4, view="MLO"),
        image(2, "a", 0, 0.9, side="right"),
        image(3, "b", 0, 0.1),
    ]
    found = score(images)
    assert found["breast"]["note"] == "a breast is malignant if any of its images is"
    assert found["breast"]["mean"]["labels"] == {"benign": 2, "malignant": 1}
    assert found["patient"]["max"]["labels"] == {"benign": 1, "malignant": 1}
    assert found["breast"]["max"]["recall"]["value"] == 0  # 0.4
    assert found["patient"]["max"]["recall"]["value"] == 1  # 0.9, though of the other breast
    assert found["patient"]["mean"]["recall"]["value"] == 0  # 0.5 is not above 0.5


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000))
def test_one_image_of_each_patient_is_the_image_itself(seed):
    images = [
        one
        for one in four_views(25, seed)
        if (one.columns["side"], one.columns["view"]) == ("left", "CC")
    ]
    found = score(images, resamples=20)
    for unit in levels.UNITS:
        for how in levels.HOW:
            assert found[unit][how]["groups"] == len(images)
    of_groups = [found[unit][how]["auc"] for unit in levels.UNITS for how in levels.HOW]
    labels = np.array([one.label for one in images])
    if 0 < labels.sum() < len(images):
        expected = reference.roc_auc_score(labels, [one.probability for one in images])
        assert of_groups[0]["value"] == pytest.approx(expected, abs=1e-12)
    assert all(one == of_groups[0] for one in of_groups)


def test_breasts_need_sides():
    images = four_views(12)
    images[0] = image(999, "p0", 0, 0.5, side="")
    found = score(images)
    because = f"1 of {len(images)} images do not state their side"
    assert found["breast"] == {"not_defined_because": because}
    assert found["patient"]["mean"]["auc"]["value"] is not None


def graded(number, patient, label):
    row = (0.5, 0.25, 0.25) if label == 0 else (0.125, 0.125, 0.75)
    return image(number, patient, label, 1 - row[0], probabilities=row)


def test_of_grades_the_highest_and_no_maximum():
    images = [graded(n, f"p{n // 2}", n % 3) for n in range(24)]
    found = score(images, GRADES, ordinal=True)["patient"]
    assert found["note"] == "a patient has the highest grade of its images"
    assert found["mean"]["labels"] == {"A": 0, "B": 4, "C": 8}  # 0 1, 2 0, 1 2, ...
    assert "do not add up" in found["max"]["not_defined_because"]
    assert found["mean"]["accuracy"]["value"] == pytest.approx(8 / 12)


def test_classes_without_an_order_leave_out_whose_images_disagree():
    images = [graded(0, "a", 0), graded(1, "a", 1), graded(2, "b", 2), graded(3, "b", 2)]
    found = score(images, GRADES)["patient"]
    assert found["mean"]["groups"] == 1
    assert "is left out" in found["note"]
    because = found["mean"]["auc"]["not_defined_because"]
    assert because == "no patient of this split is A or B"
