"""Names of every kind as text that can be printed, drawn and written."""

import os

import pytest
from upath import UPath

from records import files
from records.printable import counted, printable

NAMES = {
    "a $x_{1}$ [1] 'b' \"c\".dcm": "a $x_{1}$ [1] 'b' \"c\".dcm",
    os.fsdecode(b"bild\xe9.dcm"): r"bild\udce9.dcm",
    "two\nlines\x1b[2J": r"two\nlines\x1b[2J",
    "\N{FIRE} e\N{COMBINING ACUTE ACCENT}": "\N{FIRE} e\N{COMBINING ACUTE ACCENT}",
}


@pytest.mark.parametrize("name", NAMES)
def test_printable(name):
    shown = printable(name)
    assert shown == NAMES[name]
    shown.encode("utf-8")
    assert len(shown.splitlines()) == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_text_is_utf_8_whatever_the_name(name, tmp_path):
    files.write_text(tmp_path / "page.html", name)
    assert (tmp_path / "page.html").read_bytes().decode("utf-8")
    files.write_json(tmp_path / "page.json", {"name": name})
    assert files.read_json(tmp_path / "page.json", remedy="")["name"] == name


def test_brackets_are_no_pattern_in_a_store():
    folder = UPath("memory://bucket/a [1]")
    files.write_text(folder / "f[1].json", "one")
    files.write_text(folder / "f[1].json", "two")
    assert folder.fs.find(folder.path) == ["/bucket/a [1]/f[1].json"]
    assert (folder / "f[1].json").read_text() == "two"
    files.remove(folder / "f[1].json")
    assert not folder.fs.find(folder.path)


def test_one_is_no_plural():
    assert [counted(n, "images") for n in (0, 1, 2)] == ["0 images", "1 image", "2 images"]
