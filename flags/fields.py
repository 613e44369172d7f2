"""A flag is a dataclass field: default, help, bounds and choices stand there and nowhere else.

@dataclasses.dataclass(frozen=True)
class Head(Flags):
    head: str = flag("gap", "How features become a vector", choices={"gap": "pooled", ...})
    dropout: float = flag(0.2, "Dropout before the head.", low=0, high=0.95)

define(Head); config = from_flags(Head, absl.flags.FLAGS)
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import os
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar

from absl import flags

from records.errors import CallerError


@dataclasses.dataclass(frozen=True)
class Flag:
    """What a field means as a flag, kept in the field's metadata.

    Attributes:
        help: a sentence, or with `choices` what it decides.
        choices: the values allowed, each with its meaning, "" where the name is enough; empty: any.
        other: whether a value that is none of the choices is right all the same; the last choice
            then stands for all such values, as PATH.h5 does.
        note: sentence that follows the choices in the help.
        remedy: what an error adds to what is allowed.
        low: least value allowed.
        high: largest value allowed.
        above: value it must exceed.
        below: value it must stay under.
        identity: whether another value makes another run or another set of records.
        repeat: whether another value makes a repeat of the same experiment: the seed, the devices.
        searchable: whether a search may vary it.
        place: whether it may name a place of this machine, of which pages show the last part only.
        parse: makes the field's value of the flag's text; None: the text is the value.
        repeated: whether the flag may be given several times, a value each time.
        name: of the flag, where it is not that of the field.
        chosen: whether the program chooses by other flags where this one is not given, so that it
            is None on the command line.
        late: whether it came after the first records: at its default it is left out of the
            identity, so that those keep theirs.
    """

    help: str
    choices: Mapping[str, str] = dataclasses.field(default_factory=dict)
    other: Callable[[str], bool] | None = None
    note: str = ""
    remedy: str = ""
    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None
    identity: bool = True
    repeat: bool = False
    searchable: bool = True
    place: bool = False
    parse: Callable[[Any], Any] | None = None
    repeated: bool = False
    name: str = ""
    chosen: bool = False
    late: bool = False


def flag(default: Any, help: str, **meaning: Any) -> Any:
    """Makes a dataclass field that is a flag; `meaning` is that of `Flag`."""
    return dataclasses.field(default=default, metadata={"flag": Flag(help, **meaning)})


@dataclasses.dataclass(frozen=True)
class Flags:
    """Base of every configuration: checks each field by its bounds and choices, then the whole.

    A class whose fields must agree with each other checks that in `check`, which calls
    `super().check()`.
    """

    def __post_init__(self) -> None:
        for name, one in flags_of(type(self)).items():
            _check_value(name, getattr(self, name), one)
        self.check()

    def check(self) -> None:
        """Checks fields against each other.

        Raises:
            CallerError: two fields contradict each other.
        """

    def to_json(self) -> dict[str, Any]:
        """Lists every flag by name, as config.json keeps them: numbers, texts, lists and None."""
        return {name: as_json(getattr(self, name)) for name in flags_of(type(self))}

    def identity(self) -> dict[str, Any]:
        """Lists the flags that make this run or these records what they are."""
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        wanted = {
            name
            for name, one in flags_of(type(self)).items()
            if one.identity and not (one.late and getattr(self, name) == defaults[name])
        }
        return {name: value for name, value in self.to_json().items() if name in wanted}


Config = TypeVar("Config", bound=Flags)
_MANY = 12
"""Names that an error message lists although one of them is near."""


def flags_of(config: type[Flags]) -> dict[str, Flag]:
    """Returns the flags of a class, name -> meaning, in the order of its fields."""
    fields = dataclasses.fields(config)
    return {field.name: field.metadata["flag"] for field in fields if "flag" in field.metadata}


def defaults(config: type[Flags]) -> dict[str, Any]:
    """Returns the default of every flag of a class, as `Flags.to_json` writes values."""
    return {name: as_json(getattr(config, name)) for name in flags_of(config)}


def define(config: type[Flags], values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines a flag for every field of a class that is one."""
    types_of = typing.get_type_hints(config)
    values_of = defaults(config)
    for name, one in flags_of(config).items():
        make: Callable[..., Any] = _KINDS.get(_kind_of(types_of[name]), flags.DEFINE_string)
        if one.repeated:
            make = flags.DEFINE_multi_string
        elif isinstance(values_of[name], list):
            make = flags.DEFINE_list
        # of an empty default the help would show ''
        default = None if one.chosen or values_of[name] in ("", []) else values_of[name]
        make(one.name or name, default, help_of(one), flag_values=values)


