"""Tests of the language of --augment."""

from __future__ import annotations

import itertools

import pytest

from flags import augmentation_spec
from flags.spec import Spec
from flags.training_config import TrainingConfig
from records.errors import CallerError


def test_nothing_is_changed_by_default():
    assert TrainingConfig().augment == "none"
    assert augmentation_spec.parse("none") == ()


def test_the_paper():
    changes = {
        change.name: augmentation_spec.amount(change) for change in augmentation_spec.parse("paper")
    }
    assert changes == {"flip": "horizontal", "rotate": 20, "shear": 0.2, "noise": 0.01}


def test_every_change_has_a_default_within_its_range():
    named = augmentation_spec.parse(",".join(augmentation_spec.CHANGES))
    assert [change.name for change in named] == list(augmentation_spec.CHANGES)
    again = augmentation_spec.parse(",".join(map(str, named)))
    assert again == named
    assert "rotate90" in map(str, named)
    assert "flip:horizontal" in map(str, named)


def test_the_order_of_writing_means_nothing():
    parts = ("noise:0.02", "flip:both", "scale:0.3")
    parsed = {augmentation_spec.parse(" , ".join(order)) for order in itertools.permutations(parts)}
    assert parsed == {
        (
            Spec("flip", "both"),
            Spec("scale", parameters=(("", 0.3),)),
            Spec("noise", parameters=(("", 0.02),)),
        )
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"^--augment is empty; give one of none, paper, petrini, or changes$"),
        ("papper", r"'papper' is neither a preset nor a change; did you mean paper\?"),
        ("flip,rotat:20", r"--augment=flip,rotat:20: 'rotat' is .* did you mean rotate\?"),
        ("flip,paper", r"'paper' is no change; changes are flip, rotate90,"),
        ("flip,,noise", r"'' is no change; changes are"),
        ("flip,noise,flip:both", r"has flip twice; leave one out"),
        ("rotate90:2", r"rotate90 takes no '2'; it takes nothing"),
        ("flip:sideways", r"flip takes no 'sideways'; it takes horizontal or vertical or both"),
        ("rotate:181", r"rotate:181 is out of range; 0\.1 to 180 is allowed"),
        ("rotate:-5", r"rotate:-5 is out of range"),
        ("rotate:", r"rotate: is not a number, 0\.1 to 180"),
        ("noise:nan", r"noise:nan is out of range; 1e-06 to 1 is allowed"),
        ("shear:much", r"shear:much is not a number, 0.001 to 1"),
        ("rotate:=2", r"rotate has no parameter ''; it takes a number, 0.1 to 180"),
        ("rotate:1:2", r"rotate has a value twice; leave one out"),
    ],
)
def test_refused(text, message):
    with pytest.raises(CallerError, match=message) as caught:
        TrainingConfig(augment=text)
    assert "\n" not in str(caught.value)
