"""The language of --recipe: a name, or an ordered list of steps; checked here, run by beam_jobs.

  clean,crop,resize:pad,gaussian:sigma=0.5,hist_eq

A step is `name[:choice][:parameter=value]*`; what is left out has its default. Steps, choices and
parameters stand in `flags.steps`.
"""

from __future__ import annotations

import dataclasses
import decimal
import difflib
import functools
import hashlib
from collections.abc import Iterable

from flags.steps import STEPS, Parameter, StepKind, Value
from records.errors import CallerError

RECIPES = {
    "plain": "resize:pad",
    "paper": "resize:pad,gaussian:kernel=11:sigma=0.5,hist_eq,minmax",
    "paper_8bit": "resize:pad,gaussian:kernel=11:sigma=0.5,bits:8,hist_eq,bits:8,minmax",
    "best_practice": "clean,orient:left,pectoral,crop,resize:pad,median:kernel=3,clahe:clip=2",
}
"""Named recipes as ordered steps, in the language of this module.

`paper`: Jaamour et al. 2023, pre-processing, in 16 bits; `paper_8bit` in the 256 levels theirs had.
`best_practice`: what the survey of Abdelhafiz et al. 2019 finds to help; docs/recipes.md says why.
"""
EXAMPLE = "clean,crop,resize:pad,gaussian:sigma=0.5,hist_eq"
_LONGEST_FOLDER_NAME = 120  # file systems allow 255 bytes, object stores 1,024 for a whole path
_IMAGE_STEPS = tuple(name for name, kind in STEPS.items() if kind.group == "image")


@dataclasses.dataclass(frozen=True)
class Step:
    """One step of a recipe, complete: `str()` of it is its canonical text.

    Attributes:
        name: key of `STEPS`.
        choice: one of the step's choices, "" if it has none.
        parameters: (name, value) of every parameter, sorted by name.
        cleaned: whether `clean` stands before it, so that all but the breast is black.
    """

    name: str
    choice: str
    parameters: tuple[tuple[str, Value], ...]
    cleaned: bool = False

    def __str__(self) -> str:
        given = [f"{key}={_format(value)}" for key, value in self.parameters]
        return ":".join([self.name, *([self.choice] if self.choice else []), *given])


@functools.cache
def parse(text: str) -> tuple[Step, ...]:
    """Reads a recipe: a name of `RECIPES`, or steps.

    Raises:
        CallerError: one line saying which step of it is wrong and what would do.
    """
    text = "".join(text.split())
    asked = RECIPES.get(text, text)
    if not asked:
        raise CallerError(f"--recipe is empty; give one of {', '.join(RECIPES)}")
    steps = tuple(parse_step(part, text) for part in asked.split(","))
    names = [step.name for step in steps]
    steps = tuple(
        dataclasses.replace(step, cleaned="clean" in names[:position])
        for position, step in enumerate(steps)
    )
    if names.count("resize") != 1:
        raise CallerError(
            f"--recipe={text} has {names.count('resize')} resize steps, one is needed; "
            "for example clean,crop,resize:pad"
        )
    for step in steps:
        if step.choice == "breast" and not step.cleaned:
            raise CallerError(
                f"--recipe={text}: {step.name}:breast needs clean before it, which blackens the "
                f"rest; add clean, or take {step.name}:whole"
            )
    late = next((name for name in names[names.index("resize") :] if name in _IMAGE_STEPS), None)
    if late:
        raise CallerError(
            f"--recipe={text}: {late} stands after resize, it works on the whole image; "
            f"put {late} first"
        )
    return steps


def canonical(text: str) -> str:
    """Writes a recipe with every choice and parameter at its value: equal recipes, equal text."""
    return ",".join(map(str, parse(text)))


def folder_name(text: str) -> str:
    """Names the folder of a recipe: its name, or its steps as `clean--resize-pad--gaussian-sigma1`.

    Steps are joined by `--`, their parts by `-`; parameters at their default are left out. Letters,
    digits, `_`, `-` and `.` are safe on every file system, in object stores and in HDFS. What is
    longer than 120 characters is cut and ends in a digest. Spellings of one recipe share a name.
    """
    steps = parse(text)
    for name in RECIPES:
        if parse(name) == steps:
            return name
    readable = "--".join(_readable(step) for step in steps)
    if len(readable) <= _LONGEST_FOLDER_NAME:
        return readable
    digest = hashlib.sha256(canonical(text).encode()).hexdigest()[:12]
    return f"{readable[: _LONGEST_FOLDER_NAME - 14]}--{digest}"


