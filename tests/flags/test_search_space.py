"""The file of the search space: what its lines mean, and which are refused."""

from __future__ import annotations

import pytest

from flags import search_space
from flags.search_space import Dimension
from flags.training_config import TrainingConfig
from records.errors import CallerError
from trainer.commands import tune

SEARCH = tune.Config(space="space.txt", run_dir="runs/search", seed=7)


def test_lines():
    text = """
        # learning rates
        phase1_learning_rate = log 1e-5 1e-2   # both ends are tried
        batch_size = int 2 16
        phase2_patience = log 1 100
        dropout = float 0 0.5

        --base = mobilenetv2 vgg19
        phase1_epochs=5 50
        deterministic = true false
    """
    assert search_space.parse(text, SEARCH) == (
        Dimension("phase1_learning_rate", "log", (1e-5, 1e-2)),
        Dimension("batch_size", "int", (2, 16)),
        Dimension("phase2_patience", "log", (1, 100)),
        Dimension("dropout", "float", (0.0, 0.5)),
        Dimension("base", "choices", ("mobilenetv2", "vgg19")),
        Dimension("phase1_epochs", "choices", (5, 50)),
        Dimension("deterministic", "choices", (True, False)),
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", r"space names no flag to search; write lines such as 'dropout = 0 0.2 0.5'"),
        ("# dropout = 0 0.5", r"space names no flag"),
        ("dropout", r"space line 1: 'dropout' is not 'flag = values'"),
        ("dropout =", r"line 1: 'dropout =' is not 'flag = values'"),
        ("droput = 0 0.5", r"line 1: unknown flag droput; did you mean dropout\?"),
        ("test_fold = 0 1", r"line 1: test_fold can't be searched, it says where or on which"),
        ("target = pathology abnormal", r"line 1: target can't be searched"),
        ("space = a b", r"line 1: space can't be searched"),
        ("dropout = 0 half", r"line 1: dropout takes a number, not 'half'"),
        ("dropout = 0 nan", r"line 1: dropout takes a number, not 'nan'"),
        ("batch_size = 2 2.5", r"line 1: batch_size takes a whole number, not '2.5'"),
        ("deterministic = 0 1", r"line 1: deterministic takes true or false, not '0'"),
        ("dropout = 0.5 0.5", r"line 1: '0.5 0.5' names a value twice"),
        ("dropout = 0 0.5\ndropout = 0 0.1", r"line 2: dropout stands twice"),
        ("dropout = float 0.5", r"line 1: 'float 0.5' is not 'float LOW HIGH'"),
        ("dropout = float 0 0.1 0.2", r"line 1: 'float 0 0.1 0.2' is not 'float LOW HIGH'"),
        ("dropout = float 0.5 0.1", r"line 1: 'float 0.5 0.1' is no range: LOW must be less"),
        ("dropout = log 0 0.1", r"LOW must be less than HIGH and more than 0"),
        ("dropout = int 0 1", r"takes 'float LOW HIGH' or 'log LOW HIGH' or its values one"),
        ("batch_size = float 2 16", r"batch_size takes 'int LOW HIGH' or 'log LOW HIGH' or its"),
        ("base = log vgg19 resnet50", r"line 1: base takes its values one by one, not log"),
        ("dropout = float 0 1.5", r"line 1: --dropout=1.5 is not at least 0 and at most 0.95"),
        ("base = mobilenetv2 vgg91", r"line 1: --base=vgg91 .* did you mean vgg19 or"),
    ],
)
def test_refused(line, message):
    with pytest.raises(CallerError, match=message):
        search_space.parse(line, SEARCH)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(CallerError, match=r"--space=.*none.txt can't be read"):
        search_space.read(str(tmp_path / "none.txt"), SEARCH)


def test_what_a_grid_is_made_of():
    assert Dimension("batch_size", "int", (2, 4)).grid == (2, 3, 4)
    assert Dimension("dropout", "choices", (0.0, 0.5)).grid == (0.0, 0.5)
    assert Dimension("dropout", "float", (0.0, 0.5)).grid is None
    assert Dimension("batch_size", "log", (2, 64)).grid is None


def test_a_trial_is_a_plain_training_run():
    assert search_space.apply(SEARCH, {"dropout": 0.3}) == TrainingConfig(dropout=0.3, seed=7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"tune needs --space, a file that names what to search"),
        ({"space": "x", "test_fold": 1}, r"evaluates on the validation images"),
        ({"sampler": "tpa"}, r"--sampler=tpa is not one of tpe, random, grid; did you mean tpe\?"),
        ({"pruner": "mean"}, r"--pruner=mean is not one of none, median"),
    ],
)
def test_contradicting_flags(options, message):
    with pytest.raises(CallerError, match=message):
        tune.Config(**options)
