"""Cross-validation end to end, on 36 small images in three folds and no test split."""

import csv
import dataclasses
import json
import pathlib
import shutil
import statistics

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from flags.training_config import TrainingConfig
from records.errors import CallerError, OutOfTime
from tests import make
from trainer.commands import cross_validate, summary, train
from trainer.data import dataset, run_folder
from trainer.metrics import over_folds, predictions
from trainer.metrics.metrics_json import Metrics, MetricValue, OverFolds

FOLDS = ("fold0", "fold1", "fold2")


@pytest.fixture(scope="module")
def folds_dir(tmp_path_factory):
    return make.convert(
        tmp_path_factory.mktemp("folds"),
        make.images(36),
        split_policy="patient",
        folds=3,
        test_fraction=0,
    )


def config(
    records: pathlib.Path, run_dir: pathlib.Path, kind=cross_validate.Config, **options
) -> TrainingConfig:
    small = {**make.TINY, "deterministic": True, "batch_size": 5}
    short = {"phase1_epochs": 1, "phase2_epochs": 0}
    return kind(dataset_dir=str(records), run_dir=str(run_dir), **{**small, **short, **options})


@pytest.fixture(scope="module")
def finished(folds_dir, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("run") / "folds"
    return cross_validate.cross_validate(config(folds_dir, run_dir))


def read_json(path: pathlib.Path) -> dict:
    return json.loads(path.read_text())


def test_every_image_is_evaluated_once_by_the_run_that_never_saw_it(finished, folds_dir):
    with (folds_dir / "sources.csv").open(newline="") as file:
        rows = {row["image_id"]: row for row in csv.DictReader(file)}
    pooled = predictions.read(finished / "predictions.csv")
    assert len(pooled) == len(rows) == 36
    assert {image.split for image in pooled} == {"out-of-fold"}
    by_image = {image.image_id: image for image in pooled}
    for image_id, row in rows.items():
        assert by_image[image_id].label == (row["pathology"] == "malignant")
    for fold in FOLDS:
        own = predictions.read(finished / fold / "predictions.csv")
        assert {image.image_id for image in own} == {
            image_id for image_id, row in rows.items() if row["split"] == fold
        }
        for image in own:
            assert by_image[image.image_id] == dataclasses.replace(image, split="out-of-fold")


@pytest.mark.parametrize(
    ("evaluated", "validating", "training"),
    [("fold0", "fold1", "fold2"), ("fold1", "fold2", "fold0"), ("fold2", "fold0", "fold1")],
)
def test_one_fold_is_evaluated_the_next_validates_the_rest_train(
    finished, evaluated, validating, training
):
    run = read_json(finished / evaluated / "run.json")
    assert {name: split["folds"] for name, split in run["splits"].items()} == {
        "train": [training],
        "validation": [validating],
        evaluated: [evaluated],
    }


def test_scores_are_those_of_scikit_learn_on_all_images(finished):
    scores = read_json(finished / "metrics.json")
    pooled = predictions.read(finished / "predictions.csv")
    labels = [image.label for image in pooled]
    answers = np.array([image.probability for image in pooled])
    assert scores["images"] == 36
    assert scores["patients"] == 18
    assert scores["auc"]["value"] == pytest.approx(roc_auc_score(labels, answers), abs=1e-12)
    assert scores["accuracy"]["value"] == accuracy_score(labels, answers > 0.5)
    assert scores["auc"]["low"] <= scores["auc"]["value"] <= scores["auc"]["high"]


def test_mean_and_deviation_over_the_folds(finished):
    areas = []
    for fold in FOLDS:
        images = predictions.read(finished / fold / "predictions.csv")
        areas.append(roc_auc_score([f.label for f in images], [f.probability for f in images]))
    found = read_json(finished / "metrics.json")["over_folds"]["auc"]
    assert found["mean"] == pytest.approx(statistics.mean(areas), abs=1e-12)
    assert found["sd"] == pytest.approx(statistics.stdev(areas), abs=1e-12)
    assert found["folds"] == 3


def scored(**values):
    """Metrics of a fold of three images."""
    return Metrics(
        split="fold0",
        images=3,
        patients=3,
        labels={"benign": 2, "malignant": 1},
        majority_baseline=2 / 3,
        metrics={name: MetricValue(value) for name, value in values.items()},
        confusion_matrix=((2, 0), (0, 1)),
        interval="",
        predicts_one_class=False,
    )


def test_undefined_figures_are_left_out_of_the_mean():
    fold = [scored(auc=value) for value in (0.5, None, 0.75)]
    assert over_folds.summarise(fold) == {"auc": OverFolds(0.625, pytest.approx(0.1767767), 2)}
    assert over_folds.summarise(fold[:2])["auc"] == OverFolds(0.5, None, 1)
    both = over_folds.summarise([scored(auc=0.5, mcc=0.25), scored(auc=0.75)])
    assert list(both) == ["auc"]
    assert over_folds.summarise(fold[1:2])["auc"] == OverFolds(None, None, 0)


@pytest.mark.slow
def test_a_fold_of_several_seeds_is_their_mean(finished, folds_dir, tmp_path):
    given = config(folds_dir, tmp_path / "run", seeds=(111, 7))
    with pytest.raises(OutOfTime):
        cross_validate.cross_validate(dataclasses.replace(given, max_minutes=1e-6))
    for fold in FOLDS:  # one seed was trained before the interrupt
        shutil.rmtree(tmp_path / "run" / fold, ignore_errors=True)
        shutil.copytree(finished / fold, tmp_path / "run" / fold / "seed111")
    run = cross_validate.cross_validate(given)
    rows = {image.image_id: image for image in predictions.read(run / "predictions.csv")}
    for fold in FOLDS:
        alone, other = (
            predictions.read(run / fold / name / "predictions.csv") for name in ("seed111", "seed7")
        )
        assert alone == predictions.read(finished / fold / "predictions.csv")
        for one, two in zip(alone, other, strict=True):
            mean = (one.probability + two.probability) / 2
            assert rows[one.image_id].probability == pytest.approx(mean, abs=1e-6)
    networks = run_folder.members_finished(run)
    assert networks == [run / fold / name for fold in FOLDS for name in ("seed111", "seed7")]
    kept = (run / "fold2" / "seed7" / "model.keras").stat().st_mtime_ns
    cross_validate.cross_validate(given)
    assert (run / "fold2" / "seed7" / "model.keras").stat().st_mtime_ns == kept


def test_finished_folds_are_kept_and_a_lost_one_is_made_again(finished, folds_dir, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    kept = (run / "fold0" / "model.keras").stat().st_mtime_ns
    pooled = (run / "predictions.csv").read_bytes()
    shutil.rmtree(run / "fold2")
    (run / "predictions.csv").unlink()
    before = make.plant(run)
    cross_validate.cross_validate(config(folds_dir, run))
    assert not make.lost(before, run)
    assert (run / "fold0" / "model.keras").stat().st_mtime_ns == kept
    assert (run / "predictions.csv").read_bytes() == pooled


def test_a_fold_evaluated_before_there_was_calibration_is_evaluated_again(
    finished, folds_dir, tmp_path
):
    """Nothing is trained again; the other folds are left alone."""
    run = shutil.copytree(finished, tmp_path / "run")
    (run / "fold1" / "calibration.json").unlink()
    (run / "fold1" / "validation_predictions.csv").unlink()
    files = ("fold0/report.html", "fold1/model.keras", "fold2/report.html")
    before = [(run / file).stat().st_mtime_ns for file in files]
    cross_validate.cross_validate(config(folds_dir, run))
    assert [(run / file).stat().st_mtime_ns for file in files] == before
    for file in ("fold1/calibration.json", "fold1/validation_predictions.csv", "predictions.csv"):
        assert (run / file).read_bytes() == (finished / file).read_bytes()


def test_each_fold_has_a_calibration_and_a_threshold_of_its_own(finished):
    described = read_json(finished / "run.json")["folds"]
    pooled = {image.image_id: image for image in predictions.read(finished / "predictions.csv")}
    for fold, of_fold in zip(FOLDS, described, strict=True):
        fitted = read_json(finished / fold / "calibration.json")
        assert of_fold["calibration"]["threshold"] == fitted["threshold"]
        for image in predictions.read(finished / fold / "predictions.csv"):
            assert pooled[image.image_id].threshold == fitted["threshold"]["value"]
    assert not (finished / "calibration.json").exists()


def test_the_report_lists_the_folds(finished):
    page = (finished / "report.html").read_text()
    scores = read_json(finished / "metrics.json")
    for fold in FOLDS:
        assert f'<a href="{fold}/report.html">{fold}</a>' in page
        assert f"{read_json(finished / fold / 'metrics.json')['auc']['value']:.3f}" in page
    assert "The test split was left alone." in page
    assert f"{scores['over_folds']['auc']['sd']:.3f}" in page


def test_the_last_lines_give_the_pooled_score_and_the_folds(finished, capsys):
    summary.print_scores(finished)
    *_, first, second, last = capsys.readouterr().out.splitlines()
    folds = read_json(finished / "metrics.json")["over_folds"]["auc"]
    assert first.startswith("out-of-fold AUC ")
    assert "on 36 images of 18 patients" in first
    assert second == (
        f"mean of the folds' AUC {folds['mean']:.3f}, standard deviation {folds['sd']:.3f}, 3 folds"
    )
    assert last == f"report: {(finished / 'report.html').resolve()}"


def test_the_folder_is_no_single_run(finished, folds_dir):
    with pytest.raises(CallerError, match="holds a whole cross_validate; give the folder of one"):
        run_folder.read_config(finished)
    with pytest.raises(CallerError, match=r"holds a run with other test_fold .*, kind .*; give"):
        train.train(config(folds_dir, finished, TrainingConfig, test_fold=1))
    of_fold, _ = run_folder.read_config(finished / "fold1")
    assert (of_fold.test_fold, of_fold.fold) == (1, 2)


def test_the_test_split_is_left_alone(records_dir, listed, tmp_path):
    data = dataset.open_data(config(records_dir, tmp_path, TrainingConfig, test_fold=3, fold=0))
    parts = {data.train.name: data.train, "validation": data.validation, "evaluated": data.test}
    images = {name: {image["image_id"] for image in part.images} for name, part in parts.items()}
    folds = {name: {listed[image]["split"] for image in names} for name, names in images.items()}
    assert folds == {"train": {"fold1", "fold2"}, "validation": {"fold0"}, "evaluated": {"fold3"}}


def test_records_without_a_test_split_are_refused_by_a_plain_run(folds_dir, tmp_path):
    with pytest.raises(CallerError, match=r"has no test split; give .* cross_validate, or"):
        train.train(config(folds_dir, tmp_path / "run", TrainingConfig))
    with pytest.raises(CallerError, match=r"--test_fold=3: .* has folds 0 to 2"):
        train.train(config(folds_dir, tmp_path / "run", TrainingConfig, test_fold=3))
    assert not (tmp_path / "run").exists()


def test_no_fold_begins_out_of_time(folds_dir, tmp_path):
    with pytest.raises(OutOfTime, match=r"are over before .*fold0; give the same command again"):
        cross_validate.cross_validate(config(folds_dir, tmp_path / "run", max_minutes=1e-9))
    assert not (tmp_path / "run" / "fold0").exists()


def test_what_a_later_fold_lacks_is_said_before_the_first_trains(records_dir, tmp_path):
    """Of four folds the last has no malignant image; it validates when fold 2 is evaluated."""
    copy = shutil.copytree(records_dir, tmp_path / "copy")
    with (copy / "sources.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    with (copy / "sources.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        for row in table:
            cleared = row["split"] == "fold3" and row["pathology"] == "malignant"
            writer.writerow({**row, "pathology": ""} if cleared else row)
    with pytest.raises(CallerError, match=r"validation images \(fold3\) .* none that is malignant"):
        cross_validate.cross_validate(config(copy, tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_images_lost_since_their_fold_was_evaluated_are_no_secret(finished, folds_dir, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    copy = shutil.copytree(folds_dir, tmp_path / "copy")
    shard = sorted(copy.glob("*fold0.tfrecord*"))[0]
    content = bytearray(shard.read_bytes())
    content[100] ^= 1
    shard.write_bytes(content)
    with pytest.raises(
        CallerError, match=r"evaluated 36 images, now 35 can be read; records were dam"
    ):
        cross_validate.cross_validate(config(copy, run, skip_damaged=True))


def test_two_folds_are_too_few(folds_dir, tmp_path):
    copy = shutil.copytree(folds_dir, tmp_path / "copy")
    make.edit_json(copy / "manifest.json", folds=2)
    with pytest.raises(CallerError, match=r"needs 3 folds .*has 2; convert again with --folds=4"):
        cross_validate.cross_validate(config(copy, tmp_path / "run"))
    assert not (tmp_path / "run").exists()
