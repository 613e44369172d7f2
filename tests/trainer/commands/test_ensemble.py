"""Ensembles against the mean by hand; members that do not fit are refused in one line."""

from __future__ import annotations

import json
import pathlib
import shutil

import numpy as np
import pytest
from absl import flags as absl_flags

from flags import fields
from flags.training_config import TrainingConfig
from records.errors import CallerError, OutOfTime
from tests import make
from trainer.commands import ensemble, train
from trainer.evaluation import calibration, members, model_averaging
from trainer.evaluation.evaluate_model import Predicted
from trainer.metrics import predictions, typed_json
from trainer.metrics.predictions import Prediction


def read(path: pathlib.Path) -> dict:
    return json.loads(path.read_text())


def write(path: pathlib.Path, content: dict) -> None:
    path.write_text(json.dumps(content))


def edited(run: pathlib.Path, path: pathlib.Path, file: str, **changes) -> pathlib.Path:
    """Copies a run and changes what one of its files says."""
    copy = shutil.copytree(run, path)
    write(copy / file, {**read(copy / file), **changes})
    return copy


@pytest.fixture(scope="module")
def runs(records_dir, tmp_path_factory):
    """Two plain runs that differ in seed, and their networks again as folds."""
    root = tmp_path_factory.mktemp("runs")
    for name, seed in {"a": 1, "b": 2}.items():
        config = TrainingConfig(
            dataset_dir=str(records_dir),
            run_dir=str(root / name),
            **make.TINY,
            phase1_epochs=1,
            phase2_epochs=0,
            batch_size=16,
            seed=seed,
            deterministic=True,
        )
        train.train(config)
    (root / "folds").mkdir()
    for fold, name in enumerate("ab"):
        own = {"test_fold": fold, "fold": fold + 1}
        edited(root / name, root / "folds" / f"fold{fold}", "config.json", **own)
    write(root / "folds" / "config.json", {"kind": "cross_validate"})
    fold = {"minutes": 1.0, "splits": {}, "metrics": {}}
    folds = [{**fold, "run": "fold0"}, {**fold, "run": "fold1"}]
    make.write_described(root / "folds", folds=folds)
    write(root / "folds" / "metrics.json", {})
    return root


def average(output_dir: pathlib.Path, *folders: pathlib.Path, **options) -> pathlib.Path:
    names = tuple(map(str, folders))
    config = ensemble.Config(arguments=names, output_dir=str(output_dir), **options)
    assert ensemble.run(config) == 0
    return output_dir


@pytest.fixture(scope="module")
def both(runs):
    return average(runs / "ab", runs / "a", runs / "b")


def seeds_of(runs: pathlib.Path, name: str, **options) -> train.Config:
    """The command that trains the runs `a` and `b` at once."""
    flags = read(runs / "a" / "config.json")
    kept = {key: flags[key] for key in fields.flags_of(TrainingConfig)}
    return train.Config(**{**kept, "run_dir": str(runs / name), "seeds": (1, 2), **options})


@pytest.fixture(scope="module")
def of_seeds(runs):
    assert train.run(seeds_of(runs, "seeds")) == 0
    return runs / "seeds"


def probabilities_of(path: pathlib.Path) -> dict[str, float]:
    return {image.image_id: image.probability for image in predictions.read(path)}


@pytest.mark.parametrize("name", ["predictions.csv", "validation_predictions.csv"])
def test_probabilities_are_the_mean_of_the_members(runs, both, name):
    a, b = (probabilities_of(runs / run / name) for run in "ab")
    found = probabilities_of(both / name)
    assert list(found) == list(a) == list(b)
    assert found == pytest.approx({image: (a[image] + b[image]) / 2 for image in a}, abs=1e-12)
    assert a != b


