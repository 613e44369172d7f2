"""The trainer as a user runs it: exit codes and lines on the terminal."""

import dataclasses
import json
import pathlib
import shutil
import subprocess

import keras
import numpy as np
import pytest

from flags.training_config import TrainingConfig
from records.errors import CallerError
from records.image_size import ImageSize
from tests import make
from trainer.commands import evaluate, train


def run_trainer(*arguments: object, cwd: pathlib.Path) -> subprocess.CompletedProcess:
    return make.program("trainer", *arguments, cwd=cwd)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--base=mobilenet2"], ["--base=mobilenet2", "did you mean mobilenetv2 or "]),
        (["--head=pool"], ["--head=pool is not one of gap, flatten"]),
        (["--strategy=mirror"], ["--strategy=mirror is not one of default, mirrored"]),
        (["--monitor=val_auk"], ["--monitor=val_auk is not one of", "did you mean val_auc?"]),
        (
            ["--schedule=cosin"],
            ["--schedule=cosin: 'cosin' is no schedule", "did you mean cosine?"],
        ),
        (["--target=kancer"], ["--target=kancer is not one of pathology, abnormal"]),
        (["--class_weights=1:0"], ["two or more positive numbers such as 1.0:1.5"]),
        (["--alpha=2"], ["--alpha=2.0 is not one of 0.35, 0.5"]),
        (["--dropout=nan"], ["--dropout=nan is not at least 0 and at most 0.95"]),
        (["--base=vgg19", "--alpha=0.5"], ["goes with --base=mobilenet or mobilenetv2"]),
        (["--phase1_epochs=0", "--phase2_epochs=0"], ["nothing to train"]),
        (["evaluate"], ["--run=RUN is missing"]),
        (["--batch_size=0"], ["--batch_size=0 is not at least 1"]),
        (["--batchsize=2"], ["unknown flag --batchsize", "did you mean --batch_size?"]),
        (["h.flags"], ["'h.flags' is no command of python -m trainer"]),
        (["--dataset_dir=nowhere"], ["--dataset_dir=nowhere is not a folder"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_callers_mistake_is_one_line(tmp_path, arguments, words):
    make.one_line(run_trainer(*arguments, cwd=tmp_path), *words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("directory", "message"),
    [
        (None, r"^no records under data/tfrecords; make some with 'make tfrecords'"),
        (".", r"^\. holds no manifest.json; give the folder .*<H>x<W>"),
    ],
)
def test_a_folder_without_records(tmp_path, monkeypatch, directory, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CallerError, match=message):
        train.train(TrainingConfig(dataset_dir=directory))
    assert list(tmp_path.iterdir()) == []


def test_another_schema_version(records_dir, tmp_path):
    copy = shutil.copytree(records_dir, tmp_path / "copy")
    make.edit_json(copy / "manifest.json", schema_version="0.9.0")
    run = tmp_path / "run"
    with pytest.raises(
        CallerError, match=r"copy has schema version 0.9.0, .*convert the images ag"
    ):
        train.train(TrainingConfig(dataset_dir=str(copy), run_dir=str(run)))
    assert not run.exists()


def test_a_run_folder_that_is_not_there():
    with pytest.raises(CallerError, match=r"--run=nowhere is not a folder; give that"):
        evaluate.run(evaluate.Config(run="nowhere"))


def test_imagenet_weights_that_cannot_be_had(records_dir, tmp_path):
    """auto says so and trains from random weights; imagenet insists."""
    offline = {"https_proxy": "http://127.0.0.1:9", "HOME": str(tmp_path)}
    arguments = [
        f"--dataset_dir={records_dir}",
        "--base=mobilenet",
        "--alpha=0.25",
        "--phase1_epochs=1",
    ]
    arguments += ["--phase2_epochs=0", f"--run_dir={tmp_path / 'run'}"]
    environment = {**offline, "KERAS_HOME": str(tmp_path / "keras")}

    def run(weights: str) -> subprocess.CompletedProcess:
        weights = f"--weights={weights}"
        return make.program("trainer", *arguments, weights, cwd=tmp_path, env=environment)

    refused = run("imagenet")
    assert refused.returncode == 2
    last = refused.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ImageNet weights of mobilenet can't be had")
    assert "--weights=PATH" in last
    shutil.rmtree(tmp_path / "run", ignore_errors=True)
    warned = run("auto")
    assert warned.returncode == 0, warned.stderr
    assert "this run starts from RANDOM weights" in warned.stderr
    description = json.loads((tmp_path / "run" / "run.json").read_text())
    assert description["weights"] == "random"
    assert "RANDOM" in (tmp_path / "run" / "report.html").read_text()


def test_a_run_ends_by_naming_score_and_report(records_dir, tmp_path):
    arguments = [f"--dataset_dir={records_dir}", "--run_dir=run", *make.TINY_FLAGS]
    arguments += ["--phase1_epochs=1", "--phase2_epochs=0"]
    run = run_trainer(*arguments, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    score, report = run.stdout.strip().splitlines()[-2:]
    scores = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert f"test AUC {scores['auc']['value']:.3f}" in score
    assert "18 images of 9 patients" in score
    assert report == f"report: {(tmp_path / 'run' / 'report.html').resolve()}"
    (tmp_path / "run" / "report.html").unlink()
    again = run_trainer("evaluate", "--run=run", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "run" / "report.html").is_file()


def train_briefly(records_dir: pathlib.Path, cwd: pathlib.Path) -> subprocess.CompletedProcess:
    arguments = [f"--dataset_dir={records_dir}", "--run_dir=run", *make.TINY_FLAGS]
    arguments += ["--phase1_epochs=1", "--phase2_epochs=0"]
    return run_trainer(*arguments, cwd=cwd)


def test_a_damaged_shard_is_named(records_dir, tmp_path):
    copy = shutil.copytree(records_dir, tmp_path / "copy")
    shard = next(copy.glob("*-fold1.tfrecord-*"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    run = train_briefly(copy, tmp_path)
    assert run.returncode == 2
    assert "Traceback" not in run.stderr
    assert f"error: {copy}: {shard.name} record " in run.stderr


def test_evaluation_refuses_other_records_and_unfinished_runs(records_dir, tmp_path):
    copy = shutil.copytree(records_dir, tmp_path / "copy")
    small = dict(make.TINY)
    small |= {"phase1_epochs": 1, "phase2_epochs": 0}
    run = tmp_path / "run"
    train.train(TrainingConfig(dataset_dir=str(copy), run_dir=str(run), **small))
    make.edit_json(copy / "manifest.json", data_fingerprint="of others")
    again = evaluate.Config(run=str(run))
    with pytest.raises(CallerError, match=r"holds other records than .*run learned from, its test"):
        evaluate.run(again)
    evaluate.run(dataclasses.replace(again, dataset_dir=str(records_dir)))
    (run / "model.keras").unlink()
    with pytest.raises(CallerError, match=r"holds no model.keras: its training is not finished; g"):
        evaluate.run(again)


def test_wrong_weights_do_not_claim_the_run_folder(records_dir, tmp_path):
    arguments = [f"--dataset_dir={records_dir}", "--run_dir=run", "--weights=nowhere.weights.h5"]
    assert_last_line(run_trainer(*arguments, cwd=tmp_path), "nowhere.weights.h5 is not a file")
    assert not (tmp_path / "run").exists()


def assert_last_line(run: subprocess.CompletedProcess, words: str) -> None:
    assert run.returncode == 2, run.stderr
    assert "Traceback" not in run.stderr
    assert run.stderr.strip().splitlines()[-1].startswith("error: ")
    assert words in run.stderr.strip().splitlines()[-1]


@pytest.mark.slow
def test_a_deterministic_run_is_repeated_to_the_last_bit(tmp_path):
    """At a size and depth where TensorFlow's own deterministic mode is not enough on a CPU."""
    records = make.convert(tmp_path, make.images(20), size=ImageSize(448, 256))
    given = ["--deterministic", "--alpha=0.35", "--weights=random", "--batch_size=8"]
    given += ["--phase1_epochs=0", "--phase2_epochs=1", "--phase2_learning_rate=1e-3"]
    weights = []
    for name in ("once", "again"):
        run = run_trainer(f"--dataset_dir={records}", f"--run_dir={name}", *given, cwd=tmp_path)
        assert run.returncode == 0, run.stderr
        model = keras.models.load_model(tmp_path / name / "model.keras", compile=False)
        weights.append(model.get_weights())
    for once, again in zip(*weights, strict=True):
        np.testing.assert_array_equal(once, again)
