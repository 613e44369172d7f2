r"""Paths as people's tables have them: absolute, with backslashes, of another machine.

prefix = Prefix.parse("D:\images=cohort")
list(spellings("D:\images\1\a.dcm", prefix)) == ["cohort/1/a.dcm"]
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from records.errors import CallerError


@dataclasses.dataclass(frozen=True)
class Prefix:
    """How paths of a table begin, and how they should: --path_prefix=OLD=NEW."""

    old: str
    new: str

    @classmethod
    def parse(cls, text: str) -> Prefix:
        """Reads OLD=NEW; an empty NEW takes OLD away.

        Raises:
            CallerError: it is not so.
        """
        old, equals, new = text.partition("=")
        if not equals:
            raise CallerError(f"--path_prefix={text} is not OLD=NEW, such as /mnt/images=images")
        return cls(_slashes(old).rstrip("/"), _slashes(new).rstrip("/"))

    def __str__(self) -> str:
        return f"{self.old}={self.new}"

    def change(self, path: str) -> str | None:
        """Returns a path under its new beginning; None if it begins otherwise."""
        path = _slashes(path)
        if path != self.old and not path.startswith(f"{self.old}/" if self.old else ""):
            return None
        rest = path[len(self.old) :].lstrip("/")
        return f"{self.new}/{rest}" if self.new else rest


def spellings(path: str, prefix: Prefix | None) -> Iterator[str]:
    """Yields what a path may be called here, the most literal first: names may hold backslashes."""
    changed = prefix.change(path) if prefix else None
    if changed is not None:
        yield changed
        return
    yield path
    if "\\" in path:
        yield _slashes(path)


def _slashes(path: str) -> str:
    return path.replace("\\", "/")
