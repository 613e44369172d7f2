"""Cells of a table of one's own: which values a key may have, and what to do about others."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Mapping

from records import schema

_ALLOWED = {
    **{feature.key: ("", *feature.values) for feature in schema.FEATURES if feature.values},
    "split": ("train", "test"),
}
_VIEW = re.compile(r"[A-Z]{0,5}")


def read(
    key: str,
    column: str,
    text: str,
    values: Mapping[tuple[str, str], str],
    *,
    required: bool,
) -> str:
    """Returns what a cell means.

    Args:
        key: key of `flags.table_columns.COLUMNS`.
        column: the table's name for it.
        text: the cell.
        values: (key, value found) -> value meant.
        required: whether it must be stated.

    Raises:
        ValueError: with column, value and remedy.
    """
    if (key, text) in values:
        text = values[key, text]
        if not text and key not in ("path", "image_id", "patient_id", "split"):
            return ""  # declared not stated
    allowed = _ALLOWED.get(key)
    where = f"{column} {text!r}"
    if key == "path":
        return _check_path(where, text)
    if not text and (required or key in ("image_id", "patient_id")):
        remedy = f"; --values={key}:= says that it is not stated" if required else ""
        raise ValueError(f"{column} is empty{remedy}")
    if key == "view" and not _VIEW.fullmatch(text):
        raise ValueError(f"{where} is not a code such as CC or MLO; map it by --values=view:...=CC")
    if allowed is not None and text not in allowed:
        raise ValueError(
            f"{where} is not one of {', '.join(filter(None, allowed))}; "
            f"map it by --values={key}:{text}=..., or leave the column out by --columns={key}="
        )
    return text


def _check_path(where: str, text: str) -> str:
    """Returns a path without '.'; raises ValueError for one that may lead out of the folder."""
    parts = pathlib.PurePosixPath(text).parts
    if not parts or text.startswith("/") or "\\" in text or ".." in parts or ":" in text[:2]:
        raise ValueError(f"{where} is not a path with '/' below --data_dir, without '..'")
    return "/".join(parts)
