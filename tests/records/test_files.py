"""Files are written whole; a lock is held against other programs, and let go however one ends."""

import contextlib
import errno
import fcntl
import json
import os
import pathlib
import subprocess
import sys

import pytest

from records import files
from records.errors import CallerError

ROOT = pathlib.Path(__file__).parents[2]
PROGRAM = """
import pathlib, sys
from records import files
with files.hold(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def start(path: pathlib.Path) -> subprocess.Popen:
    """Starts a program that holds the lock until its input ends."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_another_program_is_kept_out_until_the_holder_is_killed(tmp_path: pathlib.Path):
    path = tmp_path / "folder" / "lock"
    with start(path) as holder:
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(CallerError, match="it is taken"),
            files.hold(path, busy="it is taken"),
        ):
            pass
        holder.kill()
        holder.wait()
    with files.hold(path, busy="it is taken"):
        pass


def test_waiting_ends_when_the_holder_lets_go(tmp_path: pathlib.Path):
    path = tmp_path / "lock"
    with files.hold(path):
        waiter = start(path)
        with pytest.raises(subprocess.TimeoutExpired):
            waiter.communicate(timeout=1)
    assert waiter.communicate(timeout=60)[0] == "held\n"


def test_a_folder_that_can_not_be_written(tmp_path: pathlib.Path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(CallerError, match=r"file can't be written: .*; name another$"),
        files.hold(tmp_path / "file" / "lock"),
    ):
        pass


def test_json_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "file.json"
    files.write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        files.write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "a.json does not exist; find it"),
        ("{", r"a.json is damaged \(.*\); mend it"),
        ("[1]", "a.json holds list, wanted an object; mend it"),
    ],
)
def test_json_that_can_not_be_read_is_one_line(tmp_path, text, message):
    if text is not None:
        (tmp_path / "a.json").write_text(text)
    with pytest.raises(CallerError, match=message):
        files.read_json(tmp_path / "a.json", remedy="mend it", remedy_if_missing="find it")


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "file"
    path.write_text("before")
    for temporary in (None, tmp_path / "half.keras"):
        with (
            contextlib.suppress(KeyError),
            files.replacing(path, temporary=temporary) as unfinished,
        ):
            unfinished.write_text("half")
            raise KeyError
        assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
        assert path.read_text() == "before"
    with files.replacing(path) as unfinished:
        unfinished.write_text("after")
    assert path.read_text() == "after"


@pytest.mark.parametrize("name", ["ENOLCK", "ENOSYS", "EINVAL", "EOPNOTSUPP", "EPERM"])
def test_a_file_system_without_locks_and_sync_gives_a_warning(name, tmp_path, monkeypatch, capsys):
    """As network folders answer to flock(2) and fsync(2)."""

    def refuse(*_):
        raise OSError(getattr(errno, name), os.strerror(getattr(errno, name)))

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(os, "fsync", refuse)
    monkeypatch.setattr(files, "_warned", set())
    for _ in range(2):
        with files.hold(tmp_path / "lock", busy="busy"):
            files.write_json(tmp_path / "a.json", {})
    with (tmp_path / "b").open("wb") as file:
        files.save(file)
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in said] == ["warning", "warning"]
    assert f"{tmp_path} can't be locked" in said[0]
    assert "can't confirm what is written" in said[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b", "lock"]


def test_a_full_disk_is_no_warning(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*a.json'"):
        files.write_json(tmp_path / "a.json", {})
    assert not list(tmp_path.iterdir())


def test_what_a_file_held_before_is_kept_beside_it(tmp_path):
    for text in ("one", "two", "two", "three"):
        with files.keeping(tmp_path, ("a.csv", "never.csv")):
            files.write_text(tmp_path / "a.csv", text)
    with contextlib.suppress(KeyboardInterrupt), files.keeping(tmp_path, ("a.csv",)):
        raise KeyboardInterrupt
    held = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert held == {"a.csv": "three", "a-1.csv": "one", "a-2.csv": "two"}


FOLDER = """
import pathlib, sys
from records import files
folder = pathlib.Path(sys.argv[1])
with files.keeping(folder, ("a.csv",)):
    print("held", flush=True)
    sys.stdin.read()
    files.write_text(folder / "a.csv", "theirs")
"""


def test_two_programs_write_a_folder_in_turn(tmp_path):
    command = [sys.executable, "-c", FOLDER, str(tmp_path)]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with files.alone(tmp_path), files.keeping(tmp_path, ("a.csv",)):
        other = subprocess.Popen(command, cwd=ROOT, text=True, **pipes)
        assert other.stderr.readline() == (
            f"waiting for another program that writes in {tmp_path}\n"
        )
        files.write_text(tmp_path / "a.csv", "ours")
    assert other.communicate(timeout=60) == ("held\n", "")
    held = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert held == {"a.csv": "theirs", "a-1.csv": "ours"}
