"""Published metrics, and which experiment a run is one of."""

import json
import pathlib

import pytest

from flags.fields import from_flags
from flags.training_config import TrainingConfig
from records.errors import CallerError
from tests.make import OURS, PAPER, described
from trainer.evaluation import published


@pytest.fixture
def config_of(parse_flags):
    """config.json of a run of an experiment, `python -m trainer --flagfile=...` with flags."""

    def config(name: str, *given: str) -> dict:
        path = published.FLAGFILES / f"{name}.flags"
        values = parse_flags(TrainingConfig, f"--flagfile={path}", *given)
        made = from_flags(TrainingConfig, values).to_json()
        return json.loads(json.dumps({**made, "target": "pathology", "data_fingerprint": "f"}))

    return config


def of_run(directory: str, config: dict, **run: object):
    policies = run.pop("policies", PAPER)
    path = pathlib.Path(directory)
    return published.of_run(path, config, described(policies=policies, **run))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("# Published accuracy: 66.46 % (S)", (66.46, "S")),
        ("# Published accuracy: none", (None, "")),
        ("# Nothing else", (None, "")),
    ],
)
def test_metrics(tmp_path, line, expected):
    path = tmp_path / "x.flags"
    path.write_text(f"# Experiment X (source): first thing. More.\n{line}\n--dropout=0.2\n")
    found = published.read(path)
    assert (found.accuracy, found.source) == expected
    assert (found.experiment, found.about) == ("x", "first thing")


def test_a_metric_that_is_none_is_refused(tmp_path):
    path = tmp_path / "c.flags"
    path.write_text("# Experiment\n# Published accuracy: about 66 %\n")
    with pytest.raises(CallerError, match=r"c.flags: '# Published accuracy: about 66 %' is not"):
        published.read(path)


@pytest.mark.parametrize("name", ["a", "b", "c", "h", "i", "t", "g"])
def test_a_run_is_known_by_its_configuration(config_of, name):
    found = of_run("runs/mine", config_of(name, "--seed=5", "--run_dir=runs/mine"))
    assert found == published.read(published.FLAGFILES / f"{name}.flags")
    elsewhere = of_run("runs/mine", config_of(name), policies=OURS)
    assert elsewhere.experiment == name
    assert elsewhere.notes == ("another split",)


@pytest.mark.parametrize(
    ("given", "run"),
    [
        (["--dropout=0.5"], {}),
        (["--phase1_epochs=5"], {}),
        (["--augment=paper"], {}),
        ([], {"dataset": "phantom"}),
        ([], {"size": "224x224"}),
        ([], {"recipe": "paper"}),
        ([], {"target": "abnormal"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_a_run_that_was_told_something_else_is_no_experiment(config_of, given, run):
    assert of_run("runs/h", config_of("h", *given), **run) is None


def test_where_two_files_say_the_same_the_folder_decides(config_of):
    """K is the baseline's file again, with another metric."""
    assert of_run("runs/k", config_of("baseline")).accuracy == 64.59
    assert of_run("runs/baseline", config_of("baseline")).accuracy == 61.80
    assert of_run("runs/mine", config_of("baseline")) is None


def test_a_run_of_the_experiments_says_so_and_what_it_does_otherwise(config_of, tmp_path):
    flagfile = published.FLAGFILES / "h.flags"
    (tmp_path / "h").mkdir()
    (tmp_path / "h" / published.COMMAND).write_text(
        f"--flagfile={flagfile} --run_dir=h --phase1_epochs=5"
    )
    config = config_of("h", "--phase1_epochs=5")
    found = of_run(str(tmp_path / "h"), config, dataset="phantom", policies=OURS)
    assert (found.experiment, found.accuracy, found.source) == ("h", 67.40, "S")
    assert found.notes == ("other phase1_epochs", "other data", "another split")


def test_an_ensemble_is_no_experiment(config_of):
    """Its config.json holds what its members agree in."""
    assert of_run("runs/h", {}) is None
    assert of_run("runs/h", config_of("h"), members=["../a", "../b"]) is None


def test_every_experiment_is_known_by_its_own_file(config_of):
    """All that have a file no other has; so no flag of theirs is read wrongly."""
    paths = [p for p in sorted(published.FLAGFILES.glob("*.flags")) if published.is_experiment(p)]
    assert len(paths) == 24
    for path in paths:
        *_, size, recipe = pathlib.PurePath(config_of(path.stem)["dataset_dir"]).parts
        found = of_run(f"runs/{path.stem}", config_of(path.stem), size=size, recipe=recipe)
        assert found is not None
        assert (found.experiment, found.notes) == (path.stem, ())