def test_seeds_are_trained_apart_and_evaluated_apart_and_together(runs, both, of_seeds, capsys):
    """Each as a run of its own, and as an ensemble made by hand."""
    for mine, alone in (("seed1", runs / "a"), ("seed2", runs / "b"), (".", both)):
        for name in ("predictions.csv", "validation_predictions.csv", "metrics.json"):
            assert (of_seeds / mine / name).read_bytes() == (alone / name).read_bytes()
    run = read(of_seeds / "run.json")
    assert run["members"] == ["seed1", "seed2"]
    assert run["seed"] == "1; 2"
    assert read(of_seeds / "seed2" / "config.json")["seed"] == 2
    trained = (of_seeds / "seed1" / "model.keras").stat()
    train.run(seeds_of(runs, "seeds"))  # nothing is trained again
    assert (of_seeds / "seed1" / "model.keras").stat() == trained
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("report: ")]
    places = [of_seeds / "seed1", of_seeds / "seed2", of_seeds]
    assert said == [f"report: {(place / 'report.html').resolve()}" for place in places]


def test_seeds_out_of_time(runs):
    config = seeds_of(runs, "late", max_minutes=1e-9)
    with pytest.raises(OutOfTime, match=r"seed2?1?; give the same command again|seed1 is not fin"):
        train.run(config)
    assert not (runs / "late" / "metrics.json").exists()


@pytest.mark.parametrize("text", ["1", "1,1", "1,x", "-1,2"])
def test_seeds_are_several_numbers(text):
    values = absl_flags.FlagValues()
    fields.define(train.Config, values)
    values(["program", f"--seeds={text}"])
    with pytest.raises(CallerError, match=f"--seeds={text} is not two or more different whole"):
        fields.from_flags(train.Config, values)


def test_seeds_need_a_folder_and_one_machine():
    with pytest.raises(CallerError, match="--seeds needs --run_dir"):
        train.Config(seeds=(1, 2))
    with pytest.raises(CallerError, match="--strategy=multi_worker"):
        train.Config(seeds=(1, 2), run_dir="runs/x", strategy="multi_worker")


def test_calibration_and_threshold_are_those_of_the_mean(both):
    images = predictions.read(both / "validation_predictions.csv")
    fitted = read(both / "calibration.json")
    expected = calibration.fit(images, label_names=("benign", "malignant"))
    assert fitted == {**typed_json.to_json(expected), "test_time_augmentation": "none"}
    evaluated = predictions.read(both / "predictions.csv")
    assert evaluated == calibration.apply(expected, evaluated)


def test_the_folder_is_that_of_a_run(runs, both):
    described = read(both / "run.json")
    assert described["members"] == ["../a", "../b"]
    parameters = [read(runs / run / "run.json")["parameters"] for run in "ab"]
    assert described["parameters"] == sum(parameters)
    assert described["seed"] == "1; 2"
    assert list(described["splits"]) == ["train", "validation", "test"]
    assert read(both / "config.json")["kind"] == "ensemble"
    assert read(both / "metrics.json")["images"] == 18
    assert "2 trained networks (tiny_base.build, " in (both / "report.html").read_text()


def test_a_cross_validation_stands_for_its_folds_and_is_evaluated_on_test(runs, tmp_path, capsys):
    found = average(tmp_path / "out", runs / "folds", tta="flip")
    score, report = capsys.readouterr().out.splitlines()[-2:]
    assert score.startswith("test AUC ")
    assert report == f"report: {(found / 'report.html').resolve()}"
    images = predictions.read(found / "predictions.csv")
    assert {image.split for image in images} == {"test"}
    assert [pathlib.Path(path).name for path in read(found / "run.json")["members"]] == [
        "fold0",
        "fold1",
    ]
    assert all(
        (found / path / "model.keras").is_file() for path in read(found / "run.json")["members"]
    )
    assert set(read(found / "run.json")["splits"]) == {"train", "test"}
    fitted = read(found / "calibration.json")
    assert fitted["test_time_augmentation"] == "flip"
    assert fitted["not_defined_because"].startswith("the members validate on different images")
    assert {(image.calibrated, image.threshold) for image in images} == {(None, None)}
    assert predictions.read(found / "validation_predictions.csv") == []


def test_runs_evaluated_on_one_fold_are_evaluated_there_together(runs, tmp_path, listed):
    other = shutil.copytree(runs / "folds" / "fold0", tmp_path / "other")
    found = average(tmp_path / "out", runs / "folds" / "fold0", other)
    images = predictions.read(found / "predictions.csv")
    assert {image.image_id for image in images} == {
        name for name, row in listed.items() if row["split"] == "fold0"
    }


