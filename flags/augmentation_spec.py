"""The language of --augment: a name, or a list of random changes; checked here, made by trainer.

  flip,rotate90,rotate:20,translate:0.1,scale:0.1,shear:0.2,brightness:0.1,contrast:0.1,noise:0.01

A change is `name[:value]`. Changes are made in the order of `CHANGES`, in whatever order they are
written: geometry first, so that pixels are interpolated once, noise last.
"""

from __future__ import annotations

from flags.spec import Kind, Language, Parameter, Spec, Value
from records.errors import CallerError

NONE = "none"
PRESETS = {
    NONE: "",
    # Jaamour et al. 2023, the published code: rotation within 20 degrees, horizontal flip, shear
    # 0.2, Gaussian noise of variance 0.01
    "paper": "flip,rotate:20,shear:0.2,noise:0.01",
    # Petrini et al. 2022 and Petrini & Kim 2025, the released code: each flip as often as none,
    # rotation within 25 degrees, zoom 0.8 to 1.2, shear within 12 degrees, a shift of grey levels
    # by up to a fifth of full scale, reflected border
    "petrini": "flip:both,rotate:25,scale:0.2,shear:0.2126,brightness:0.2,fill:reflect",
}
_FULL = "fraction of full scale"


def _kind(default: float, low: float, high: float, about: str) -> Kind:
    return Kind(about, parameters={"": Parameter(default, low, high)})


CHANGES = {
    "flip": Kind(
        "mirrors half of the images; both: each way by itself",
        choices=("horizontal", "vertical", "both"),
    ),
    "rotate90": Kind("turns by a multiple of 90 degrees (180 where images are not square)"),
    "rotate": _kind(20.0, 0.1, 180, "turns by up to so many degrees either way"),
    "translate": _kind(0.1, 0.001, 0.5, "moves by up to this fraction of height and width"),
    "scale": _kind(0.1, 0.001, 0.9, "magnifies by 1 - this to 1 + this"),
    "shear": _kind(0.2, 0.001, 1, "moves rows aside by up to this times their distance"),
    "brightness": _kind(0.1, 0.001, 1, f"adds up to this {_FULL}, or takes it away"),
    "contrast": _kind(0.1, 0.001, 1, "stretches about the mean by 1 - this to 1 + this"),
    "noise": _kind(0.01, 1e-6, 1, f"adds Gaussian noise of this variance, squared {_FULL}"),
    "fill": Kind(
        "geometry brings in the image mirrored at its border, not black", choices=("reflect",)
    ),
}
"""Every change and the value it takes, in the order they are made; `fill` is how, not a change."""
GEOMETRY = ("rotate", "translate", "scale", "shear")
"""Changes that are one matrix, by which pixels are interpolated."""
_LANGUAGE = Language("augment", "change", CHANGES, presets=PRESETS)


def parse(text: str) -> tuple[Spec, ...]:
    """Reads --augment; returns the changes in the order they are made, () for `none`.

    Raises:
        CallerError: one line saying which part of it is wrong and what would do.
    """
    changes = _LANGUAGE.read(text)
    names = [change.name for change in changes]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise CallerError(f"--augment={''.join(text.split())} has {twice} twice; leave one out")
    if "fill" in names and not set(names) & set(GEOMETRY):
        raise CallerError(
            f"--augment={text}: fill is about what {', '.join(GEOMETRY)} bring in; add one of them"
        )
    return tuple(sorted(changes, key=lambda change: list(CHANGES).index(change.name)))


def amount(change: Spec) -> Value:
    """Returns how far a change goes: its choice or its value, "" where it takes none."""
    return dict(change.parameters).get("", change.choice)


def describe() -> str:
    """Writes the table of changes for a flag's help."""
    lines = []
    for name, kind in CHANGES.items():
        one = kind.parameters.get("")
        default = one.default if one else next(iter(kind.choices), "")
        allowed = one.range if one else " or ".join(kind.choices)
        form = f"{name}[:{default}]" if default != "" else name
        lines.append(f"{form}: {kind.about}" + (f" ({allowed})" if allowed else ""))
    return "; ".join(lines)
