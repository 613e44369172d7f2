"""Text files that people write -> text and rows of cells, in whatever way their editor saved them.

text = user_text.read(path)          # UTF-8 or UTF-16, with or without a mark, or Windows-1252
rows = user_text.read_rows(path)     # a table: comma, semicolon, tab or a `sep=` line; or .xlsx
"""

from __future__ import annotations

import csv
import datetime
import io
import math
import sys
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any

from records.errors import CallerError

Row = tuple[str, list[str]]
"""Where a row stands, for messages ("line 12"), and its cells without white space around them."""

_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_DELIMITERS = ",;\t"
_ZIP = b"PK\x03\x04"
"""How workbooks begin that Excel has written since 2007."""
_OLD_EXCEL = bytes.fromhex("d0cf11e0a1b11ae1")


def read(path: Any) -> str:
    """Reads a text file; a guess at its encoding is said on stderr.

    Raises:
        OSError: it can't be read.
        CallerError: it is no text.
    """
    return _decode(path.read_bytes(), path)


def _decode(data: bytes, path: object) -> str:
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    if encoding == "utf-8" and b"\0" in data[:2]:  # UTF-16 without a mark begins with ASCII
        encoding = "utf-16-be" if data[0] == 0 else "utf-16-le"
    try:
        text = data.decode(encoding)
        if "\0" not in text:
            return text
    except UnicodeDecodeError:
        if encoding == "utf-8" and b"\0" not in data:
            # the five bytes that it has no letter for become U+FFFD and match nothing
            text = data.decode("cp1252", errors="replace")
            print(
                f"warning: {path} is not UTF-8, it is read as Windows-1252; save it as UTF-8 if "
                "letters come out wrong",
                file=sys.stderr,
            )
            return text
    raise CallerError(f"{path} is no text; save it as UTF-8 text or CSV")


def read_rows(path: Any, *, delimiter: str = "") -> list[Row]:
    """Reads a table, CSV or the first sheet of an Excel workbook; empty rows are left out.

    Args:
        path: the table; its bytes tell what it is, not its suffix.
        delimiter: what stands between cells; "" finds out by the header.

    Returns:
        Rows from the header on: the first with two cells filled (a title may stand above it), or
        the first of all in a table of one column.

    Raises:
        OSError: it can't be read.
        CallerError: it is no table.
    """
    data = path.read_bytes()
    if data.startswith(_OLD_EXCEL):
        raise CallerError(f"{path} is a workbook of Excel 97; save it as .xlsx or CSV")
    found = _workbook(data, path) if data.startswith(_ZIP) else _csv(data, path, delimiter)
    rows = [(place, [cell.strip() for cell in cells]) for place, cells in found]
    filled = [(place, cells) for place, cells in rows if any(cells)]
    start = (n for n, (_, cells) in enumerate(filled) if sum(map(bool, cells)) > 1)
    filled = filled[next(start, 0) :]
    header = filled[0][1] if filled else []
    width = max((n for n, cell in enumerate(header, 1) if cell), default=0)
    return [(place, _cut(cells, width, len(header))) for place, cells in filled]


def _cut(cells: list[str], width: int, saved: int) -> list[str]:
    """Takes away the empty cells that a spreadsheet saved beyond the last column with a name."""
    return cells[:width] if len(cells) == saved and not any(cells[width:]) else cells


def _csv(data: bytes, path: object, delimiter: str) -> Iterator[Row]:
    text = _decode(data, path)
    first, _, rest = text.partition("\n")
    if first.strip().strip('"').lower().startswith("sep="):  # Excel's own way to say it
        delimiter, text, above = first.strip().strip('"')[4:5] or "\t", rest, 1
    else:
        above = 0
    lines = text.splitlines()
    header = next((line for line in lines if any(d in line for d in _DELIMITERS)), "")
    reader = csv.reader(
        io.StringIO(text, newline=""),
        strict=True,
        delimiter=delimiter or max(_DELIMITERS, key=header.count),
    )
    line = above + 1
    try:
        for row in reader:
            yield f"line {line}", row
            line = above + reader.line_num + 1  # a record may go over several lines
    except csv.Error as error:
        raise CallerError(f"{path} is not a CSV table: {error}") from error


def _workbook(data: bytes, path: object) -> Iterator[Row]:
    import openpyxl

    try:
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        rows: Iterable[tuple[object, ...]] = book.worksheets[0].iter_rows(values_only=True)
        for number, cells in enumerate(rows, 1):
            yield f"row {number}", list(map(to_text, cells))
    except (zipfile.BadZipFile, KeyError, ValueError, IndexError) as error:
        raise CallerError(f"{path} is not an Excel workbook; save it as .xlsx or CSV") from error


def to_text(value: object) -> str:
    """Writes a typed cell as a CSV table would have it; "" for none, dates as 2024-01-31."""
    if isinstance(value, float):
        if math.isnan(value):  # what pandas writes for what is absent
            return ""
        return str(int(value)) if value.is_integer() else str(value)
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date().isoformat()
    return "" if value is None else str(value).strip()
