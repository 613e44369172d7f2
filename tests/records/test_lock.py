"""A lock is held against other programs, and let go however one ends."""

import pathlib
import subprocess
import sys

import pytest

from records import lock
from records.errors import CallerError

ROOT = pathlib.Path(__file__).parents[2]
PROGRAM = """
import pathlib, sys
from records import lock
with lock.hold(pathlib.Path(sys.argv[1])):
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
            lock.hold(path, busy="it is taken"),
        ):
            pass
        holder.kill()
        holder.wait()
    with lock.hold(path, busy="it is taken"):
        pass


def test_waiting_ends_when_the_holder_lets_go(tmp_path: pathlib.Path):
    path = tmp_path / "lock"
    with lock.hold(path):
        waiter = start(path)
        with pytest.raises(subprocess.TimeoutExpired):
            waiter.communicate(timeout=1)
    assert waiter.communicate(timeout=60)[0] == "held\n"


def test_a_folder_that_can_not_be_written(tmp_path: pathlib.Path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(CallerError, match=r"file can't be written: .*; name another$"),
        lock.hold(tmp_path / "file" / "lock"),
    ):
        pass
