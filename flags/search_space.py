"""A search space as text, one flag a line -> Dimension, what --space of tune holds.

phase1_learning_rate = log 1e-5 1e-2    numbers, evenly on a logarithmic scale
l2 = float 0 0.01                       numbers, evenly
batch_size = int 2 16                   whole numbers
dropout = 0 0.2 0.5                     one of these
# a comment

dimensions = parse(text, config)
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Mapping
from typing import Any

from flags.fields import closest, flags_of
from flags.training_config import TrainingConfig, one_run
from records import user_text
from records.errors import CallerError

RANGES = ("int", "float", "log")


@dataclasses.dataclass(frozen=True)
class Dimension:
    """One flag and the values to try.

    Attributes:
        name: the flag.
        kind: one of RANGES, or "choices".
        values: the choices, or (low, high), both included.
    """

    name: str
    kind: str
    values: tuple[Any, ...]

    @property
    def grid(self) -> tuple[Any, ...] | None:
        """Every value, None where they are not to be counted."""
        if self.kind == "choices":
            return self.values
        return tuple(range(self.values[0], self.values[1] + 1)) if self.kind == "int" else None


def read(path: str, config: TrainingConfig) -> tuple[Dimension, ...]:
    """Reads a file of the search space.

    Raises:
        CallerError: there is no such file, or a line is wrong; names the line.
    """
    try:
        text = user_text.read(pathlib.Path(path))
    except OSError as error:
        raise CallerError(f"--space={path} can't be read: {error.strerror}") from error
    return parse(text, config, where=path)


def parse(text: str, config: TrainingConfig, *, where: str = "space") -> tuple[Dimension, ...]:
    """Reads the lines of a search space and tries both ends of each in the configuration.

    Raises:
        CallerError: a line is wrong; names it.
    """
    found: dict[str, Dimension] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        content = line.partition("#")[0].strip()
        if not content:
            continue
        try:
            dimension = _parse_line(content, config)
            if dimension.name in found:
                raise CallerError(f"{dimension.name} stands twice")
            for value in dimension.values:
                apply(config, {dimension.name: value})
        except CallerError as error:
            raise CallerError(f"{where} line {number}: {error}") from error
        found[dimension.name] = dimension
    if not found:
        raise CallerError(
            f"{where} names no flag to search; write lines such as 'dropout = 0 0.2 0.5'"
        )
    return tuple(found.values())


def apply(config: TrainingConfig, drawn: Mapping[str, Any]) -> TrainingConfig:
    """Makes the configuration of one trial: a training run like any other, without a folder.

    Raises:
        CallerError: the values drawn contradict each other or the rest.
    """
    # folder and time are those of the search as a whole
    of_the_search = ("run_dir", "max_minutes")
    plain = {name: getattr(TrainingConfig, name) for name in of_the_search}
    return one_run(config, **plain, **drawn)


def _parse_line(content: str, config: TrainingConfig) -> Dimension:
    name, sign, rest = (part.strip() for part in content.partition("="))
    words = rest.split()
    if not sign or not words:
        raise CallerError(f"{content!r} is not 'flag = values', such as 'dropout = 0 0.2 0.5'")
    name = name.removeprefix("--")
    current = config.to_json()
    searched = [key for key, one in flags_of(TrainingConfig).items() if one.searchable]
    if name not in searched:
        raise CallerError(
            f"{name} can't be searched, it says where or on which images a run is evaluated"
            if name in current
            else f"unknown flag {name}{closest(name, searched)}"
        )
    kind = type(current[name])
    if words[0] not in RANGES:
        values = tuple(_convert(name, word, kind) for word in words)
        if len(set(values)) < len(values):
            raise CallerError(f"{rest!r} names a value twice")
        return Dimension(name, "choices", values)
    return _parse_range(name, words, kind)


def _parse_range(name: str, words: list[str], kind: type) -> Dimension:
    allowed = {int: ("int", "log"), float: ("float", "log")}.get(kind, ())
    if words[0] not in allowed:
        wanted = [*(f"'{word} LOW HIGH'" for word in allowed), "its values one by one"]
        raise CallerError(f"{name} takes {' or '.join(wanted)}, not {words[0]}")
    if len(words) != 3:
        raise CallerError(f"{' '.join(words)!r} is not '{words[0]} LOW HIGH'")
    low, high = (_convert(name, word, kind) for word in words[1:])
    if not low < high or (words[0] == "log" and low <= 0):
        raise CallerError(
            f"{' '.join(words)!r} is no range: LOW must be less than HIGH"
            + (" and more than 0" if words[0] == "log" else "")
        )
    return Dimension(name, words[0], (low, high))


def _convert(name: str, word: str, kind: type) -> Any:
    """Reads a value as the flag does."""
    try:
        if kind is bool:
            return {"true": True, "false": False}[word.lower()]
        if kind in (int, float):
            value = kind(word)
            if not math.isfinite(value):
                raise ValueError
            return value
    except (ValueError, KeyError):
        wanted = {bool: "true or false", int: "a whole number", float: "a number"}[kind]
        raise CallerError(f"{name} takes {wanted}, not {word!r}") from None
    return word
