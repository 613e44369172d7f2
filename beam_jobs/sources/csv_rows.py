"""Tables of images: found in a folder, read with the line of each record, parsed record by record.

table = csv_rows.find(data_dir, found, "train.csv", hint="give the folder of the competition")
images = csv_rows.parse(table, csv_rows.read(table, columns=COLUMNS), parse_image)
"""

from __future__ import annotations

import collections
import dataclasses
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from beam_jobs.sources.data_files import DataFile
from beam_jobs.storage import Folder
from records import user_text
from records.errors import CallerError

R = TypeVar("R")
T = TypeVar("T")
_LINES_NAMED = 5


@dataclasses.dataclass(frozen=True)
class Record:
    """One record of a table.

    Attributes:
        place: where it stands, for messages: "line 12".
        cells: column -> text, without white space around it.
    """

    place: str
    cells: dict[str, str]

    def choose(self, column: str, allowed: Mapping[str, str]) -> str:
        """Returns what a cell stands for.

        Raises:
            ValueError: names column, value and what is allowed.
        """
        if self.cells[column] not in allowed:
            raise ValueError(
                f"{column} {self.cells[column]!r} is not one of "
                + ", ".join(key or "(empty)" for key in sorted(allowed))
            )
        return allowed[self.cells[column]]

    def demand(self, column: str) -> str:
        """Returns a cell that must not be empty.

        Raises:
            ValueError: it is.
        """
        if not self.cells[column]:
            raise ValueError(f"{column} is empty")
        return self.cells[column]


def find(data_dir: Folder, found: Sequence[DataFile], name: str, *, hint: str) -> Folder:
    """Returns the path of a table, wherever it lies below the data folder.

    Args:
        data_dir: the data folder.
        found: its files.
        name: name of the table as published.
        hint: what to do where there is none.

    Raises:
        CallerError: there is none, or several that differ.
    """
    paths = [file.path for file in found if file.name.lower() == name.lower()]
    if not paths:
        raise CallerError(f"{data_dir} holds no {name}; {hint}")
    if len(paths) > 1 and len({(data_dir / path).read_bytes() for path in paths}) > 1:
        raise CallerError(f"{data_dir} holds different files named {name}: {', '.join(paths)}")
    return data_dir / paths[0]


def read(
    path: Folder, *, columns: Iterable[str], delimiter: str = "", ragged: bool = False
) -> list[Record]:
    """Reads a table as `user_text.read_rows` does; empty rows are no records.

    Args:
        path: the table, CSV or .xlsx.
        columns: those it must have.
        delimiter: what stands between cells; "" finds out by the header.
        ragged: whether records may have fewer or more cells than the header; absent ones are "".

    Raises:
        CallerError: it is no such table; names line and column.
    """
    rows = user_text.read_rows(path, delimiter=delimiter)
    header = rows[0][1] if rows else []
    check_header(path, header, columns)
    for place, row in rows[1:]:
        if len(row) != len(header) and not ragged:
            raise CallerError(
                f"{path} {place}: {len(row)} cells under a header of {len(header)}; "
                "put cells that hold the delimiter in double quotes"
            )
    return [
        Record(place, {key: row[i] if i < len(row) else "" for i, key in enumerate(header)})
        for place, row in rows[1:]
    ]


def check_header(path: Folder, header: Sequence[str], columns: Iterable[str]) -> None:
    """Refuses a table that lacks a column, has one twice, or has several without a name.

    Raises:
        CallerError: names the columns and the header.
    """
    missing = [column for column in columns if column not in header]
    if missing:
        raise CallerError(
            f"{path} has no column {', '.join(map(repr, missing))}; "
            f"its header is {', '.join(header) or 'empty'}"
        )
    if header.count("") > 1:
        raise CallerError(
            f"{path} has {header.count('')} columns without a name, its header is taken to be "
            f"{', '.join(map(repr, header))}; a header is one row, with a name in each of its cells"
        )
    double = {column for column in header if header.count(column) > 1}
    if double:
        raise CallerError(f"{path} has two columns {', '.join(map(repr, sorted(double)))}")


def check_unique(path: Folder, names: Iterable[str]) -> None:
    """Refuses a table that lists something twice.

    Raises:
        CallerError: names the first, and counts the others.
    """
    double = [name for name, count in collections.Counter(names).items() if count > 1]
    if double:
        more = f" and {len(double) - 1} more" if len(double) > 1 else ""
        raise CallerError(f"{path} lists {double[0]}{more} twice; keep one row of each")


def parse(
    path: Folder,
    records: Iterable[R],
    parse_record: Callable[[R], T],
    *,
    place: Callable[[R], str] = operator.attrgetter("place"),
) -> list[T]:
    """Parses every record; all that can't be are summed up in one line.

    Args:
        path: the table, for messages.
        records: of the table.
        parse_record: raises ValueError for a bad one.
        place: says where a record stands.

    Raises:
        CallerError: quotes the first bad record, and counts and places the others.
    """
    parsed: list[T] = []
    bad: list[tuple[str, str]] = []
    for record in records:
        try:
            parsed.append(parse_record(record))
        except ValueError as error:
            bad.append((place(record), str(error)))
    if not bad:
        return parsed
    places = [where for where, _ in bad[1:]]
    more = f"; and {len(places)} more: {', '.join(places[:_LINES_NAMED])}" if places else ""
    dots = ", ..." if len(places) > _LINES_NAMED else ""
    raise CallerError(f"{path} {bad[0][0]}: {bad[0][1]}{more}{dots}")
