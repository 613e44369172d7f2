"""The verb report: finished runs scored again, whoever wrote them, without TensorFlow."""

from __future__ import annotations

import json
import pathlib
import shutil
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from flags.training_config import TrainingConfig
from records.errors import CallerError
from tests import make
from trainer.heat_maps import overlay
from trainer.metrics import predictions
from trainer.metrics.predictions import Prediction, two_classes
from trainer.reports import gallery, report_page
from trainer.reports.gallery import Picture

ROOT = pathlib.Path(__file__).parents[2]
NAMES = ["benign", "malignant"]
PNG = overlay.encode(np.zeros((8, 6), np.uint8))


def split_of(images: int) -> dict[str, Any]:
    labels = {"benign": images // 2, "malignant": images // 2}
    return {"folds": ["a"], "images": images, "patients": images, "left_out": 0, "labels": labels}


def make_images(split: str, start: int, count: int = 60) -> list[Prediction]:
    rng = np.random.default_rng(start)
    return [
        Prediction(
            f"f{number:03d}",
            f"p{number:03d}",
            number % 2,
            probabilities=two_classes(np.clip(rng.normal(0.4 + 0.2 * (number % 2), 0.2), 0, 1)),
            split=split,
        )
        for number in range(start, start + count)
    ]


def write_run(run_dir: pathlib.Path, images: list[Prediction], **described: Any) -> pathlib.Path:
    """Writes a run as it was before there was a metrics.json with all that is in it now."""
    run_dir.mkdir()
    (run_dir / "config.json").write_text(json.dumps(TrainingConfig().to_json()))
    split = split_of(len(images))
    make.write_described(run_dir, **{"splits": {"train": split, "validation": split}, **described})
    (run_dir / "history.csv").write_text(
        "phase,epoch,loss,accuracy,auc,val_loss,val_accuracy,val_auc\n1,1,1,1,1,1,1,1\n"
    )
    predictions.write(run_dir / "predictions.csv", images)
    return run_dir


def ask(run_dir: pathlib.Path) -> int:
    report_page.rescore(run_dir)
    return 0


def test_it_needs_no_tensorflow(tmp_path: pathlib.Path) -> None:
    run_dir = write_run(tmp_path / "run", make_images("test", 0))
    program = (
        "import sys; from trainer import __main__ as program\n"
        f"sys.argv = ['trainer', 'report', '--run={run_dir}']\n"
        "try: program.main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "found = {name.split('.')[0] for name in sys.modules} & {'tensorflow', 'keras'}\n"
        "assert not found, found\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"report: {run_dir.resolve() / 'report.html'}\n"
    assert (run_dir / "report.html").is_file()


def test_columns_of_before_are_enough(tmp_path: pathlib.Path) -> None:
    run_dir = write_run(tmp_path / "run", make_images("test", 0))
    path = run_dir / "predictions.csv"
    rows = [line.split(",") for line in path.read_text().splitlines()]
    assert rows[0][-2:] == ["calibrated", "threshold"]
    path.write_text("\n".join(",".join(row[:-2]) for row in rows) + "\n")
    assert ask(run_dir) == 0
    scores = json.loads((run_dir / "metrics.json").read_text())
    assert scores["calibrated"] == {
        "not_defined_because": "60 of 60 images have no calibrated probability"
    }


def test_the_second_time_changes_nothing(tmp_path: pathlib.Path) -> None:
    run_dir = write_run(tmp_path / "run", make_images("test", 0))
    ask(run_dir)
    before = {path.name: path.read_bytes() for path in run_dir.iterdir()}
    ask(run_dir)
    assert {path.name: path.read_bytes() for path in run_dir.iterdir()} == before


def test_scores_of_other_predictions_are_replaced(tmp_path: pathlib.Path) -> None:
    run_dir = write_run(tmp_path / "run", make_images("test", 0))
    ask(run_dir)
    predictions.write(run_dir / "predictions.csv", make_images("test", 0, count=40))
    with pytest.raises(CallerError, match=r"score them again with python -m trainer report --run="):
        report_page.write(run_dir)
    ask(run_dir)
    assert json.loads((run_dir / "metrics.json").read_text())["images"] == 40
    kept = json.loads((run_dir / "metrics-1.json").read_text())
    assert kept["images"] == len(make_images("test", 0))


@pytest.fixture
def folds(tmp_path: pathlib.Path) -> pathlib.Path:
    """A cross-validation of three folds, of which each keeps its images."""
    images = [make_images(f"fold{number}", 60 * number) for number in range(3)]
    described = [
        {
            "run": f"fold{number}",
            "minutes": 1.0,
            "splits": {"train": split_of(60), "validation": split_of(60)},
            "metrics": {"auc": {"value": 0.1}, "images": 60},
        }
        for number in range(3)
    ]
    pooled = make_images("out-of-fold", 0, count=0)
    pooled += [
        Prediction(
            f.image_id, f.patient_id, f.label, probabilities=f.probabilities, split="out-of-fold"
        )
        for of_fold in images
        for f in of_fold
    ]
    run_dir = write_run(tmp_path / "whole", pooled, folds=described)
    (run_dir / "history.csv").unlink()
    for number, of_fold in enumerate(images):
        fold = write_run(run_dir / f"fold{number}", of_fold)
        chosen = gallery.choose(of_fold, ordinal=False)
        gallery.write(fold, chosen, {image.image_id: Picture(PNG) for image in chosen})
    return run_dir


def test_folds_are_scored_again_with_the_whole(folds: pathlib.Path) -> None:
    assert ask(folds) == 0
    scores = json.loads((folds / "metrics.json").read_text())
    values = []
    for number, described in enumerate(json.loads((folds / "run.json").read_text())["folds"]):
        of_fold = json.loads((folds / f"fold{number}" / "metrics.json").read_text())
        assert (folds / f"fold{number}" / "report.html").is_file()
        assert described["metrics"] == of_fold
        assert of_fold["split"] == f"fold{number}"
        values.append(of_fold["auc"]["value"])
    assert scores["images"] == 180
    assert scores["over_folds"]["auc"]["mean"] == pytest.approx(np.mean(values))
    assert scores["over_folds"]["auc"]["sd"] == pytest.approx(np.std(values, ddof=1))
    pooled = predictions.read(folds / "predictions.csv")
    shown = [image.image_id for image in gallery.read(folds)]
    assert shown == [image.image_id for image in gallery.choose(pooled, ordinal=False)]


def test_folds_that_are_gone_leave_what_is_known(folds: pathlib.Path) -> None:
    ask(folds)
    shown = gallery.read(folds)
    before = json.loads((folds / "run.json").read_text())
    shutil.rmtree(folds / "fold1")
    assert ask(folds) == 0
    assert json.loads((folds / "run.json").read_text()) == before
    assert gallery.read(folds) == shown


def test_refuses_what_a_report_can_not_do(tmp_path: pathlib.Path) -> None:
    run_dir = write_run(tmp_path / "run", make_images("test", 0))
    with pytest.raises(CallerError, match=r"nothing/run.json does not exist; name the folder of"):
        ask(tmp_path / "nothing")
    several = [*make_images("test", 0), *make_images("fold0", 60)]
    predictions.write(run_dir / "predictions.csv", several)
    with pytest.raises(CallerError, match=r"holds images of 2 splits, wanted one"):
        ask(run_dir)
    predictions.write(run_dir / "predictions.csv", [])
    with pytest.raises(CallerError, match=r"holds images of 0 splits, wanted one"):
        ask(run_dir)
    assert not (run_dir / "report.html").exists()
