"""Parser of `name[:choice][:key=value]...`, the syntax of --recipe, --augment and --schedule.

steps = Language("recipe", "step", STEPS, presets=RECIPES)
steps.read("resize:pad,gaussian:sigma=2")
    == (Spec("resize", "pad"), Spec("gaussian", parameters=(("kernel", 11), ("sigma", 2.0))))

What is left out has its default. A parameter without a key is written alone: rotate:20.
"""

from __future__ import annotations

import dataclasses
import decimal
from collections.abc import Mapping

from flags.fields import closest
from records.errors import CallerError

Value = int | float | str


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A key=value parameter that may follow a name.

    Attributes:
        default: its type is the type of the parameter.
        low: smallest number allowed.
        high: largest number allowed.
        about: what it does.
        odd: whether only odd numbers have a meaning.
        words: the words allowed, for a parameter that is a word.
        above: whether `low` itself is not allowed.
    """

    default: Value
    low: float = 0
    high: float = 0
    about: str = ""
    odd: bool = False
    words: tuple[str, ...] = ()
    above: bool = False

    @property
    def range(self) -> str:
        """What is allowed, for people."""
        if self.words:
            return " or ".join(self.words)
        low = f"more than {self.low:g}" if self.above else f"{self.low:g}"
        return f"{'odd, ' if self.odd else ''}{low} to {self.high:g}"

    def parse(self, text: str, where: str) -> Value:
        """Reads a value; `where` begins the message.

        Raises:
            CallerError: it is of another type or out of range.
        """
        if self.words:
            if text not in self.words:
                raise CallerError(f"{where} is not {self.range}")
            return text
        kind = type(self.default)
        try:
            number = kind(text)
        except ValueError as error:
            wanted = "a whole number" if kind is int else "a number"
            raise CallerError(f"{where} is not {wanted}, {self.range}") from error
        assert not isinstance(number, str)
        low = self.low < number if self.above else self.low <= number
        if not (low and number <= self.high) or (self.odd and number % 2 == 0):
            raise CallerError(f"{where} is out of range; {self.range} is allowed")
        return number + 0  # -0.0 is 0


@dataclasses.dataclass(frozen=True)
class Kind:
    """One row of a language's table.

    Attributes:
        about: what it does.
        source: where it comes from.
        group: the picture of the gallery it stands in.
        choices: variants, the default first; empty if there is one way only.
        parameters: by key; the key "" is that of a value written alone.
    """

    about: str = ""
    source: str = ""
    group: str = ""
    choices: tuple[str, ...] = ()
    parameters: Mapping[str, Parameter] = dataclasses.field(default_factory=dict)

    @property
    def takes(self) -> str:
        """What may follow the name, for people."""
        takes = [" or ".join(self.choices)] if self.choices else []
        takes += [
            f"{key}= ({one.range})" if key else f"a number, {one.range}"
            for key, one in self.parameters.items()
        ]
        return f"it takes {', '.join(takes)}" if takes else "it takes nothing"


@dataclasses.dataclass(frozen=True)
class Spec:
    """One name with its choice and parameters: `str()` of it is its canonical text.

    Attributes:
        name: key of the language's table.
        choice: one of its choices, "" if it has none.
        parameters: (key, value) of every parameter, sorted by key.
    """

    name: str
    choice: str = ""
    parameters: tuple[tuple[str, Value], ...] = ()

    def __str__(self) -> str:
        given = [self.choice] if self.choice else []
        given += [
            f"{key}={format_value(value)}" if key else format_value(value)
            for key, value in self.parameters
        ]
        return ":".join([self.name, *given])


@dataclasses.dataclass(frozen=True)
class Language:
    """A flag whose value is a list of specs.

    Attributes:
        flag: its name.
        noun: what one spec of it is called.
        kinds: name -> the choices and parameters it takes.
        presets: name -> a whole list.
        preset: what such a name is called.
    """

    flag: str
    noun: str
    kinds: Mapping[str, Kind]
    presets: Mapping[str, str] = dataclasses.field(default_factory=dict)
    preset: str = "preset"

    def read(self, text: str) -> tuple[Spec, ...]:
        """Reads a preset, or specs separated by commas.

        Raises:
            CallerError: one line saying which part of it is wrong and what would do.
        """
        text = "".join(text.split())
        if not text:
            names = ", ".join(self.presets or self.kinds)
            more = f", or {self.noun}s" if self.presets else ""
            raise CallerError(f"--{self.flag} is empty; give one of {names}{more}")
        text_of = self.presets.get(text, text)
        return tuple(self.read_one(part, text) for part in text_of.split(",")) if text_of else ()

    def read_one(self, part: str, text: str) -> Spec:
        """Reads one spec.

        Args:
            part: the spec, without blanks.
            text: the value of the flag it stands in, for the message.

        Raises:
            CallerError: one line saying what is wrong with it and what would do.
        """
        name, *words = part.split(":")
        if name not in self.kinds:
            raise self._unknown(name, text, alone=part == text)
        kind = self.kinds[name]
        given: dict[str, Value] = {}
        choices: list[str] = []
        for word in words:
            key, equals, value = word.partition("=") if "=" in word else ("", "", word)
            if not equals and "" not in kind.parameters:
                choices.append(word)
                self._check_choice(choices, name, text)
                continue
            if key not in kind.parameters or (equals and not key):
                near = closest(key, kind.parameters)
                raise CallerError(
                    f"--{self.flag}={text}: {name} has no parameter '{key}'; {kind.takes}{near}"
                )
            if key in given:
                what = key or "a value"
                raise CallerError(f"--{self.flag}={text}: {name} has {what} twice; leave one out")
            given[key] = kind.parameters[key].parse(value, f"--{self.flag}={text}: {name}:{word}")
        values = {key: given.get(key, one.default) for key, one in kind.parameters.items()}
        choice = choices[0] if choices else next(iter(kind.choices), "")
        return Spec(name, choice, tuple(sorted(values.items())))

    def _check_choice(self, choices: list[str], name: str, text: str) -> None:
        kind, word = self.kinds[name], choices[-1]
        where = f"--{self.flag}={text}: {name}"
        if word not in kind.choices:
            near = closest(word, [*kind.choices, *(f"{key}=" for key in kind.parameters)])
            raise CallerError(f"{where} takes no '{word}'; {kind.takes}{near}")
        if len(choices) > 1:
            known = " or ".join(kind.choices)
            raise CallerError(f"{where} has two choices; keep one of {known}")

    def _unknown(self, name: str, text: str, *, alone: bool) -> CallerError:
        presets = self.presets if alone else {}
        listed = [f"{self.preset}s are {', '.join(presets)}"] if presets else []
        listed += [f"{self.noun}s are {', '.join(self.kinds)}"]
        what = f"neither a {self.preset} nor a {self.noun}" if presets else f"no {self.noun}"
        near = closest(name, [*self.kinds, *presets]) or f"; {'; '.join(listed)}"
        return CallerError(f"--{self.flag}={text}: '{name}' is {what}{near}")


def format_value(value: Value) -> str:
    """Writes a value in its shortest form, without an exponent."""
    if isinstance(value, str):
        return value
    number = format(decimal.Decimal(repr(value)), "f")
    return number.rstrip("0").rstrip(".") if "." in number else number