def test_probabilities_of_classes_are_averaged_one_by_one():
    rows = np.random.default_rng(0).dirichlet([1, 1, 1], size=(2, 5))
    members = [
        Predicted(
            [
                Prediction(f"f{place}", "p", 0, probabilities=tuple(row))
                for place, row in enumerate(member)
            ],
            places={},
        )
        for member in rows
    ]
    averaged = model_averaging.average(members).images
    for image, row in zip(averaged, rows.mean(axis=0), strict=True):
        assert image.probabilities == pytest.approx(row, abs=1e-15)
        assert image.probability == pytest.approx(row[1:].sum(), abs=1e-15)


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("config.json", {"data_fingerprint": "0" * 64}, r"c has records 000000000000, .*a has"),
        ("run.json", {"target": "abnormal"}, r"c has target abnormal, .*a has pathology; members"),
        ("config.json", {"where": "side == 'left'"}, r"c has where side == 'left', .*a has ; memb"),
        ("config.json", {"kind": "ensemble"}, r"c holds a whole ensemble; give the folder of one"),
        ("config.json", {"tta": "flip"}, r"trained with --tta=flip and none; choose with"),
    ],
    ids=["data", "target", "condition", "ensemble", "views"],
)
def test_a_member_that_does_not_fit(runs, tmp_path, file, changes, message):
    other = edited(runs / "b", tmp_path / "c", file, **changes)
    with pytest.raises(CallerError, match=message) as caught:
        average(tmp_path / "out", runs / "a", other)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_run_that_is_not_finished(runs, tmp_path):
    other = shutil.copytree(runs / "b", tmp_path / "c")
    (other / "metrics.json").unlink()
    with pytest.raises(CallerError, match=r"c is not finished: it has no metrics.json; give the"):
        members.read_members([str(runs / "a"), str(other)])


@pytest.mark.parametrize("names", [["a"], ["a", "a"], ["a", "b", "ab/../b"]])
def test_the_same_run_twice(runs, both, names):
    with pytest.raises(CallerError, match=r"averages two or more different runs, got .*name each"):
        members.read_members([str(runs / name) for name in names])


def test_members_that_began_with_weights_of_a_run_that_saw_the_images(runs, tmp_path):
    """Run a validates on fold0, which evaluates these two."""
    others = [
        edited(runs / "folds" / "fold0", tmp_path / name, "config.json", init_from=str(runs / "a"))
        for name in "cd"
    ]
    with pytest.raises(CallerError, match=r"learned from fold0 of cbis_ddsm, which evaluates this"):
        average(tmp_path / "out", *others)


def test_records_that_are_others_or_have_no_test_images(runs, records_dir, tmp_path):
    copy = shutil.copytree(records_dir, tmp_path / "copy")
    folds = members.read_members([str(runs / "folds")])
    manifest = read(copy / "manifest.json")
    kept = {k: v for k, v in manifest["shards"].items() if v["split"] != "test"}
    make.edit_json(copy / "manifest.json", shards=kept)
    with pytest.raises(CallerError, match=r"copy has no test split, and no fold is new to all"):
        members.open_data(folds, str(copy))
    make.edit_json(copy / "manifest.json", data_fingerprint="other")
    with pytest.raises(CallerError, match=r"copy holds other records than the members learned f"):
        members.open_data(folds, str(copy))


def test_a_folder_that_holds_something_else(runs):
    with pytest.raises(CallerError, match=r"a holds something else than an ensem"):
        average(runs / "a", runs / "a", runs / "b")
    (runs / "stray").mkdir()
    (runs / "stray" / "notes.txt").touch()
    with pytest.raises(CallerError, match=r"stray holds something else than an ensemble of .*d1"):
        train.run(seeds_of(runs, "stray"))


def test_the_command_line_lacks_something():
    with pytest.raises(CallerError, match=r"ensemble needs folders of finished runs, or of"):
        ensemble.Config(arguments=("a", "b"))
