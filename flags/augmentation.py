"""The language of --augment: a name, or a list of random changes; checked here, made by trainer.

  flip,rotate90,rotate:20,translate:0.1,scale:0.1,shear:0.2,brightness:0.1,contrast:0.1,noise:0.01

A change is `name[:value]`. Changes are made in the order of `CHANGES`, in whatever order they are
written: geometry first, so that pixels are interpolated once, noise last.
"""

from __future__ import annotations

import dataclasses
import difflib
import math

from flags.steps import Parameter, Value
from records.errors import CallerError

NONE = "none"
PRESETS = {
    NONE: "",
    # Jaamour et al. 2023, the published code: rotation within 20 degrees, horizontal flip, shear
    # 0.2, Gaussian noise of variance 0.01
    "paper": "flip,rotate:20,shear:0.2,noise:0.01",
}
_SHARE = "fraction of full scale"
CHANGES: dict[str, Parameter | None] = {
    "flip": Parameter(
        "horizontal",
        about="mirrors half of the images; both: each way by itself",
        words=("horizontal", "vertical", "both"),
    ),
    "rotate90": None,
    "rotate": Parameter(20.0, 0.1, 180, "turns by up to so many degrees either way"),
    "translate": Parameter(0.1, 0.001, 0.5, "moves by up to this fraction of height and width"),
    "scale": Parameter(0.1, 0.001, 0.9, "magnifies by 1 - this to 1 + this"),
    "shear": Parameter(0.2, 0.001, 1, "moves rows aside by up to this times their distance"),
    "brightness": Parameter(0.1, 0.001, 1, f"adds up to this {_SHARE}, or takes it away"),
    "contrast": Parameter(0.1, 0.001, 1, "stretches about the mean by 1 - this to 1 + this"),
    "noise": Parameter(0.01, 1e-6, 1, f"adds Gaussian noise of this variance, squared {_SHARE}"),
}
"""Every change and the value it takes; None where it takes none."""


@dataclasses.dataclass(frozen=True)
class Change:
    """One random change of an image.

    Attributes:
        name: key of `CHANGES`.
        value: how far it goes; "" where the change takes no value.
    """

    name: str
    value: Value

    def __str__(self) -> str:
        return self.name if self.value == "" else f"{self.name}:{self.value}"


def parse(text: str) -> tuple[Change, ...]:
    """Reads --augment; returns the changes in the order they are made, () for `none`.

    Raises:
        CallerError: one line saying which part of it is wrong and what would do.
    """
    text = "".join(text.split())
    if not text:
        raise CallerError(f"--augment is empty; give one of {', '.join(PRESETS)}, or changes")
    asked = PRESETS.get(text, text)
    changes = [_parse_change(part, text) for part in asked.split(",")] if asked else []
    names = [change.name for change in changes]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise CallerError(f"--augment={text} has {twice} twice; leave one out")
    return tuple(sorted(changes, key=lambda change: list(CHANGES).index(change.name)))


def describe() -> str:
    """Writes the table of changes for a flag's help."""
    lines = ["rotate90: turns by a multiple of 90 degrees (180 where images are not square)"]
    for name, parameter in CHANGES.items():
        if parameter is not None:
            lines.append(f"{name}[:{parameter.default}]: {parameter.about} ({parameter.range})")
    return "; ".join(lines)


def _parse_change(part: str, text: str) -> Change:
    name, colon, value = part.partition(":")
    if name not in CHANGES:
        known = [*CHANGES, *(PRESETS if part == text else ())]
        close = difflib.get_close_matches(name, known, n=1)
        raise CallerError(
            f"--augment={text}: '{name}' is no change of an image; "
            + (f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}")
        )
    parameter = CHANGES[name]
    if parameter is None:
        if colon:
            raise CallerError(f"--augment={text}: {name} takes no value; write {name} alone")
        return Change(name, "")
    if not colon:
        return Change(name, parameter.default)
    if parameter.words:
        if value not in parameter.words:
            raise CallerError(f"--augment={text}: {part} is not {name}:{parameter.range}")
        return Change(name, value)
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not parameter.low <= number <= parameter.high:
        raise CallerError(
            f"--augment={text}: {part} is not {name} and a number from {parameter.range}"
        )
    return Change(name, number)
