"""Scores of several classes against scikit-learn, resamples against a plain loop over them."""

import dataclasses
import functools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from records.errors import CallerError
from trainer.metrics import compute, intervals, metric_table, multiclass, typed_json
from trainer.metrics.called_class import called_classes
from trainer.metrics.prediction_arrays import PredictionArrays
from trainer.metrics.predictions import Prediction

NAMES = ("A", "B", "C", "D")


def many(count, *, classes=4, seed=2, patients=None):
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=count)
    raw = (
        rng.random((count, classes)).round(1) + 0.1 + 0.5 * (labels[:, None] == np.arange(classes))
    )
    raw /= raw.sum(axis=1, keepdims=True)
    owners = rng.integers(patients or count, size=count)
    return [
        Prediction(f"f{n}", f"p{owner}", int(label), probabilities=tuple(row))
        for n, (label, row, owner) in enumerate(zip(labels, raw, owners, strict=True))
    ]


def columns(images):
    """Labels [images] and probabilities [images, K]."""
    return np.array([f.label for f in images]), np.array([f.probabilities for f in images])


def by_sklearn(labels, probabilities, *, ordinal):
    """Every metric by scikit-learn; those it can't define as we do are left out."""
    classes = np.arange(probabilities.shape[1])
    above = 1 - np.cumsum(probabilities, axis=1)
    answers = (above > 0.5).sum(axis=1) if ordinal else probabilities.argmax(axis=1)
    truth = labels[:, None] == classes
    found = {
        "accuracy": reference.accuracy_score(labels, answers),
        "brier": np.square(probabilities - truth).sum(axis=1).mean() / 2,
        "log_loss": reference.log_loss(labels, probabilities, labels=classes),
    }
    if len(set(labels)) > 1 and len(set(answers)) > 1:
        found["mcc"] = reference.matthews_corrcoef(labels, answers)
    if set(labels) == set(classes):
        found["balanced_accuracy"] = reference.balanced_accuracy_score(labels, answers)
        found["macro_f1"] = reference.f1_score(labels, answers, average="macro", zero_division=0)
        one_against_the_rest = {
            "auc": reference.roc_auc_score,
            "partial_auc": functools.partial(reference.roc_auc_score, max_fpr=0.1),
            "average_precision": reference.average_precision_score,
        }
        for name, function in one_against_the_rest.items():
            of_classes = [function(labels == k, probabilities[:, k]) for k in classes]
            found[name] = np.mean(of_classes)
        found["macro_specificity"] = np.mean(
            [reference.recall_score(labels != k, answers != k) for k in classes]
        )
        if set(answers) == set(classes):
            found["macro_precision"] = reference.precision_score(labels, answers, average="macro")
    if ordinal and len(set(labels) | set(answers)) > 1:
        found["kappa"] = reference.cohen_kappa_score(
            labels, answers, weights="quadratic", labels=classes
        )
    return found


def resampled(*, ordinal):
    names = metric_table.keys("ordinal" if ordinal else "classes")
    return [name for name in names if name != "calibration_error"]


def score(images, *, ordinal=False, names=NAMES, **options):
    found = typed_json.to_json(
        compute.score(images, split="test", label_names=names, ordinal=ordinal, **options)
    )
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return found


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 40), st.integers(0, 1000), st.booleans(), st.sampled_from([3, 4]))
def test_values_are_those_of_sklearn(count, seed, ordinal, classes):
    images = many(count, seed=seed, classes=classes)
    found = score(images, ordinal=ordinal, names=NAMES[:classes], resamples=5)
    labels, probabilities = columns(images)
    expected = by_sklearn(labels, probabilities, ordinal=ordinal)
    for name in resampled(ordinal=ordinal):
        if name in expected:
            assert found[name]["value"] == pytest.approx(expected[name], abs=1e-12), name
        else:
            assert found[name]["value"] is None
            assert found[name]["not_defined_because"]
    answers = called_classes(probabilities, ordinal=ordinal)
    matrix = reference.confusion_matrix(labels, answers, labels=range(classes))
    assert found["confusion_matrix"] == matrix.tolist()
    assert found["majority_baseline"] == max(np.bincount(labels)) / count
    assert found["predicts_one_class"] == (len(set(answers)) == 1)


