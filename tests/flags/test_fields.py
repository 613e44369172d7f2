"""A flag is said once: one field with `flag()` reaches help, config.json, identity and search."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest
from absl import flags
from hypothesis import given
from hypothesis import strategies as st

from flags import fields, search_space
from flags.conversion_config import ConversionConfig
from flags.fields import Flags, flag, from_flags
from flags.training_config import TrainingConfig
from flags.verification_config import VerificationConfig
from records.errors import CallerError

PROGRAMS = (TrainingConfig, ConversionConfig, VerificationConfig)


@dataclasses.dataclass(frozen=True)
class Longer(TrainingConfig):
    """The trainer's flags and three more, each said here and nowhere else."""

    tilt: float = flag(0.5, "How far it leans.", low=0, high=1)
    notes: str | None = flag(None, "Folder of notes.", identity=False, searchable=False, place=True)
    hat: str = flag("bowler", "On top", choices={"bowler": "round", "top": "tall"}, note="Stiff.")


def test_a_new_field_is_a_flag(parse_flags):
    values = parse_flags(Longer, "--tilt=0.25", "--hat=top", "--base=vgg19")
    config = from_flags(Longer, values)
    assert config == Longer(tilt=0.25, hat="top", base="vgg19")
    help_text = values.get_help()
    for line in ("--tilt: How far it leans.", "--hat: On top: bowler = round; top = tall. Stiff."):
        assert line in " ".join(help_text.split())


def test_a_new_field_is_in_json_identity_and_search():
    config = Longer(tilt=0.25, notes="n")
    content = json.loads(json.dumps(config.to_json()))
    assert Longer(**content) == config
    assert config.identity()["tilt"] == 0.25
    assert "notes" not in config.identity()
    searchable = [name for name, one in fields.flags_of(Longer).items() if one.searchable]
    assert "tilt" in searchable
    assert "notes" not in searchable


def test_a_search_takes_the_bounds_of_the_flags():
    config = TrainingConfig()
    (dimension,) = search_space.parse("dropout = float 0 0.9", config)
    assert dimension.values == (0.0, 0.9)
    with pytest.raises(CallerError, match=r"--dropout=1\.5 is not at least 0 and at most 0\.95"):
        search_space.parse("dropout = float 0 1.5", config)
    with pytest.raises(CallerError, match="run_dir can't be searched"):
        search_space.parse("run_dir = a b", config)


def test_how_images_are_evaluated_and_cached_makes_no_other_run():
    """A run may be resumed, and is the published experiment, whatever these are."""
    other = TrainingConfig(
        tta="flip", feature_cache="off", feature_gb=1, cache="off", skip_damaged=True, profile="1,2"
    )
    assert other.identity() == TrainingConfig().identity()
    assert {"dropout", "seed", "target", "test_fold"} <= other.identity().keys()


@pytest.mark.parametrize("config", PROGRAMS, ids=lambda config: config.__name__)
def test_every_flag_keeps_the_laws(config):
    for name, one in fields.flags_of(config).items():
        assert one.help, name
        assert not (one.identity and name.endswith("_dir")), name
        if one.choices:
            assert not one.help.endswith("."), f"{name}: the choices go on with the sentence"
        else:
            assert one.help.endswith("."), name


BOUNDED = [
    pytest.param(config, name, id=name)
    for config in PROGRAMS
    for name, one in fields.flags_of(config).items()
    if any(bound is not None for bound in (one.low, one.high, one.above, one.below))
]


def alone(config: type[Flags], name: str) -> type[Flags]:
    """A class of one field of another, without what that one checks of fields together."""
    (field,) = (field for field in dataclasses.fields(config) if field.name == name)
    kept = dataclasses.field(default=field.default, metadata=field.metadata)
    return dataclasses.make_dataclass(
        "Alone", [(name, field.type, kept)], bases=(Flags,), frozen=True
    )


