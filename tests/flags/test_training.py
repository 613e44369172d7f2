"""Tests of the trainer's flags, configuration and flagfiles."""

from __future__ import annotations

import dataclasses
import json
import pathlib

import pytest

from flags import conversion, training
from flags.conversion import ConversionConfig
from flags.errors import CallerError
from flags.training import TrainingConfig

EXPERIMENTS = pathlib.Path(__file__).parents[2] / "flags" / "experiments"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mode": "trian"}, r"--mode=trian is not one of train, evaluate; did you mean train\?"),
        ({"base": "mobilenet"}, r"--base=mobilenet .* did you mean mobilenetv2\?"),
        ({"head": "gab"}, r"--head=gab is not one of gap, flatten; did you mean gap\?"),
        ({"strategy": "tpu"}, r"--strategy=tpu is not one of default, mirrored"),
        ({"cache": "disk"}, r"--cache=disk is not one of auto, memory, off"),
        ({"target": "patology"}, r"--target=patology .* did you mean pathology\?"),
        ({"base": "vgg19", "alpha": 0.5}, r"--alpha=0.5 goes with --base=mobilenetv2 only"),
        ({"phase1_epochs": 0, "phase2_epochs": 0}, r"both 0: nothing to train"),
        ({"sampling": "ovr"}, r"--sampling=ovr is not one of none, under, over; did you mean over"),
        ({"where": "viw == 'CC'"}, r"--where=viw == 'CC': 'viw' is no column; did you mean view"),
        (
            {"target": "three_class", "class_weights": "1:2"},
            r"--class_weights=1:2 has 2 weights, --target=three_class has 3 classes: normal, ben",
        ),
        ({"mode": "evaluate"}, r"--mode=evaluate needs --run_dir"),
        ({"phase1_learning_rate": 0.0}, r"--phase1_learning_rate=0.0 .* between 0 and 1"),
        ({"phase2_learning_rate": -1e-5}, r"must lie between 0 and 1"),
        ({"phase2_learning_rate": float("nan")}, r"must lie between 0 and 1"),
        ({"phase1_learning_rate": float("inf")}, r"must lie between 0 and 1"),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else None,
)
def test_refused(changes, message):
    with pytest.raises(CallerError, match=message):
        TrainingConfig(**changes)


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("none", None),
        ("balanced", None),
        ("1.0:1.5", (1.0, 1.5)),
        ("2:1e-3", (2.0, 0.001)),
        ("1:2:3", (1.0, 2.0, 3.0)),
    ],
)
def test_class_weights(text, weights):
    assert TrainingConfig(class_weights=text).fixed_class_weights() == weights


@pytest.mark.parametrize(
    "text", ["", "1.5", "1:2:", "0:1", "1:-1", "nan:1", "1:inf", "a:b", "1,2", "Balanced"]
)
def test_bad_class_weights(text):
    with pytest.raises(
        CallerError, match=rf"--class_weights={text} is not none, balanced, or two or"
    ):
        TrainingConfig(class_weights=text)


def test_flags_and_fields_agree(parse_flags):
    values = parse_flags(training.define)
    assert {field.name for field in dataclasses.fields(TrainingConfig)} == set(
        values.flag_values_dict()
    )
    assert TrainingConfig.from_flags(values) == TrainingConfig()


def test_flags_reach_the_configuration(parse_flags):
    values = parse_flags(
        training.define, "--base=vgg19", "--class_weights=1:2", "--fold=3", "--deterministic"
    )
    config = TrainingConfig.from_flags(values)
    assert config == TrainingConfig(base="vgg19", class_weights="1:2", fold=3, deterministic=True)
    assert TrainingConfig(**json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize("path", sorted(EXPERIMENTS.glob("*.flags")), ids=lambda path: path.name)
def test_flagfile(path, parse_flags):
    """demo_records.flags belongs to the conversion, all others to the trainer."""
    if path.name == "demo_records.flags":
        values = parse_flags(conversion.define, f"--flagfile={path}", "--dataset=phantom")
        ConversionConfig.from_flags(values)
    else:
        values = parse_flags(training.define, f"--flagfile={path}")
        TrainingConfig.from_flags(values)
    assert path.read_text().startswith("# ")
    said = [line for line in path.read_text().splitlines() if line.startswith("--")]
    assert said
    for line in said:
        name = line.removeprefix("--").split("=")[0].removeprefix("no")
        assert values[name].present == 1, f"{line} stands twice"


def test_there_are_flagfiles():
    assert {"baseline.flags", "h.flags"} <= {path.name for path in EXPERIMENTS.glob("*.flags")}
