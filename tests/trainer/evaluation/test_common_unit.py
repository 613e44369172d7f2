"""Runs of images, breasts and examinations on common ground."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from records.errors import CallerError
from tests import make
from trainer.evaluation import common_unit, compared_run, paired_comparison
from trainer.metrics.predictions import Prediction, two_classes

DRAW = np.random.default_rng(1)


def one(name, patient, label, *, side="", image_ids="", probability=None):
    return Prediction(
        name,
        patient,
        label,
        split="test",
        image_ids=image_ids,
        columns={"side": side},
        probabilities=two_classes(float(DRAW.uniform()) if probability is None else probability),
    )


def images(sides=("left", "right")):
    return [
        one(f"{patient}_{side}_{view}", f"p{patient}", patient % 2 * (side != "right"), side=side)
        for patient in range(12)
        for side in sides
        for view in ("CC", "MLO")
    ]


def read(tmp_path, **runs):
    for name, (given, unit) in runs.items():
        make.write_run(tmp_path / name, given, unit=unit)
    return compared_run.read_all([tmp_path / name for name in runs])


def test_runs_of_one_unit_are_left_as_they_are(tmp_path):
    runs = read(tmp_path, a=(images(), "image"), b=(images(), "image"))
    assert common_unit.group(runs) == runs


def test_images_beside_examinations_are_taken_by_patient(tmp_path):
    single = images()
    exams = [one(f"e{p}", f"p{p}", p % 2, image_ids="a;b;;") for p in range(11)]
    runs = read(tmp_path, single=(single, "image"), exam=(exams, "exam"))
    first, second = common_unit.group(runs)
    assert (first.name, second.name) == ("single, mean of views", "exam")
    assert first.images.keys() == {f"p{patient}" for patient in range(12)}
    by_patient = [[i for i in single if i.patient_id == f"p{p}"] for p in range(12)]
    labels = [max(image.label for image in group) for group in by_patient]
    mean = [np.mean([image.probability for image in group]) for group in by_patient]
    assert first.scores["auc"].value == pytest.approx(roc_auc_score(labels, mean))
    (made,) = paired_comparison.compare(first, [second])
    assert (made.unit, made.images, made.not_shared, made.labels_differ) == (
        "patient",
        11,
        (1, 0),
        0,
    )
    assert made.metrics["auc"].baseline == pytest.approx(roc_auc_score(labels[:11], mean[:11]))


def test_images_without_a_side_are_of_no_breast(tmp_path):
    breasts = [one(f"b{p}", f"p{p}", p % 2, side="left", image_ids="a;") for p in range(4)]
    runs = read(tmp_path, single=(images(("",)), "image"), two=(breasts, "breast"))
    with pytest.raises(CallerError, match=r"single can't be compared by breast: 24 of 24 images"):
        common_unit.group(runs)
