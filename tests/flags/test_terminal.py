"""Streams of every kind under both programs: narrow encodings, closed, without a reader."""

import os
import subprocess
import sys

import pytest

from records import version
from tests import make

SAY = """
import os, sys
from flags import command_line
def program(rest):
    print({text})
    print({text}, file=sys.stderr)
    with open({path!r}, "w") as file:
        file.write(f"{{file.fileno() > 2}}")
    return 0
command_line.run(program, lambda: None)
"""
NAMES = {
    "no_utf8": os.fsdecode(b"bild\xe9.dcm"),
    "emoji": "\N{FIRE}.dcm",
    "decomposed": "e\N{COMBINING ACUTE ACCENT}.dcm",
    "arrow": "x \N{RIGHTWARDS ARROW} y",
}


def say(text, tmp_path, redirect="", *, times=1, **environment):
    code = SAY.format(text=f"{text!a} * {times}", path=str(tmp_path / "done"))
    command = f'"$PYTHON" -c "$CODE" {redirect}'
    given = {**os.environ, "PYTHONPATH": str(make.ROOT), "PYTHON": sys.executable, "CODE": code}
    return subprocess.run(
        ["bash", "-c", command], env={**given, **environment}, capture_output=True, check=False
    )


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8", "cp437"])
@pytest.mark.parametrize("name", NAMES)
def test_any_text_is_printed_in_any_encoding(name, encoding, tmp_path):
    done = say(NAMES[name], tmp_path, PYTHONIOENCODING=encoding)
    wanted = NAMES[name].encode(encoding, "backslashreplace") + b"\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, wanted, wanted)


@pytest.mark.parametrize("redirect", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_no_file(redirect, tmp_path):
    """The next file a program opens would get the number of the stream, and what it prints."""
    done = say("said", tmp_path, redirect)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "done").read_text() == "True"


def test_who_reads_may_go(tmp_path):
    done = say("said", tmp_path, "2>&1 | true; exit ${PIPESTATUS[0]}", times=50_000)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "done").is_file()


@pytest.mark.parametrize("program", ["trainer", "beam_jobs.verify"])
def test_version(program, tmp_path):
    done = make.program(program, "--version", cwd=tmp_path, fresh=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{version.NAME} {version.VERSION}\n"


@pytest.mark.parametrize(
    ("program", "flag", "meant"),
    [
        ("trainer", "--epochs=5", "--phase1_epochs and --phase2_epochs"),
        ("trainer", "--lr=1", "--phase1_learning_rate and --phase2_learning_rate"),
        ("trainer", "--learning_rate=1", "--phase1_learning_rate and --phase2_learning_rate"),
        ("trainer", "--learning-rate=1", "--phase1_learning_rate and --phase2_learning_rate"),
        ("trainer", "--batch=2", "--batch_size?"),
        ("trainer", "--model=vgg19", "--base?"),
        ("trainer", "--threshold=0.3", "validation images"),
        ("beam_jobs.tfrecords", "--out=x", "--output_dir?"),
    ],
)
def test_flags_of_other_programs_are_known(program, flag, meant, tmp_path):
    make.one_line(make.program(program, flag, cwd=tmp_path), meant)
