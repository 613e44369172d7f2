"""What the verification finds: a Discrepancy names file, record, image, and what to remove."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

_NAMED = 5


@dataclasses.dataclass(frozen=True)
class Discrepancy:
    """Something wrong with a folder of records.

    Attributes:
        where: file, record and image.
        what: what is wrong.
        file: name of the file to remove, so that the conversion makes anew what is damaged, or "".
        grave: False where it is no damage, but worth knowing.
    """

    where: str
    what: str
    file: str
    grave: bool = True

    def __str__(self) -> str:
        return f"{'damage' if self.grave else 'warning'}: {self.where}: {self.what}"


class BrokenFolder(Exception):
    """The folder can't be checked further; carries the discrepancy that is the reason."""

    def __init__(self, discrepancy: Discrepancy) -> None:
        super().__init__(str(discrepancy))
        self.discrepancy = discrepancy


def damage(name: str, what: str, remove: str = "manifest.json") -> Discrepancy:
    """Notes a damage; without manifest.json the conversion writes all but the shards anew."""
    return Discrepancy(name, what, remove)


def enumerate_names(names: Sequence[str]) -> str:
    """Lists up to five names, and how many more there are."""
    rest = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + rest
