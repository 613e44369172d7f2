"""Tests of reading tables: lines, cells, and all that is wrong in one line."""

from __future__ import annotations

import pytest

from beam_jobs.sources import csv_rows, data_files
from records.errors import CallerError


def lines_of(path, **how):
    return [(record.place, record.cells) for record in csv_rows.read(path, columns=(), **how)]


def test_lines_are_those_of_the_file(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b'a,b\r\n1, x \r\n\r\n"2\r\n",y\r\n3,"z\r\n\r\n"\r\n4,w\r\n')
    assert lines_of(path) == [
        ("line 2", {"a": "1", "b": "x"}),
        ("line 4", {"a": "2", "b": "y"}),
        ("line 6", {"a": "3", "b": "z"}),
        ("line 9", {"a": "4", "b": "w"}),
    ]


def test_records_of_another_width(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a;b\n1;2\n1;2;3\n")
    with pytest.raises(CallerError, match=r"t.csv line 3: 3 cells under a header of 2; put "):
        lines_of(path, delimiter=";")
    path.write_text("a,b\n1\n1,2,3\n")
    assert [cells for _, cells in lines_of(path, ragged=True)] == [
        {"a": "1", "b": ""},
        {"a": "1", "b": "2"},
    ]


def test_header(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b,a\n")
    with pytest.raises(CallerError, match=r"t.csv has no column 'c', 'd'; its header is a, b, a"):
        csv_rows.read(path, columns=("a", "c", "d"))
    with pytest.raises(CallerError, match=r"t.csv has two columns 'a'"):
        csv_rows.read(path, columns=("a",))


def number(record: csv_rows.Record) -> int:
    return int(record.choose("a", {"1": "1", "": "0"}))


def test_all_bad_records_in_one_line(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,\nx,\n,2\n" + "y,\n" * 7)
    records = csv_rows.read(path, columns=("a",))
    with pytest.raises(CallerError) as caught:
        csv_rows.parse(path, records, number)
    assert str(caught.value) == (
        f"{path} line 3: a 'x' is not one of (empty), 1; "
        "and 7 more: line 5, line 6, line 7, line 8, line 9, ..."
    )
    assert csv_rows.parse(path, [records[0], records[2]], number) == [1, 0]
    with pytest.raises(CallerError, match=r"line 11: a 'y' is not one of \(empty\), 1$"):
        csv_rows.parse(path, records[-1:], number)


def test_demand(tmp_path):
    with pytest.raises(ValueError, match=r"^b is empty$"):
        csv_rows.Record("line 2", {"b": ""}).demand("b")


def test_unique(tmp_path):
    csv_rows.check_unique(tmp_path, ["a", "b"])
    with pytest.raises(CallerError, match="lists a and 1 more twice"):
        csv_rows.check_unique(tmp_path, ["a", "b", "a", "b", "a"])


def test_find(tmp_path):
    with pytest.raises(CallerError, match=r"holds no t.csv; look elsewhere$"):
        csv_rows.find(tmp_path, [], "t.csv", hint="look elsewhere")
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "t.csv").write_text("same")
    found = data_files.list_files(tmp_path)
    assert csv_rows.find(tmp_path, found, "t.csv", hint="") == tmp_path / "a" / "t.csv"
    (tmp_path / "b" / "t.csv").write_text("other")
    with pytest.raises(CallerError, match=r"holds different files named t.csv: a/t.csv, b/t.csv"):
        csv_rows.find(tmp_path, found, "t.csv", hint="")


def test_spaces_in_the_header_and_rows_of_commas(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a , b\n1,2\n,\n ,\n3,4\n")
    records = csv_rows.read(path, columns=("a", "b"))
    assert [record.cells for record in records] == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]
    assert [record.place for record in records] == ["line 2", "line 5"]
