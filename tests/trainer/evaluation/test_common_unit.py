"""Runs of images, breasts and examinations on common ground."""

import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from records.errors import CallerError
from tests import make
from trainer.commands import experiments
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


def test_experiments_set_a_mean_of_views_beside_two_views_and_list_its_images_too(tmp_path):
    breasts = [
        one(f"b{patient}{side}", f"p{patient}", patient % 2 * (side != "right"), side=side)
        for patient in range(12)
        for side in ("left", "right")
    ]
    read(tmp_path, single=(images(), "image"), two=(breasts, "breast"))
    flagfiles = {}
    for name in ("single", "two", "failed"):
        flagfiles[name] = tmp_path / f"{name}.flags"
        flagfiles[name].write_text("# Of a paper.\n# Published accuracy: none\n")
        (tmp_path / name).mkdir(exist_ok=True)
    for name in ("single", "two"):
        (tmp_path / name / "report.html").touch()
    experiments.write_comparison(tmp_path, flagfiles, {"failed": "why"})
    content = json.loads((tmp_path / "comparison.json").read_text())
    assert [(run["name"], run.get("unit", "image"), run["images"]) for run in content["runs"]] == [
        ("single, mean of views", "breast", 24),
        ("two", "breast", 24),
        ("single", "image", 48),
    ]
    (made,) = content["comparisons"]
    assert (made["run"], made["unit"], made["images"]) == ("two", "breast", 24)
    experiments.write_comparison(tmp_path / "new", {"failed": flagfiles["failed"]}, {"failed": "x"})
    assert "x" in (tmp_path / "new" / "comparison.html").read_text()


def test_experiments_on_images_without_a_side_are_listed_all_the_same(tmp_path, capsys):
    breasts = [one(f"b{p}", f"p{p}", p % 2, side="left", image_ids="a;") for p in range(4)]
    read(tmp_path, single=(images(("",)), "image"), two=(breasts, "breast"))
    flagfiles = {name: tmp_path / f"{name}.flags" for name in ("single", "two")}
    for name, path in flagfiles.items():
        path.write_text("# Of a paper.\n# Published accuracy: none\n")
        (tmp_path / name / "report.html").touch()
    experiments.write_comparison(tmp_path, flagfiles, {})
    assert "warning: " in capsys.readouterr().err
    content = json.loads((tmp_path / "comparison.json").read_text())
    assert [run["name"] for run in content["runs"]] == ["single", "two"]
