"""The language of --recipe: a name, or an ordered list of steps; checked here, run by beam_jobs.

  clean,crop,resize:pad,gaussian:sigma=0.5,hist_eq

A step is `name[:choice][:parameter=value]*`; what is left out has its default. Steps, choices and
parameters stand in `flags.recipe_steps`.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Iterable

from flags.recipe_steps import STEPS
from flags.spec import Language, Spec, format_value
from records.errors import CallerError

RECIPES = {
    "plain": "resize:pad",
    "paper": "resize:pad,gaussian:kernel=11:sigma=0.5,hist_eq,minmax",
    "paper_8bit": "resize:pad,gaussian:kernel=11:sigma=0.5,bits:8,hist_eq,bits:8,minmax",
    "best_practice": "clean,orient:left,pectoral,crop,resize:pad,median:kernel=3,clahe:clip=2",
}
"""Named recipes as ordered steps, in the language of this module.

`paper`: Jaamour et al. 2023, pre-processing, in 16 bits; `paper_8bit` in the 256 levels theirs had.
`best_practice`: what the survey of Abdelhafiz et al. 2019 finds to help; why: docs/recipes.md.
"""
EXAMPLE = "clean,crop,resize:pad,gaussian:sigma=0.5,hist_eq"
_LONGEST_FOLDER_NAME = 120  # file systems allow 255 bytes, object stores 1,024 for a whole path
_IMAGE_STEPS = tuple(name for name, kind in STEPS.items() if kind.group == "image")


LANGUAGE = Language("recipe", "step", STEPS, presets=RECIPES, preset="recipe")


@dataclasses.dataclass(frozen=True)
class Step(Spec):
    """One step of a recipe.

    Attributes:
        cleaned: whether `clean` stands before it, so that all but the breast is black.
    """

    cleaned: bool = False

    __str__ = Spec.__str__


@functools.cache
def parse(text: str) -> tuple[Step, ...]:
    """Reads a recipe: a name of `RECIPES`, or steps.

    Raises:
        CallerError: one line saying which step of it is wrong and what would do.
    """
    text = "".join(text.split())
    specs = LANGUAGE.read(text)
    names = [spec.name for spec in specs]
    steps = tuple(
        Step(spec.name, spec.choice, spec.parameters, "clean" in names[:position])
        for position, spec in enumerate(specs)
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
            f"{key}={format_value(parameter.default)} ({parameter.range}: {parameter.about})"
            for key, parameter in kind.parameters.items()
        )
        lines.append(f"{form}: {kind.about}" + (f"; {given}" if given else ""))
    return ". ".join(lines) + "."


def _readable(step: Step) -> str:
    kind = STEPS[step.name]
    changed = [
        f"{key}{format_value(value)}"
        for key, value in step.parameters
        if value != kind.parameters[key].default
    ]
    return "-".join([step.name, *([step.choice] if step.choice else []), *changed])


def parse_step(part: str, text: str) -> Step:
    """Reads one step of a recipe; see `flags.spec.Language.read_one`.

    Raises:
        CallerError: one line saying what is wrong with it and what would do.
    """
    spec = LANGUAGE.read_one(part, text)
    return Step(spec.name, spec.choice, spec.parameters)
