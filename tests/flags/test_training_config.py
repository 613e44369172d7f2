"""Tests of the trainer's flags, configuration and flagfiles."""

from __future__ import annotations

import dataclasses
import json
import pathlib

import pytest

from flags import data_config
from flags.conversion_config import ConversionConfig
from flags.fields import from_flags
from flags.training_config import TrainingConfig
from records.errors import CallerError

EXPERIMENTS = pathlib.Path(__file__).parents[2] / "flags" / "experiments"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategy": "mirror"}, r"--strategy=mirror .* did you mean mirrored\?"),
        ({"optimizer": "adan"}, r"--optimizer=adan is not one of .* did you mean adam\?"),
        ({"monitor": "val_auk"}, r"--monitor=val_auk is not one of .* did you mean val_auc\?"),
        ({"precision": "mixed_float"}, r"--precision=mixed_float .* did you mean mixed_float16\?"),
        ({"momentum": 0.9}, r"--momentum=0.9 goes with --optimizer=sgd or rmsprop, not adam"),
        ({"optimizer": "sgd", "momentum": 1.0}, r"--momentum=1.0 is not .* less than 1"),
        (
            {"accumulate": 2, "strategy": "mirrored"},
            r"--accumulate=2 does not go with --strategy=mirrored",
        ),
        ({"weight_decay": -0.1}, r"--weight_decay=-0.1 is not at least 0"),
        ({"ema": 1.0}, r"--ema=1.0 is not at least 0 and less than 1"),
        ({"max_minutes": float("nan")}, r"--max_minutes=nan is not at least 0"),
        ({"accumulate": 0}, r"--accumulate=0 is not at least 1"),
        ({"warmup_epochs": 50}, r"--warmup_epochs=50 leaves nothing of a phase of 50 epochs"),
        ({"warmup_epochs": -1}, r"--warmup_epochs=-1 is not at least 0"),
        ({"schedule": "step:every=x"}, r"every=x is not a whole number"),
        ({"profile": "10"}, r"--profile=10 is not the first and the last batch"),
        ({"profile": "20,10"}, r"--profile=20,10 is not the first and the last batch"),
        ({"init_parts": "tail"}, r"--init_parts=tail is not one of all, head, base"),
        ({"init_parts": "head"}, r"--init_parts=head needs --init_from"),
        ({"unfreeze_from": "1.5"}, r"--unfreeze_from=1.5 is neither a layer .* more than 0"),
        ({"unfreeze_from": "0"}, r"--unfreeze_from=0 is neither a layer"),
        (
            {"unfreeze_from": "block_13_expand", "phase2_epochs": 0},
            r"is about phase 2, and --phase2_epochs=0",
        ),
        ({"cache": "disk"}, r"--cache=disk is not one of auto, memory, off"),
        ({"target": "patology"}, r"--target=patology .* did you mean pathology\?"),
        ({"phase1_epochs": 0, "phase2_epochs": 0}, r"both 0: nothing to train"),
        ({"sampling": "ovr"}, r"--sampling=ovr is not one of none, under, over; did you mean over"),
        ({"where": "viw == 'CC'"}, r"--where=viw == 'CC': 'viw' is no column; did you mean view"),
        (
            {"target": "three_class", "class_weights": "1:2"},
            r"--class_weights=1:2 has 2 weights, --target=three_class has 3 classes: normal, ben",
        ),
        ({"fold": 2, "test_fold": 2}, r"--fold=2 and --test_fold=2 are one fold"),
        ({"test_fold": 0}, r"--fold=0 and --test_fold=0 are one fold"),
        (
            {"phase1_learning_rate": 0.0},
            r"--phase1_learning_rate=0.0 is not more than 0 and less than 1",
        ),
        ({"phase2_learning_rate": -1e-5}, r"is not more than 0 and less than 1"),
        ({"phase2_learning_rate": float("nan")}, r"is not more than 0 and less than 1"),
        ({"phase1_learning_rate": float("inf")}, r"is not more than 0 and less than 1"),
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
    assert data_config.fixed_class_weights(TrainingConfig(class_weights=text)) == weights


@pytest.mark.parametrize(
    "text", ["", "1.5", "1:2:", "0:1", "1:-1", "nan:1", "1:inf", "a:b", "1,2", "Balanced"]
)
def test_bad_class_weights(text):
    with pytest.raises(
        CallerError, match=rf"--class_weights={text} is not none, balanced, or two or"
    ):
        TrainingConfig(class_weights=text)


def test_flags_and_fields_agree(parse_flags):
    values = parse_flags(TrainingConfig)
    assert {field.name for field in dataclasses.fields(TrainingConfig)} == set(
        values.flag_values_dict()
    )
    assert from_flags(TrainingConfig, values) == TrainingConfig()


def test_flags_reach_the_configuration(parse_flags):
    values = parse_flags(
        TrainingConfig, "--base=vgg19", "--class_weights=1:2", "--fold=3", "--deterministic"
    )
    config = from_flags(TrainingConfig, values)
    assert config == TrainingConfig(base="vgg19", class_weights="1:2", fold=3, deterministic=True)
    assert TrainingConfig(**json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize("path", sorted(EXPERIMENTS.glob("*.flags")), ids=lambda path: path.name)
def test_flagfile(path, parse_flags):
    """demo_records.flags belongs to the conversion, all others to the trainer."""
    if path.name == "demo_records.flags":
        values = parse_flags(ConversionConfig, f"--flagfile={path}", "--dataset=phantom")
        ConversionConfig.from_flags(values)
    else:
        values = parse_flags(TrainingConfig, f"--flagfile={path}")
        from_flags(TrainingConfig, values)
    assert path.read_text().startswith("# ")
    said = [line for line in path.read_text().splitlines() if line.startswith("--")]
    assert said
    for line in said:
        name = line.removeprefix("--").split("=")[0].removeprefix("no")
        assert values[name].present == 1, f"{line} stands twice"


def test_there_are_flagfiles():
    assert {"baseline.flags", "h.flags"} <= {path.name for path in EXPERIMENTS.glob("*.flags")}
