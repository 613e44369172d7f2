"""Subgroups of images by hand."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from trainer.metrics import metric_table, subgroups, typed_json
from trainer.metrics.intervals import Bootstrap
from trainer.metrics.prediction_arrays import PredictionArrays
from trainer.metrics.predictions import Prediction, two_classes


def images(count=60, **columns):
    """One image of each patient; each column a list that is repeated."""
    rng = np.random.default_rng(1)
    labels = rng.integers(2, size=count)
    return [
        Prediction(
            f"f{n}",
            f"p{n}",
            int(label),
            probabilities=two_classes(rng.random()),
            columns={name: values[n % len(values)] for name, values in columns.items()},
        )
        for n, label in enumerate(labels)
    ]


def score(predictions):
    evaluated = PredictionArrays.of(predictions, ("benign", "malignant"))
    scored = subgroups.score(predictions, evaluated, Bootstrap(30), threshold=0.5)
    return {name: [typed_json.to_json(one) for one in groups] for name, groups in scored.items()}


@pytest.mark.parametrize("column", subgroups.COLUMNS)
def test_metrics_are_those_of_the_images_with_the_value(column):
    predictions = images(**{column: ["b", "a"]})
    found = score(predictions)
    assert [one["value"] for one in found[column]] == ["a", "b"]
    for one in found[column]:
        part = [image for image in predictions if image.columns[column] == one["value"]]
        labels, probabilities = zip(
            *((image.label, image.probability) for image in part), strict=True
        )
        assert (one["images"], one["patients"]) == (30, 30)
        assert one["labels"] == {"benign": 30 - sum(labels), "malignant": sum(labels)}
        assert one["auc"]["value"] == pytest.approx(roc_auc_score(labels, probabilities))
        expected = accuracy_score(labels, np.array(probabilities) > 0.5)
        assert one["accuracy"]["value"] == pytest.approx(expected)
        assert one["recall"]["low"] < one["recall"]["value"] < one["recall"]["high"]
        assert list(one)[4:] == list(metric_table.brief("binary"))
    others = set(subgroups.COLUMNS) - {column}
    assert {name: found[name] for name in others} == {key: [] for key in others}


def test_a_image_of_two_kinds_of_lesion_counts_with_both():
    found = score(images(abnormality=["mass", "calcification+mass", "calcification"]))
    assert [(one["value"], one["images"]) for one in found["abnormality"]] == [
        ("calcification", 40),
        ("mass", 40),
    ]


def test_images_that_state_nothing_come_last():
    found = score(images(density=["2", "", "1"]))
    assert [one["value"] for one in found["density"]] == ["1", "2", "not stated"]


def test_three_images_say_nothing_and_why():
    predictions = [*images(view=["CC"]), *images(3, view=["MLO"])]
    for place, number in enumerate(range(60, 63)):
        image = predictions[number]
        predictions[number] = Prediction(
            f"g{place}",
            f"q{place}",
            image.label,
            probabilities=image.probabilities,
            columns={"view": "MLO"},
        )
    few = score(predictions)["view"][1]
    assert (few["value"], few["images"], few["patients"]) == ("MLO", 3, 3)
    for name in metric_table.brief("binary"):
        assert few[name]["value"] is None
        assert few[name]["not_defined_because"] == "too few patients: 3, wanted 10"


def test_a_subgroup_of_one_class_has_what_can_be_told():
    predictions = [image for image in images(120, abnormality=["mass", ""]) if image.label]
    found = score(predictions)["abnormality"][0]
    assert found["recall"]["value"] is not None
    assert found["auc"]["not_defined_because"] == "no image of this subgroup is benign"


def test_of_several_classes_balanced_accuracy_takes_the_place_of_recall():
    row = {0: (0.5, 0.25, 0.25), 1: (0.25, 0.5, 0.25), 2: (0.5, 0.25, 0.25)}
    predictions = [
        Prediction(f"f{n}", f"p{n}", n % 3, columns={"view": "CC"}, probabilities=row[n % 3])
        for n in range(30)
    ]
    evaluated = PredictionArrays.of(predictions, ("A", "B", "C"))
    (found,) = subgroups.score(predictions, evaluated, Bootstrap(30), threshold=0.5)["view"]
    assert list(found.metrics) == ["auc", "accuracy", "balanced_accuracy"]
    assert found["balanced_accuracy"].value == pytest.approx(2 / 3)
