"""Search: real trials on small images, what a kill leaves, and the page."""

import csv
import dataclasses
import fcntl
import json
import pathlib
import subprocess
import sys

import optuna
import pytest
from optuna.trial import TrialState

from flags.fields import from_flags
from flags.search_space import Dimension
from flags.training_config import TrainingConfig
from records.errors import CallerError, OutOfTime
from tests import make
from trainer.commands import tune
from trainer.training import checkpoints, hyperparameter_search

# one of the two weights is not there: its trial fails, the search goes on
SPACE = "dropout = 0.1 0.3\nweights = random nowhere.weights.h5\n"
KNOWN = {"base": "mobilenetv2", "input_range": None}


def config(records: pathlib.Path, root: pathlib.Path, **options) -> tune.Config:
    (root / "space.txt").write_text(SPACE)
    small = {**make.TINY, "batch_size": 16, "phase1_epochs": 2, "phase2_epochs": 0}
    searched = {"sampler": "grid", "processes": 2, "space": str(root / "space.txt")}
    return tune.Config(
        dataset_dir=str(records), run_dir=str(root / "search"), **{**small, **searched, **options}
    )


def load(directory: pathlib.Path) -> optuna.Study:
    return optuna.load_study(study_name="study", storage=f"sqlite:///{directory / 'study.db'}")


@pytest.fixture(scope="module")
def begun(records_dir, tmp_path_factory):
    """A search of two trials, and a third that was under way when the search was killed."""
    root = tmp_path_factory.mktemp("tune")
    tune.tune(config(records_dir, root, trials=2))
    study = load(root / "search")
    study.enqueue_trial({"dropout": 0.3, "weights": "random"})
    trial = study.ask()
    trial.suggest_categorical("dropout", (0.1, 0.3))
    trial.suggest_categorical("weights", ("random", "nowhere.weights.h5"))
    trial.set_user_attr("folder", "002")
    return root


@pytest.fixture(scope="module")
def lines(begun, records_dir):
    """What the search says when it was resumed and has ended, among files of others."""
    before = make.plant(begun)
    said = tune.tune(config(records_dir, begun, trials=3))
    assert not make.lost(before, begun)
    return said