def distinct(texts: Iterable[str]) -> tuple[str, ...]:
    """Drops the recipes that stand there already, in whatever spelling."""
    first: dict[str, str] = {}
    for text in texts:
        first.setdefault(folder_name(text), text)
    return tuple(first.values())


def describe_steps() -> str:
    """Writes the table of steps for a flag's help."""
    lines = []
    for name, kind in STEPS.items():
        form = name + (f"[:{'|'.join(kind.choices)}]" if kind.choices else "")
        given = ", ".join(
            f"{key}={_format(parameter.default)} ({parameter.range}: {parameter.about})"
            for key, parameter in kind.parameters.items()
        )
        lines.append(f"{form}: {kind.about}" + (f"; {given}" if given else ""))
    return ". ".join(lines) + "."


def _readable(step: Step) -> str:
    kind = STEPS[step.name]
    changed = [
        f"{key}{_format(value)}"
        for key, value in step.parameters
        if value != kind.parameters[key].default
    ]
    return "-".join([step.name, *([step.choice] if step.choice else []), *changed])


def parse_step(part: str, text: str) -> Step:
    """Reads one step.

    Args:
        part: the step, without blanks.
        text: the recipe it stands in, for the message.

    Raises:
        CallerError: one line saying what is wrong with it and what would do.
    """
    name, *words = part.split(":")
    if name not in STEPS:
        known = [*STEPS, *(RECIPES if part == text else ())]
        what = "neither a recipe nor a step" if part == text else "no step"
        raise CallerError(
            f"--recipe={text}: '{name}' is {what}; "
            + _nearest(name, known, f"recipes are {', '.join(RECIPES)}; steps are")
        )
    kind = STEPS[name]
    choice = ""
    values: dict[str, Value] = {key: p.default for key, p in kind.parameters.items()}
    given = set()
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            if choice or word not in kind.choices:
                raise CallerError(_wrong_word(text, name, word, kind, repeated=bool(choice)))
            choice = word
            continue
        if key not in kind.parameters:
            raise CallerError(f"--recipe={text}: {name} has no parameter '{key}'; {_takes(kind)}")
        if key in given:
            raise CallerError(f"--recipe={text}: {name} has {key} twice; leave one out")
        given.add(key)
        values[key] = _parse_value(f"--recipe={text}: {name}:{word}", value, kind.parameters[key])
    return Step(name, choice or next(iter(kind.choices), ""), tuple(sorted(values.items())))


def _parse_value(where: str, value: str, parameter: Parameter) -> Value:
    if parameter.words:
        if value not in parameter.words:
            raise CallerError(f"{where} is not {parameter.range}")
        return value
    kind = type(parameter.default)
    try:
        number = kind(value)
    except ValueError as error:
        wanted = "a whole number" if kind is int else "a number"
        raise CallerError(f"{where} is not {wanted}, {parameter.range}") from error
    assert not isinstance(number, str)
    if not parameter.low <= number <= parameter.high or (parameter.odd and number % 2 == 0):
        raise CallerError(f"{where} is out of range; {parameter.range} is allowed")
    return number + 0  # -0.0 is 0


def _wrong_word(text: str, name: str, word: str, kind: StepKind, *, repeated: bool) -> str:
    if repeated and word in kind.choices:
        return f"--recipe={text}: {name} has two choices; keep one of {' or '.join(kind.choices)}"
    close = difflib.get_close_matches(word, [*kind.choices, *kind.parameters], n=1)
    hints = [f"; did you mean {name}{'=' if name in kind.parameters else ''}?" for name in close]
    return f"--recipe={text}: {name} takes no '{word}'; {_takes(kind)}{''.join(hints)}"


def _takes(kind: StepKind) -> str:
    takes = [" or ".join(kind.choices)] if kind.choices else []
    takes += [f"{key}= ({parameter.range})" for key, parameter in kind.parameters.items()]
    return f"it takes {', '.join(takes)}" if takes else "it takes nothing"


def _nearest(name: str, known: Iterable[str], otherwise: str) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]}?" if close else f"{otherwise} {', '.join(STEPS)}"


def _format(value: Value) -> str:
    """Writes a value in its shortest form, without an exponent."""
    if isinstance(value, str):
        return value
    number = format(decimal.Decimal(repr(value)), "f")
    return number.rstrip("0").rstrip(".") if "." in number else number
