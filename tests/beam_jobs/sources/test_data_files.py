"""Tests of the folder listing and of the header cache, on real files."""

from __future__ import annotations

import os
import pathlib

import numpy as np
import pytest
from upath import UPath

from beam_jobs.imaging.dicom_file import Identity
from beam_jobs.sources import data_files, header_list
from beam_jobs.sources.data_files import DataFile
from records.errors import CallerError
from tests import make

IMAGE = np.arange(6, dtype=np.uint16).reshape(2, 3)


def scan(folder: pathlib.Path, cache: pathlib.Path, *, allowed=("Mass-Test_P_1",), report=None):
    return data_files.scan_headers(
        folder,
        data_files.list_files(folder),
        cache=cache,
        keep_patient_id=lambda name: name in allowed,
        report=report,
    )


def test_list_is_sorted_and_relative(tmp_path):
    for name in ("b/2.dcm", "b/1.dcm", "a.csv", "c/d/e.dcm"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    listed = data_files.list_files(tmp_path)
    assert [file.path for file in listed] == ["a.csv", "b/1.dcm", "b/2.dcm", "c/d/e.dcm"]
    assert [file.name for file in listed] == ["a.csv", "1.dcm", "2.dcm", "e.dcm"]
    assert listed[3] == DataFile("c/d/e.dcm", 9, (tmp_path / "c/d/e.dcm").stat().st_mtime_ns)


def test_links(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "1.dcm").write_text("image")
    (tmp_path / "elsewhere.dcm").symlink_to(tmp_path / "real" / "1.dcm")
    (tmp_path / "dangling.dcm").symlink_to(tmp_path / "gone.dcm")
    (tmp_path / "itself.dcm").symlink_to(tmp_path / "itself.dcm")
    (tmp_path / "real" / "up").symlink_to(tmp_path)
    (tmp_path / "zz_again").symlink_to(tmp_path / "real")
    assert [file.path for file in data_files.list_files(tmp_path)] == [
        "elsewhere.dcm",
        "real/1.dcm",
    ]


def test_a_linked_folder_outside_is_followed(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "1.dcm").write_text("image")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "images").symlink_to(tmp_path / "store")
    assert [file.path for file in data_files.list_files(tmp_path / "data")] == ["images/1.dcm"]


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_not_a_folder(kind, tmp_path):
    path = tmp_path / kind
    if kind == "file":
        path.write_text("")
    with pytest.raises(CallerError, match=rf"--data_dir={path} is not a folder"):
        data_files.list_files(path)


@pytest.fixture
def folder(tmp_path, write_dicom) -> pathlib.Path:
    folder = tmp_path / "data"
    write_dicom(folder / "1.dcm", IMAGE, series_uid="1.1", patient_id="Mass-Test_P_1")
    write_dicom(folder / "2.dcm", IMAGE, series_uid="1.2", patient_id="SMITH^JANE")
    (folder / "notes.txt").write_text("no image")
    (folder / "empty.dcm").write_bytes(b"")
    return folder


def identity(series_uid: str, patient_id: str) -> Identity:
    rows, columns = IMAGE.shape
    of_mammogram = {"sop_uid": make.SOP_UID, "modality": "MG", "intent": "presentation"}
    return Identity(series_uid, patient_id, rows=rows, columns=columns, **of_mammogram)


HEADER = b"path,bytes,modified_ns,series_uid,patient_id,side,view,content,rows,columns\n"
WANTED = {"1.dcm": identity("1.1", "Mass-Test_P_1"), "2.dcm": identity("1.2", "")}


def test_scan(folder, tmp_path):
    seen = []
    got = scan(folder, tmp_path / "out" / "headers.csv", report=lambda *n: seen.append(n))
    assert got == WANTED
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_names_of_people_are_not_kept(folder, tmp_path):
    scan(folder, tmp_path / "headers.csv")
    cache = (tmp_path / "headers.csv").read_text()
    assert "Mass-Test_P_1" in cache
    assert "SMITH" not in cache


def replace_keeping_time(path: pathlib.Path, data: bytes) -> None:
    status = path.stat()
    assert len(data) == status.st_size
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_known_files_are_not_read_again(folder, tmp_path):
    cache = tmp_path / "headers.csv"
    scan(folder, cache)
    for name in WANTED:
        replace_keeping_time(folder / name, bytes((folder / name).stat().st_size))
    before, seen = cache.stat(), []
    assert scan(folder, cache, report=lambda *n: seen.append(n)) == WANTED
    assert seen == []
    assert cache.stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("change", ["size", "time"])