def read(config: type[Flags], values: flags.FlagValues) -> dict[str, Any]:
    """Reads parsed flags as the values of the fields of a class.

    Raises:
        CallerError: a text can't be read.
    """
    given = {}
    for name, one in flags_of(config).items():
        value = values[one.name or name].value
        if value is None:
            given[name] = None if one.chosen else getattr(config, name)
            continue
        value = tuple(value) if isinstance(value, list) else value
        value = expand_home(value) if one.place else value
        given[name] = one.parse(value) if one.parse else value
    return given


def expand_home(value: Any) -> Any:
    """Writes out the ~ that a path begins with: after `--flag=` no shell does."""
    if isinstance(value, tuple):
        return tuple(map(expand_home, value))
    return os.path.expanduser(value) if isinstance(value, str) else value


def from_flags(config: type[Config], values: flags.FlagValues, **more: Any) -> Config:
    """Builds a configuration from parsed flags; `more` are fields that are no flags.

    Raises:
        CallerError: a value is unknown, out of bounds or contradicts another; one line with the
            remedy.
    """
    return config(**read(config, values), **more)


def help_of(one: Flag) -> str:
    """Writes a flag's help: what it decides, then every choice with its meaning."""
    if not one.choices:
        return one.help
    return f"{describe(one.help, one.choices)} {one.note}".rstrip()


def describe(lead: str, names: Mapping[str, str]) -> str:
    """Writes what is decided, then every name with its meaning."""
    if not any(names.values()):
        return f"{lead}: {', '.join(names)}."
    return f"{lead}: " + "; ".join(f"{name} = {text}" for name, text in names.items()) + "."


def closest(name: str, known: Iterable[str], *, lead: str = "") -> str:
    """Writes "; did you mean NAME?" for the nearest known name, "" where none is near."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {lead}{close[0]}?" if close else ""


def not_one_of(value: str, known: Collection[str]) -> str:
    """Writes what a value should have been: the nearest of many names, else all of them."""
    if len(known) > _MANY and (near := difflib.get_close_matches(value.lower(), known, n=2)):
        return f"is not known; did you mean {' or '.join(near)}? --help lists all {len(known)}"
    return f"is not one of {', '.join(known)}{closest(value, known)}"


def check_name(name: str, value: str, known: Iterable[str]) -> None:
    """Refuses a flag value that is none of the known names.

    Raises:
        CallerError: names the closest one, or all.
    """
    known = list(known)
    if value not in known:
        raise CallerError(f"--{name}={value} {not_one_of(value, known)}")


def as_json(value: Any) -> Any:
    """Turns a field's value into what JSON and absl take; tuples become lists."""
    if isinstance(value, tuple):
        return [as_json(one) for one in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


_KINDS: dict[type, Callable[..., Any]] = {
    bool: flags.DEFINE_bool,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
}


def _kind_of(annotation: Any) -> type:
    """Returns the type of a field without its `| None`."""
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        kinds = [one for one in typing.get_args(annotation) if one is not types.NoneType]
        return kinds[0] if len(kinds) == 1 else str
    return annotation if isinstance(annotation, type) else str


def _check_value(name: str, value: Any, one: Flag) -> None:
    """Checks one value against bounds and choices.

    Raises:
        CallerError: names the bound it breaks.
    """
    if value is None:
        return
    remedy = f"; {one.remedy}" if one.remedy else ""
    for chosen in (value or ("",)) if isinstance(value, tuple) else (value,):
        if one.choices and not (one.other and one.other(chosen)):
            known = list(one.choices)
            if chosen not in (known[:-1] if one.other else known):
                wanted = f"is not one of {', '.join(known)}{remedy}"
                raise CallerError(
                    f"--{name}={chosen} {wanted if remedy else not_one_of(chosen, known)}"
                )
    given = [
        (f"{text} {bound:g}", holds)
        for text, bound, holds in (
            ("at least", one.low, one.low is None or value >= one.low),
            ("at most", one.high, one.high is None or value <= one.high),
            ("more than", one.above, one.above is None or value > one.above),
            ("less than", one.below, one.below is None or value < one.below),
        )
        if bound is not None
    ]
    endless = isinstance(value, float) and not math.isfinite(value)
    if given and (endless or not all(held for _, held in given)):
        allowed = " and ".join(text for text, _ in given)
        raise CallerError(f"--{name}={value} is not {allowed}{remedy}")
