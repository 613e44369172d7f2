"""Tests of text that people write: encodings, delimiters, workbooks, against csv and openpyxl."""

from __future__ import annotations

import datetime

import openpyxl
import pytest

from records import user_text
from records.errors import CallerError

TEXT = "path;Größe\r\na.dcm;1,5\r\nb.dcm;2,0\r\n"
ROWS = [("line 1", ["path", "Größe"]), ("line 2", ["a.dcm", "1,5"]), ("line 3", ["b.dcm", "2,0"])]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"]
)
def test_encodings(encoding, tmp_path, capsys):
    path = tmp_path / "t.csv"
    path.write_bytes(TEXT.encode(encoding))
    assert user_text.read(path) == TEXT
    assert user_text.read_rows(path) == ROWS
    said = capsys.readouterr().err
    assert (f"warning: {path} is not UTF-8, it is read as Windows-1252" in said) == (
        encoding == "cp1252"
    )


@pytest.mark.parametrize("data", [b"ab\0c", b"\xff\xfe\0", bytes(range(256))], ids=str)
def test_no_text(data, tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    with pytest.raises(CallerError, match=r"t.csv is no text; save it as UTF-8"):
        user_text.read(path)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("sep=;\na;b\n1,5;x\n", [["a", "b"], ["1,5", "x"]]),
        ('"sep=\t"\na\tb\n1;2\tx\n', [["a", "b"], ["1;2", "x"]]),
        ("a\tb\n1;2\tx\n", [["a", "b"], ["1;2", "x"]]),
        ("Study of 2023\n\na;b;;\n1;2;;\n;;;\n", [["a", "b"], ["1", "2"]]),
        ("path\nx.png\n", [["path"], ["x.png"]]),
        ("a,b\n1,2,\n", [["a", "b"], ["1", "2", ""]]),  # shifted: not a cell of a spreadsheet's
        ("", []),
    ],
    ids=["sep", "quoted-sep", "tab", "title-and-rim", "one-column", "shifted", "empty"],
)
def test_tables(text, rows, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(text)
    assert [cells for _, cells in user_text.read_rows(path)] == rows


def test_lines_are_those_of_the_file_below_a_sep_line(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('sep=;\na;b\n1;"x\ny"\n2;z\n')
    assert [place for place, _ in user_text.read_rows(path)] == ["line 2", "line 3", "line 5"]


def test_workbooks_whatever_they_are_called(tmp_path):
    book = openpyxl.Workbook()
    for row in (
        ["Study"],
        ["id", "date", "x"],
        [17.0, datetime.datetime(2024, 1, 31), None],
        [None, None, None],
        ["017", datetime.datetime(2024, 1, 31, 8, 30), 1.5],
    ):
        book.active.append(row)
    book.save(tmp_path / "t.xlsx")
    path = (tmp_path / "t.xlsx").rename(tmp_path / "t.csv")
    assert user_text.read_rows(path) == [
        ("row 2", ["id", "date", "x"]),
        ("row 3", ["17", "2024-01-31", ""]),
        ("row 5", ["017", "2024-01-31 08:30:00", "1.5"]),
    ]
    path.write_bytes(bytes.fromhex("d0cf11e0a1b11ae1"))
    with pytest.raises(CallerError, match=r"is a workbook of Excel 97; save it as .xlsx or CSV"):
        user_text.read_rows(path)