def test_changed_files_are_read_again(change, folder, tmp_path, make_dicom):
    cache = tmp_path / "headers.csv"
    scan(folder, cache)
    path = folder / "2.dcm"
    if change == "size":
        path.write_bytes(make_dicom(IMAGE, series_uid="1.2.33", patient_id="X"))
    else:
        path.write_bytes(make_dicom(IMAGE, series_uid="1.9", patient_id="SMITH^JANE"))
        os.utime(path, ns=(0, 1_000_000_001))
    seen = []
    got = scan(folder, cache, report=lambda *n: seen.append(n))
    assert got["2.dcm"].series_uid == ("1.2.33" if change == "size" else "1.9")
    assert seen == [(1, 1)]
    assert scan(folder, cache) == got


def test_gone_and_new_files(folder, tmp_path, write_dicom):
    cache = tmp_path / "headers.csv"
    scan(folder, cache)
    (folder / "1.dcm").unlink()
    write_dicom(folder / "3.dcm", IMAGE, series_uid="1.3", patient_id=None)
    got = scan(folder, cache)
    assert got == {"2.dcm": identity("1.2", ""), "3.dcm": identity("1.3", "")}
    assert "1.dcm" not in cache.read_text()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"something,else\n1,2\n",
        HEADER + b"1.dcm,five,6,7,8,,,,2,3\n",
        HEADER + b"1.dcm,5\n",
        b"path,bytes,modified_ns,series_uid,patient_id\n1.dcm,5,6,7,8\n",
        HEADER + b"1.dcm,5,6,7,\xff,,,,2,3\n",
        HEADER + b'"' + b"x" * 200_000,
    ],
    ids=["empty", "other_header", "no_number", "short_row", "older", "no_utf8", "endless_field"],
)
def test_a_damaged_cache_is_no_cache(content, folder, tmp_path):
    cache = tmp_path / "headers.csv"
    cache.write_bytes(content)
    assert scan(folder, cache) == WANTED
    assert scan(folder, cache) == WANTED


def test_a_file_that_can_not_be_read_is_tried_again(folder, tmp_path):
    cache = tmp_path / "headers.csv"
    listed = data_files.list_files(folder)
    hidden = folder / "1.dcm"
    hidden.rename(tmp_path / "away")
    arguments = {"cache": cache, "keep_patient_id": lambda name: True}
    assert set(data_files.scan_headers(folder, listed, **arguments)) == {"2.dcm"}
    (tmp_path / "away").rename(hidden)
    assert set(data_files.scan_headers(folder, listed, **arguments)) == {"1.dcm", "2.dcm"}


def test_file_names_need_not_be_utf8(folder, tmp_path, make_dicom):
    name = os.fsdecode(b"mamograf\xeda.dcm")
    (folder / name).write_bytes(make_dicom(IMAGE, series_uid="1.5", patient_id=None))
    cache = tmp_path / "headers.csv"
    assert scan(folder, cache) == {**WANTED, name: identity("1.5", "")}
    seen = []
    assert scan(folder, cache, report=lambda *n: seen.append(n))[name] == identity("1.5", "")
    assert seen == []


def test_unreadable_files_are_named_in_one_warning(folder, capsys, monkeypatch):
    read = data_files.dicom_file.read_identity

    def fail(path):
        if path.suffix == ".dcm":
            raise OSError(5, "Input/output error")
        return read(path)

    monkeypatch.setattr(data_files.dicom_file, "read_identity", fail)
    listed = data_files.list_files(folder)
    arguments = {"cache": None, "keep_patient_id": lambda name: True}
    assert data_files.scan_headers(folder, listed, **arguments) == {}
    assert header_list.list_headers(folder, listed) == []
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: the header of ")
    assert line.split("dcm", 1)[1] == (
        f" and 2 more below {folder} can't be read (Input/output error); what it would tell is "
        "not known"
    )


def test_clutter_of_a_store_is_passed_over():
    store = UPath("memory://clutter/data [1]")
    for name in ("a/1.dcm", "a/._1.dcm", "__MACOSX/a/1.dcm", ".x/2.dcm", "THUMBS.DB", "DICOMDIR"):
        (store / name).parent.mkdir(parents=True, exist_ok=True)
        (store / name).write_bytes(b"x")
    assert [file.path for file in data_files.list_files(store)] == ["a/1.dcm"]
