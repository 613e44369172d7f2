"""Cells of a table of one's own: which values a key may have, and what is taken for granted.

read("side", "Seite", "L", {}) == "left"
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from flags.targets import TARGETS
from records import schema
from records.age import OLDEST, read_age
from records.preprocessing import parse_aspect

ALLOWED = {
    **{feature.key: feature.values for feature in schema.FEATURES if feature.values},
    "split": ("train", "test"),
    "invert": ("yes", "no"),
}
"""Values of keys that have a list; an empty cell is right too, but for a split."""
_YES, _NO = (
    ("1", "yes", "y", "ja", "j", "true", "wahr"),
    ("0", "no", "n", "nein", "false", "falsch"),
)
_MEANINGS = {
    "side": schema.SIDE_WORDS,
    "pathology": {
        # no cancer: neither normal nor benign is proven
        **dict.fromkeys(_YES, "malignant"),
        **dict.fromkeys(_NO, "no cancer"),
        **dict.fromkeys(("maligne", "bösartig"), "malignant"),
        **dict.fromkeys(("benigne", "gutartig"), "benign"),
    },
    "split": {"training": "train"},
    "invert": {**dict.fromkeys(_YES, "yes"), **dict.fromkeys(_NO, "no")},
}
"""Key -> what a cell in small letters means, beside the allowed values."""
_SPELLED = {
    (target.column, value.casefold()): value
    for target in TARGETS.values()
    for values in target.values
    for value in values
}
"""Column and value in small letters -> the value as targets spell it, such as density C."""
_VIEW = re.compile(r"[A-Z]{0,5}")
_VIEWS = ("CC", "MLO", "ML", "LM", "LMO", "FB", "SIO", "ISO", "XCC", "XCCL", "XCCM")
_SIDE_AND_VIEW = re.compile(rf"([LR])[ _-]?({'|'.join(_VIEWS)})", re.IGNORECASE)
_BIRADS = re.compile(r"(?:(?:acr )?bi-?rads[ :-]*)?([0-6])(?:[.,]0)?([abc]?)")
_EMBED = dict(zip("ANBPSMK", "0123456", strict=True))
"""How EMBED's column `asses` writes BI-RADS: additional imaging, negative, benign, ..."""


_EXAMPLES = {
    "view": "a code such as CC or MLO",
    "aspect": "H:W, such as 5:4",
    "age": f"years from 1 to {OLDEST}",
}


class UnknownValue(ValueError):
    """A cell that is none of the values its key may have."""

    def __init__(self, key: str, column: str, text: str) -> None:
        known = ALLOWED.get(key)
        allowed = f"one of {', '.join(known)}" if known else _EXAMPLES[key]
        super().__init__(f"{column} {text!r} is not {allowed}" if text else f"{column} is empty")


def read(
    key: str,
    column: str,
    text: str,
    values: Mapping[tuple[str, str], str],
    *,
    required: bool = False,
) -> str:
    """Returns what a cell means.

    Args:
        key: key of `flags.table_columns.COLUMNS`.
        column: the table's name for it.
        text: the cell.
        values: (key, value found) -> value meant; goes before all that is taken for granted.
        required: whether it must be stated.

    Raises:
        UnknownValue: it is none of the values allowed, or empty and required.
    """
    if (key, text) in values:
        meant = values[key, text]
        if meant or key == "split":
            return _check(key, column, meant)
        return ""  # declared not stated
    if not text and required:
        raise UnknownValue(key, column, text)
    return _check(key, column, _take_for_granted(key, column, text))


def _check(key: str, column: str, text: str) -> str:
    text = _SPELLED.get((key, text.casefold()), text)
    known = ALLOWED.get(key, ())
    if (known and text not in known and (text or key == "split")) or (
        (key == "view" and not _VIEW.fullmatch(text))
        or (key == "aspect" and text and parse_aspect(text) is None)
        or (key == "age" and read_age(text) is None)
    ):
        raise UnknownValue(key, column, text)
    return text


def _take_for_granted(key: str, column: str, text: str) -> str:
    """Returns the value that a cell plainly means, the cell itself where there is none."""
    small = text.casefold()
    if key == "age":
        return read_age(text) or text
    if key == "view":
        both = _SIDE_AND_VIEW.fullmatch(text)
        known = text.upper() if text.upper() in _VIEWS else text
        return both[2].upper() if both and known not in _VIEWS else known
    if key == "assessment":
        grade = _BIRADS.fullmatch(small)
        if grade:
            return grade[1] + (grade[2] if grade[1] == "4" else "")
        return _EMBED.get(text, text) if column == "asses" else text
    if key in ALLOWED:
        return small if small in ALLOWED[key] else _MEANINGS.get(key, {}).get(small, text)
    return text


def side_of_view(text: str) -> str:
    """Returns the side that a view such as R-MLO names along with the projection, "" for none."""
    both = _SIDE_AND_VIEW.fullmatch(text)
    if not both or text.upper() in _VIEWS:
        return ""
    return "left" if both[1].upper() == "L" else "right"


def short_number(text: str) -> str:
    """Returns a number as spreadsheets keep it: no zeros before it, no ".0" behind it."""
    whole = text.removesuffix(".0")
    return (whole.lstrip("0") or "0") if whole.isdecimal() else text


def of_pixels(row: Mapping[str, str]) -> dict[str, Any]:
    """Returns polarity and aspect of an image, as `SourceRow` has them, by the cells of its row."""
    inverted = {"yes": True, "no": False}.get(row.get("invert", ""))
    return {"inverted": inverted, "aspect": parse_aspect(row.get("aspect", ""))}
