"""JSON object <-> frozen dataclass, and one line about what a file lacks.

fitted = read(Calibration, path, remedy="evaluate the run again")
files.write_json(path, to_json(fitted))

Fields with a default may be absent, and are left out where they have it unless they are ALWAYS
written; those of an `inline` mapping stand beside the others. Keys that are no field are ignored.
An image size is its text.
"""

from __future__ import annotations

import contextlib
import dataclasses
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from records import files
from records.errors import CallerError
from records.files import AnyPath, DamagedFile
from records.image_size import ImageSize

Typed = TypeVar("Typed")
ALWAYS = {"always": True}
"""Metadata of a field that is written also where it has its default."""


def inline(names: Iterable[str]) -> dict[str, frozenset[str]]:
    """Metadata of a mapping whose items stand in the object itself; `names` are all its keys."""
    return {"inline": frozenset(names)}


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
    values = {}
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        key, hint = f"{within}{field.name}", hints[field.name]
        if names := field.metadata.get("inline"):
            part = {name: value for name, value in content.items() if name in names}
            values[field.name] = _convert(hint, part, path=path, remedy=remedy, key=within)
        elif field.name in content:
            value = content[field.name]
            values[field.name] = _convert(hint, value, path=path, remedy=remedy, key=key)
        elif _is_needed(field):
            raise DamagedFile(path, f"lacks {key}", remedy)
    return cls(**values)


def _convert(hint: Any, value: Any, *, path: AnyPath, remedy: str, key: str) -> Any:
    """Makes a value of JSON one of a type: a dataclass, a tuple or mapping of some, or plain."""
    for one in _options(hint):
        kind, inner = typing.get_origin(one) or one, typing.get_args(one)
        if dataclasses.is_dataclass(kind) and isinstance(value, Mapping):
            within = f"{key}." if key else ""
            return from_json(kind, value, path=path, remedy=remedy, within=within)  # type: ignore[arg-type]
        if kind is tuple and isinstance(value, list):
            return tuple(
                _convert(inner[0], part, path=path, remedy=remedy, key=f"{key}[{place}]")
                for place, part in enumerate(value)
            )
        if kind is dict and isinstance(value, Mapping):
            start = key if not key or key.endswith(".") else f"{key}."
            return {
                name: _convert(inner[1], part, path=path, remedy=remedy, key=f"{start}{name}")
                for name, part in value.items()
            }
        if kind is ImageSize and isinstance(value, str):
            with contextlib.suppress(CallerError):
                return ImageSize.parse(value)
        if _fits(value, kind):
            return value
    raise DamagedFile(path, f"has {value!r} as {key}, wanted {_name(hint)}", remedy)


def to_json(made: Any) -> dict[str, Any]:
    """Makes a JSON object of a dataclass; see `from_json`."""
    content = {}
    for field in dataclasses.fields(made):
        value = getattr(made, field.name)
        if "inline" in field.metadata:
            content.update(_plain(value))
        elif _is_needed(field) or field.metadata == ALWAYS or value != _default(field):
            content[field.name] = _plain(value)
    return content


def _plain(value: Any) -> Any:
    if isinstance(value, ImageSize):
        return str(value)
    if dataclasses.is_dataclass(value):
        return to_json(value)
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    return {k: _plain(part) for k, part in value.items()} if isinstance(value, dict) else value


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


def _fits(value: object, kind: Any) -> bool:
    """Whether a value of JSON is of a plain type, or null."""
    if kind is Any:
        return True
    if isinstance(value, bool):  # which Python takes for a number
        return kind is bool
    return isinstance(value, int | float if kind is float else kind)


def _name(hint: Any) -> str:
    names = {type(None): "null", tuple: "a list", list: "a list", float: "a number", str: "text"}
    plain = (typing.get_origin(one) or one for one in _options(hint))
    return " or ".join(names.get(one, getattr(one, "__name__", "an object")) for one in plain)
