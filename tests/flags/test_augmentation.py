"""Tests of the language of --augment."""

from __future__ import annotations

import itertools

import pytest

from flags import augmentation
from flags.training import TrainingConfig
from records.errors import CallerError


def test_nothing_is_changed_by_default():
    assert TrainingConfig().augment == "none"
    assert augmentation.parse("none") == ()


def test_the_paper():
    changes = {change.name: change.value for change in augmentation.parse("paper")}
    assert changes == {"flip": "horizontal", "rotate": 20, "shear": 0.2, "noise": 0.01}


def test_every_change_has_a_default_within_its_range():
    named = augmentation.parse(",".join(augmentation.CHANGES))
    assert [change.name for change in named] == list(augmentation.CHANGES)
    again = augmentation.parse(",".join(map(str, named)))
    assert again == named
    assert "rotate90" in map(str, named)
    assert "flip:horizontal" in map(str, named)


def test_the_order_of_writing_means_nothing():
    parts = ("noise:0.02", "flip:both", "scale:0.3")
    parsed = {augmentation.parse(" , ".join(order)) for order in itertools.permutations(parts)}
    assert parsed == {
        (
            augmentation.Change("flip", "both"),
            augmentation.Change("scale", 0.3),
            augmentation.Change("noise", 0.02),
        )
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"^--augment is empty; give one of none, paper, or changes$"),
        ("papper", r"'papper' is no change of an image; did you mean paper\?"),
        ("flip,rotat:20", r"--augment=flip,rotat:20: 'rotat' is .* did you mean rotate\?"),
        ("flip,paper", r"'paper' is no change of an image; there are flip, rotate90,"),
        ("flip,,noise", r"'' is no change of an image; there are"),
        ("flip,noise,flip:both", r"has flip twice; leave one out"),
        ("rotate90:2", r"rotate90 takes no value; write rotate90 alone"),
        ("flip:sideways", r"flip:sideways is not flip:horizontal or vertical or both"),
        ("rotate:181", r"rotate:181 is not rotate and a number from 0\.1 to 180"),
        ("rotate:-5", r"rotate:-5 is not rotate and a number from"),
        ("rotate:", r"rotate: is not rotate and a number from"),
        ("noise:nan", r"noise:nan is not noise and a number from 1e-06 to 1"),
        ("shear:much", r"shear:much is not shear and a number from"),
        ("rotate:1:2", r"rotate:1:2 is not rotate and a number from"),
    ],
)
def test_refused(text, message):
    with pytest.raises(CallerError, match=message) as caught:
        TrainingConfig(augment=text)
    assert "\n" not in str(caught.value)