@pytest.mark.parametrize(("config", "name"), BOUNDED)
def test_bounds_of_every_flag(config, name):
    one, make = fields.flags_of(config)[name], alone(config, name)
    inside = [bound for bound in (one.low, one.high) if bound is not None]
    outside = [bound for bound in (one.above, one.below) if bound is not None]
    outside += [math.nextafter(one.low, -math.inf)] if one.low is not None else []
    outside += [math.nextafter(one.high, math.inf)] if one.high is not None else []
    for value in inside:
        make(**{name: value})
    for value in (*outside, math.nan, math.inf, -math.inf):
        with pytest.raises(CallerError, match=rf"^--{name}=.* is not (at|more|less) ") as refused:
            make(**{name: value})
        assert "\n" not in str(refused.value)


BOUND = st.none() | st.floats(-10, 10)


@given(low=BOUND, high=BOUND, above=BOUND, below=BOUND, value=st.floats() | st.integers())
def test_a_value_is_taken_exactly_within_its_bounds(low, high, above, below, value):
    bounds = {"low": low, "high": high, "above": above, "below": below}
    make = dataclasses.make_dataclass(
        "One", [("x", float, flag(0.0, "A number.", **bounds))], bases=(Flags,), frozen=True
    )
    bounded = any(bound is not None for bound in bounds.values())
    right = not bounded or (
        math.isfinite(value)
        and (low is None or value >= low)
        and (high is None or value <= high)
        and (above is None or value > above)
        and (below is None or value < below)
    )
    if right:
        assert make(x=value) is not None
    else:
        with pytest.raises(CallerError, match=r"^--x="):
            make(x=value)


@given(st.text())
def test_a_choice_is_one_of_the_choices_or_of_the_others(text):
    make = dataclasses.make_dataclass(
        "Word",
        [
            ("plain", str, flag("a", "Which", choices={"a": "", "b": ""})),
            ("open", str, flag("a", "Which", choices={"a": "", "N": ""}, other=str.isdecimal)),
        ],
        bases=(Flags,),
        frozen=True,
    )
    for name, right in (("plain", text in ("a", "b")), ("open", text == "a" or text.isdecimal())):
        if right:
            assert getattr(make(**{name: text}), name) == text
        else:
            with pytest.raises(CallerError, match=f"^--{name}="):
                make(**{name: text})


def test_a_number_too_large_for_a_float_is_compared_all_the_same():
    assert TrainingConfig(phase1_patience=10**400).phase1_patience == 10**400
    with pytest.raises(CallerError, match="--accumulate=-1000"):
        TrainingConfig(accumulate=-(10**400))


def test_none_passes_and_remedies_are_told():
    @dataclasses.dataclass(frozen=True)
    class Few(Flags):
        size: float | None = flag(None, "Size.", above=0, remedy="1 is usual")

    assert Few().size is None
    with pytest.raises(CallerError, match=r"^--size=0 is not more than 0; 1 is usual$"):
        Few(size=0)


def test_an_empty_default_is_not_shown(parse_flags):
    @dataclasses.dataclass(frozen=True)
    class Empty(Flags):
        run: str = flag("", "Run.")
        columns: tuple[str, ...] = flag((), "Columns.")

    values = parse_flags(Empty)
    assert (values["run"].default, values["columns"].default) == (None, None)
    assert from_flags(Empty, values) == Empty()
    assert from_flags(Empty, parse_flags(Empty, "--run=a", "--columns=b")) == Empty("a", ("b",))


def test_lists_and_flags_by_another_name(parse_flags):
    @dataclasses.dataclass(frozen=True)
    class Lists(Flags):
        sizes: tuple[int, ...] = flag((1, 2), "Sizes.", parse=lambda texts: tuple(map(int, texts)))
        pets: tuple[str, ...] = flag(("cat",), "Pets.", name="pet", repeated=True)
        place: str = flag("here", "Place.", chosen=True)

    values = parse_flags(Lists, "--sizes=3,4", "--pet=dog", "--pet=cow", "--place=there")
    assert from_flags(Lists, values) == Lists((3, 4), ("dog", "cow"), "there")
    assert fields.read(Lists, parse_flags(Lists)) == {
        "sizes": (1, 2),
        "pets": ("cat",),
        "place": None,
    }


def test_absl_flags_stay_clean(parse_flags):
    before = set(flags.FLAGS)
    parse_flags(TrainingConfig)
    assert set(flags.FLAGS) == before