def test_macro_auc_is_scikit_learns_own():
    labels, probabilities = columns(images := many(60))
    expected = reference.roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    assert score(images, resamples=5)["auc"]["value"] == pytest.approx(expected, abs=1e-12)


def test_interval_is_the_percentiles_of_a_plain_loop_over_patients(monkeypatch):
    images = many(140, patients=60)
    monkeypatch.setattr(intervals, "BLOCK_VALUES", 140 * 7)
    found = score(images, ordinal=True, resamples=40, seed=11)
    labels, probabilities = columns(images)
    patients = np.array([image.patient_id for image in images])
    names, rng, samples = np.unique(patients), np.random.default_rng(11), []
    for _ in range(40):
        drawn = rng.integers(len(names), size=len(names))
        index = np.concatenate([np.flatnonzero(patients == names[one]) for one in drawn])
        samples.append(by_sklearn(labels[index], probabilities[index], ordinal=True))
    for name in resampled(ordinal=True):
        low, high = np.percentile([sample[name] for sample in samples], [2.5, 97.5])
        assert found[name]["low"] == pytest.approx(low, abs=1e-12)
        assert found[name]["high"] == pytest.approx(high, abs=1e-12)


def test_a_class_without_images_is_named():
    images = [image for image in many(40) if image.label != 2]
    found = score(images, ordinal=True, resamples=20)
    for name in ("auc", "balanced_accuracy", "macro_f1"):
        assert found[name]["not_defined_because"] == "no image of this split is C"
    assert found["labels"]["C"] == 0
    assert found["accuracy"]["value"] is not None
    assert found["kappa"]["value"] is not None


def test_no_images():
    found = score([], ordinal=True, resamples=5)
    assert found["kappa"]["not_defined_because"] == "there are no images in this split"
    assert found["majority_baseline"] is None
    assert not found["predicts_one_class"]


def test_images_of_another_split_are_refused():
    image = Prediction("f", "p", 2, split="fold1", probabilities=(0.5, 0.25, 0.25))
    with pytest.raises(CallerError, match="image 'f' is of split 'fold1', wanted 'test'"):
        score([image], names=NAMES[:3])


def test_a_class_never_called_has_no_precision():
    images = [Prediction(f"f{n}", f"p{n}", n % 3, probabilities=(0.5, 0.3, 0.2)) for n in range(12)]
    found = score(images, names=NAMES[:3], resamples=20)
    assert found["macro_precision"]["not_defined_because"] == "the model calls no image B or C"
    assert found["mcc"]["not_defined_because"] == "all images are of one class, or are called one"


def test_two_classes_scored_as_several_have_the_usual_brier_score_and_log_loss():
    rng = np.random.default_rng(3)
    labels, raw = rng.integers(2, size=60), rng.random(60)
    columns = [np.stack([1 - raw, raw], axis=1), np.array([f"p{n}" for n in range(60)])]
    found = multiclass.measure(
        PredictionArrays(labels, *columns, NAMES[:2]),
        np.ones((1, 60)),
        names=["brier", "log_loss", "mcc"],
        called=called_classes(columns[0]),
    )
    assert found["brier"] == pytest.approx(reference.brier_score_loss(labels, raw))
    assert found["log_loss"] == pytest.approx(reference.log_loss(labels, raw))
    assert found["mcc"] == pytest.approx(reference.matthews_corrcoef(labels, raw > 0.5))


def test_calibrated_probabilities_and_no_threshold():
    images = many(60)
    found = score(images, resamples=20)
    assert found["calibrated"]["not_defined_because"] == (
        "60 of 60 images have no calibrated probability"
    )
    assert "here are more" in found["chosen_threshold"]["not_defined_because"]
    calibrated = [
        dataclasses.replace(image, calibrated_probabilities=image.probabilities) for image in images
    ]
    again = score(calibrated, resamples=20)["calibrated"]
    assert again == {name: found[name] for name in ("brier", "log_loss", "calibration_error")}
