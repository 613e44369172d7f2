"""Tests of the flags of the network."""

from __future__ import annotations

import pytest

from flags import network_config
from flags.training_config import TrainingConfig
from records.errors import CallerError


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base": "mobilenet2"}, r"--base=mobilenet2 .* did you mean mobilenetv2 or "),
        ({"base": "VGG16"}, r"--base=VGG16 is not known; did you mean vgg16 or vgg19"),
        ({"base": "efficientnetb8"}, r"did you mean efficientnetb\d or efficientnetb\d\?"),
        ({"head": "gab"}, r"--head=gab is not one of gap, flatten; did you mean gap\?"),
        ({"input_scaling": "papr"}, r"--input_scaling=papr .* did you mean paper\?"),
        ({"downsample_sets": "3"}, r"--downsample_sets=3 is not one of 0, 1, 2, auto"),
        ({"conv_after": "2"}, r"--conv_after=2 is not one of 0, 1"),
        ({"activation": "rely"}, r"--activation=rely is not one of .* did you mean relu\?"),
        ({"base": "vgg19", "alpha": 0.5}, r"=0.5 goes with --base=mobilenet or .*; vgg19 has one"),
        ({"alpha": 0.25}, r"--alpha=0.25 is not one of 0.35, .* \(mobilenetv2\)"),
        (
            {"base": "mobilenet", "alpha": 0.35},
            r"--alpha=0.35 is not one of 0.25, .* \(mobilenet\)",
        ),
        ({"weights": "imagnet"}, r"--weights=imagnet is not one of .* did you mean imagenet\?"),
        ({"weights": "run/model.keras"}, r"=run/model.keras is not one of .*random, PATH.h5"),
        ({"dropout": 1.0}, r"--dropout=1.0 is not at least 0 and at most 0.95"),
        ({"l2": -1e-5}, r"--l2=-1e-05 is not at least 0 and less than 1; 1e-5 is usual"),
        ({"l2": float("nan")}, r"--l2=nan is not at least 0 and less than 1"),
        (
            {"base": "efficientnetb0", "input_scaling": "paper"},
            r"--input_scaling=paper: efficientnetb0 divides by 255 itself and would see black",
        ),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else None,
)
def test_refused(changes, message):
    with pytest.raises(CallerError, match=message):
        TrainingConfig(**changes)


@pytest.mark.parametrize(
    ("text", "units"),
    [("512,32", (512, 32)), ("7", (7,)), (" 8, 4 ", (8, 4)), ("none", ()), ("1,1", (1, 1))],
)
def test_hidden_units(text, units):
    assert network_config.hidden_units(text) == units


@pytest.mark.parametrize("text", ["", "0", "512,", "512;32", "-1", "1.5", "65537", "two", "None"])
def test_bad_hidden_units(text):
    with pytest.raises(CallerError, match=rf"^--hidden={text} is not a list of layer sizes from 1"):
        TrainingConfig(hidden=text)


def test_defaults_are_the_network_of_before():
    config = TrainingConfig()
    assert (config.base, config.alpha, config.head, config.dropout) == (
        "mobilenetv2",
        1,
        "gap",
        0.2,
    )
    assert (config.downsample_sets, config.conv_after, config.hidden) == ("0", "0", "512,32")
    assert (config.activation, config.batch_norm, config.l2) == ("relu", False, 0)
