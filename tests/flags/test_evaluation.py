"""Tests of what can be asked of finished runs."""

from __future__ import annotations

import dataclasses

import pytest

from flags import evaluation, fields
from flags.evaluation import EvaluationConfig
from flags.training import TrainingConfig
from records.errors import CallerError

TRAINING = [field.name for field in dataclasses.fields(TrainingConfig)]


def define() -> None:
    """The flags of both, as the trainer has them."""
    fields.define(TrainingConfig)
    evaluation.define()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            ["--mode=predict", "--worst=3"],
            "--worst has no say in --mode=predict, which goes by --run, --output_dir, --images, "
            "--heat_maps; leave it out",
        ),
        (
            ["--mode=report", "--output_dir=x"],
            "--output_dir has no say in --mode=report, which goes by --run; leave it out",
        ),
        (
            ["--mode=compare", "--run=x"],
            "--run has no say in --mode=compare, which goes by --output_dir; leave it out",
        ),
        (
            ["--mode=export", "--base=vgg16"],
            "--base has no say in --mode=export, which goes by --run, --output_dir, --formats; "
            "leave it out",
        ),
        (
            ["--run=x"],
            "--run has no say in --mode=train, but in --mode=report|explain|predict|export",
        ),
        (
            ["--mode=evaluate", "--noheat_maps"],
            "--heat_maps has no say in --mode=evaluate, but in --mode=predict",
        ),
    ],
)
def test_flags_that_have_no_say_are_refused(parse_flags, given, message):
    with pytest.raises(CallerError) as refused:
        evaluation.check_given(parse_flags(define, *given), TRAINING)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    "given",
    [
        ["--base=vgg16", "--dataset_dir=x", "--tta=flip"],
        ["--mode=ensemble", "--dataset_dir=x", "--tta=flip", "--output_dir=y"],
        ["--mode=explain", "--run=x", "--worst=3"],
    ],
)
def test_flags_that_have_are_taken(parse_flags, given):
    evaluation.check_given(parse_flags(define, *given), TRAINING)


def test_every_mode_and_every_flag_is_known():
    taken = {name for names in evaluation.TAKES.values() for name in names}
    assert taken == {field.name for field in dataclasses.fields(EvaluationConfig)} - {
        "mode",
        "arguments",
    }
    assert set(evaluation.TAKES) == set(evaluation.MODES)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"mode": "predict"}, r"--mode=predict needs --run"),
        ({"mode": "compare", "arguments": ("a",)}, r"needs two or more folders"),
        ({"mode": "ensemble", "arguments": ("a",)}, r"and one to write to: .* --output_dir="),
        ({"mode": "report", "run": "a", "tta": "flip"}, r"evaluate it again with --mode=evaluate"),
        ({"mode": "export", "run": "a", "formats": "onxn"}, r"did you mean onnx\?"),
        (
            {"mode": "explain", "run": "a", "sanity": True, "layer": "x"},
            r"--sanity and --layer are two questions",
        ),
        ({"mode": "explain", "run": "a", "pointing": True}, r"--pointing needs --data_dir"),
    ],
)
def test_what_can_not_be_asked_is_refused_in_a_line(config, message):
    with pytest.raises(CallerError, match=message) as refused:
        EvaluationConfig(**config)
    assert "\n" not in str(refused.value)
