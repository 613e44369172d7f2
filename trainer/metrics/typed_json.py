"""JSON object <-> frozen dataclass, and one line about what a file lacks.

fitted = read(Calibration, path, remedy="evaluate the run again")
files.write_json(path, to_json(fitted))

Fields with a default are left out where they have it; keys that are no field are ignored.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from records import files
from records.files import AnyPath, DamagedFile

Typed = TypeVar("Typed")
_PLAIN = (str, bool, int, float)


def read(cls: type[Typed], path: AnyPath, *, remedy: str) -> Typed:
    """Reads a file of JSON as a dataclass.

    Raises:
        DamagedFile: there is no such file, or it is damaged, lacks a key or holds another type.
    """
    return from_json(cls, files.read_json(path, remedy=remedy), path=path, remedy=remedy)


def from_json(
    cls: type[Typed], content: Mapping[str, Any], *, path: AnyPath, remedy: str, within: str = ""
) -> Typed:
    """Makes a dataclass of a JSON object.

    Args:
        cls: the dataclass; its fields may be dataclasses.
        content: the object.
        path: the file it stands in.
        remedy: how the error message ends.
        within: key of the object in the file and a dot, "" for the whole file.

    Raises:
        DamagedFile: names the file, the key and the remedy.
    """
    hints = typing.get_type_hints(cls)
    values: dict[str, Any] = {}
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        key, hint = f"{within}{field.name}", hints[field.name]
        if field.name in content:
            value = content[field.name]
            nested: Any = next(filter(dataclasses.is_dataclass, _options(hint)), None)
            if nested is not None and isinstance(value, Mapping):
                value = from_json(nested, value, path=path, remedy=remedy, within=f"{key}.")
            elif not any(_fits(value, one) for one in _options(hint)):
                raise DamagedFile(path, f"has {value!r} as {key}, wanted {_name(hint)}", remedy)
            values[field.name] = tuple(value) if isinstance(value, list) else value
        elif _is_needed(field):
            raise DamagedFile(path, f"lacks {key}", remedy)
    return cls(**values)


def to_json(made: Any) -> dict[str, Any]:
    """Makes a JSON object of a dataclass; see `from_json`."""
    content: dict[str, Any] = {}
    for field in dataclasses.fields(made):
        value = getattr(made, field.name)
        if not _is_needed(field) and value == _default(field):
            continue
        if dataclasses.is_dataclass(value):
            value = to_json(value)
        content[field.name] = list(value) if isinstance(value, tuple) else value
    return content


def _is_needed(field: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return field.default is missing and field.default_factory is missing


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _options(hint: Any) -> tuple[Any, ...]:
    """Lists the types of a union, or the type alone."""
    return typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)


def _fits(value: object, hint: Any) -> bool:
    """Whether a value of JSON is of a plain type, a list or an object, or null."""
    kind = typing.get_origin(hint) or hint
    if kind in (tuple, list):
        return isinstance(value, list)
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind in (*_PLAIN, type(None)):
        return isinstance(value, kind)
    return kind is Any or (isinstance(value, dict) and not dataclasses.is_dataclass(kind))


def _name(hint: Any) -> str:
    names = {type(None): "null", tuple: "a list", list: "a list", float: "a number", str: "text"}
    plain = (typing.get_origin(one) or one for one in _options(hint))
    return " or ".join(names.get(one, getattr(one, "__name__", "an object")) for one in plain)