def history(directory: pathlib.Path, folder: str) -> list[dict[str, str]]:
    with (directory / "trials" / folder / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_a_killed_trial_is_done_again_in_its_folder(begun, lines):
    trials = load(begun / "search").trials
    assert [(t.state, t.user_attrs.get("folder")) for t in trials] == [
        (TrialState.COMPLETE, "000"),
        (TrialState.FAIL, "001"),
        (TrialState.FAIL, "002"),
        (TrialState.COMPLETE, "002"),
    ]
    assert trials[3].params == trials[2].params == {"dropout": 0.3, "weights": "random"}
    assert len(hyperparameter_search.counted(load(begun / "search"))) == 3
    for trial in (trials[0], trials[3]):
        rows = history(begun / "search", trial.user_attrs["folder"])
        assert len(rows) == 2
        assert trial.value == min(float(row["val_loss"]) for row in rows)
        assert trial.intermediate_values == {
            int(row["epoch"]): float(row["val_loss"]) for row in rows
        }


@pytest.mark.slow
def test_a_trial_is_a_run_folder_that_evaluates_nothing(begun, lines):
    folder = begun / "search" / "trials" / "000"
    assert (folder / "model.keras").is_file()
    assert not (folder / "predictions.csv").exists()
    of_trial = json.loads((folder / "config.json").read_text())
    assert (of_trial["kind"], of_trial["dropout"]) == ("train", 0.1)
    assert "space" not in of_trial
    assert set(json.loads((folder / "run.json").read_text())["splits"]) == {"train", "validation"}


@pytest.mark.slow
def test_a_trial_that_fails_is_named_and_the_others_go_on(begun, lines):
    failed = load(begun / "search").trials[1]
    assert "nowhere.weights.h5 is not a file" in failed.user_attrs["error"]
    assert lines[0].startswith("2 trials, 0 stopped early, 1 failed; best val_loss ")
    page = (begun / "search" / "study.html").read_text()
    assert "failed: --weights=nowhere.weights.h5 is not a file" in page


@pytest.mark.slow
def test_the_page_needs_nothing_but_itself(begun, lines):
    page = (begun / "search" / "study.html").read_text()
    study = load(begun / "search")
    for trial in (study.trials[0], study.trials[3]):
        assert f"{trial.value:.4f}" in page
    assert page.count("<svg ") >= 3
    assert "No image of a test split was read." in page
    for outside in ("http://", "https://", "<script", "<link", "src="):
        assert outside not in page.replace("http://www.w3.org/", "")
    assert lines[-1] == f"report: {(begun / 'search' / 'study.html').resolve()}"


@pytest.mark.slow
def test_best_flags_are_those_of_the_best_trial(begun, lines, parse_flags):
    best = load(begun / "search").best_trial
    values = parse_flags(TrainingConfig, f"--flagfile={begun / 'search' / 'best.flags'}")
    written = from_flags(TrainingConfig, values)
    folder = begun / "search" / "trials" / best.user_attrs["folder"]
    trained = json.loads((folder / "config.json").read_text())
    for key, value in written.to_json().items():
        if key not in ("run_dir", "target", "feature_dir"):
            assert value == trained[key], key


@pytest.mark.slow
def test_a_finished_search_trains_nothing_more(begun, lines, records_dir):
    before = (begun / "search" / "trials" / "000" / "model.keras").stat()
    assert tune.tune(config(records_dir, begun, trials=3)) == lines
    assert (begun / "search" / "trials" / "000" / "model.keras").stat() == before
    assert len(load(begun / "search").trials) == 4


@pytest.mark.slow
def test_another_search_in_the_same_folder_is_refused(begun, lines, records_dir):
    other = config(records_dir, begun, trials=3)
    (begun / "space.txt").write_text("dropout = 0.1 0.2\n")
    with pytest.raises(CallerError, match="holds a search of another --space; give another"):
        tune.tune(other)
    with pytest.raises(CallerError, match=r"holds a run with other dropout .*; give another"):
        tune.tune(dataclasses.replace(config(records_dir, begun), dropout=0.7))
    with (begun / "search" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(CallerError, match="another process is at work on"):
            tune.tune(config(records_dir, begun, trials=3))


def test_a_search_out_of_time_begins_nothing(records_dir, tmp_path):
    wanted = config(records_dir, tmp_path, sampler="random", max_minutes=1e-6)
    with pytest.raises(OutOfTime, match=r"are over after 0 of 20 trials; give the same command"):
        tune.tune(wanted)


def test_a_grid_of_a_range_is_refused(records_dir, tmp_path):
    wanted = config(records_dir, tmp_path)
    (tmp_path / "space.txt").write_text("dropout = float 0 0.5\n")
    with pytest.raises(CallerError, match="--sampler=grid: dropout is a range of numbers without"):
        tune.tune(wanted)
    assert not (tmp_path / "search").exists()


def test_a_search_of_which_nothing_succeeds_is_stopped(records_dir, tmp_path):
    """Each value is good alone, but no width of MobileNetV2 goes with VGG19."""
    wanted = config(records_dir, tmp_path, sampler="random", **KNOWN)
    (tmp_path / "space.txt").write_text("alpha = 0.35 0.5\nbase = vgg19\n")
    with pytest.raises(CallerError, match=r"3 trials failed and none succeeded; the last: --alph"):
        tune.tune(wanted)


def test_a_search_of_one_trial_that_fails_has_no_best(records_dir, tmp_path):
    wanted = config(records_dir, tmp_path, sampler="random", **KNOWN, trials=1)
    (tmp_path / "space.txt").write_text("alpha = 0.35 0.5\nbase = vgg19\n")
    with pytest.raises(CallerError, match=r"1 trial failed and none succeeded; the last: --alph"):
        tune.tune(wanted)


RANGES = (
    Dimension("phase1_learning_rate", "log", (1e-5, 1e-2)),
    Dimension("batch_size", "int", (2, 16)),
    Dimension("dropout", "choices", (0.0, 0.2, 0.5)),
)


def drawn(sampler: str, *, seed: int = 1, killed: int = -1) -> list[dict[str, object]]:
    """Twelve draws, each with a made-up score; one of them killed and resumed again."""
    study = optuna.create_study()
    plain = TrainingConfig(seed=seed)
    under_way = hyperparameter_search.Search(
        plain, RANGES, pathlib.Path("search"), study, sampler=sampler
    )
    found = []
    while len(found) < 12:
        study.sampler = hyperparameter_search._make_sampler(under_way)
        trial = study.ask()
        values = {
            dimension.name: hyperparameter_search._suggest(trial, dimension) for dimension in RANGES
        }
        trial.set_user_attr("folder", f"{trial.number:03d}")
        if trial.number == killed:
            hyperparameter_search._requeue(study)
            continue
        found.append(values)
        study.tell(trial, values["dropout"] + values["batch_size"])
    return found


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_search_taken_up_draws_what_it_would_have_drawn(sampler):
    whole = drawn(sampler)
    assert drawn(sampler, killed=4) == whole
    assert len({str(values) for values in whole}) == 12
    assert drawn(sampler, seed=2) != whole
    for values in whole:
        assert 1e-5 <= values["phase1_learning_rate"] <= 1e-2
        assert values["batch_size"] in range(2, 17)


def test_the_score_is_that_of_the_model_kept():
    found = [("1", "0.2"), ("1", "0.1"), ("2", "0.5"), ("2", "0.4"), ("2", "0.6")]
    for name, mode, kept, first in (("val_loss", "min", 0.4, 0.1), ("val_auc", "max", 0.6, 0.2)):
        monitor = checkpoints.Monitor(name, mode)
        rows = [{"phase": phase, name: value} for phase, value in found]
        assert hyperparameter_search.score_of(rows, monitor) == kept
        assert hyperparameter_search.score_of(rows[:2], monitor) == first


@pytest.mark.parametrize(("losses", "state"), [((0.9, 0.8), "PRUNED"), ((0.3, 0.2), "RUNNING")])
def test_a_trial_worse_than_the_median_is_stopped(tmp_path, losses, state):
    study = optuna.create_study(pruner=optuna.pruners.MedianPruner())
    for value in (0.4, 0.5, 0.5, 0.6, 0.7):
        trial = study.ask()
        for epoch in (0, 1):
            trial.report(value, epoch)
        study.tell(trial, value)
    with (tmp_path / "history.csv").open("w") as file:
        file.write("epoch,phase,val_loss\n")
        file.writelines(f"{epoch},1,{loss}\n" for epoch, loss in enumerate(losses))
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    job = hyperparameter_search.Job(study.ask(), process, tmp_path)
    under_way = hyperparameter_search.Search(TrainingConfig(), RANGES, tmp_path, study)
    try:
        assert hyperparameter_search._follow(under_way, job) == (state == "PRUNED")
        assert (process.poll() is None) == (state == "RUNNING")
        assert study.trials[-1].state == TrialState[state]
        assert study.trials[-1].intermediate_values[0] == losses[0]
    finally:
        process.kill()
        process.wait()


def test_a_trial_ends_with_the_search_that_began_it(records_dir, tmp_path):
    run = TrainingConfig(dataset_dir=str(records_dir), run_dir=str(tmp_path / "run"))
    child = subprocess.Popen(
        [sys.executable, "-m", "trainer.commands.tune_trial"], stdin=subprocess.PIPE
    )
    child.stdin.write(json.dumps(run.to_json()).encode() + b"\n")
    child.stdin.flush()
    assert child.poll() is None
    child.stdin.close()
    assert child.wait(timeout=60) == 1
    assert not (tmp_path / "run").exists()
