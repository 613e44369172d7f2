"""CSV as this program writes it: rows end with a line feed, whatever text their cells hold.

table = csv_text.writer(file)
table.writerow(["image", "P_1_LEFT_CC"])
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol


class _Text(Protocol):
    def write(self, text: str, /) -> object: ...


class _LineFeeds:
    """Cuts the carriage returns that end rows; a cell with one is quoted only if rows have it."""

    def __init__(self, file: _Text) -> None:
        self._file = file

    def write(self, row: str) -> object:
        return self._file.write(row.removesuffix("\r\n") + "\n")


def writer(file: _Text) -> Any:
    """Returns a writer of `csv` for an open text file, which translates no line ends."""
    return csv.writer(_LineFeeds(file), lineterminator="\r\n")


def write(file: _Text, header: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Writes a header and rows, which may have more than its columns."""
    table = csv.DictWriter(_LineFeeds(file), header, lineterminator="\r\n", extrasaction="ignore")
    table.writeheader()
    table.writerows(rows)
