"""Tests of both programs from outside: help, exit codes, one line for a caller's mistake."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from flags import command_line, search_space
from flags.conversion_config import ConversionConfig
from flags.training_config import TrainingConfig
from records.errors import CallerError

PROGRAMS = {
    "beam_jobs.tfrecords": ConversionConfig,
    "trainer": TrainingConfig,
}
HEAVY = (
    *("tensorflow", "apache_beam", "keras", "sklearn", "cv2", "pydicom", "matplotlib", "scipy"),
    "numpy",
)


def run(*command: str, cwd) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], cwd=cwd, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("program", PROGRAMS)
def test_help(program, tmp_path, parse_flags):
    done = run("-m", program, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr == ""
    for name in parse_flags(PROGRAMS[program]).flag_values_dict():
        assert f"--{name}:" in done.stdout or f"--[no]{name}:" in done.stdout, name
    assert f"python -m {program}" in done.stdout


WATCH = """
import json, runpy, sys
sys.argv = ["program", *{arguments!r}]
try:
    runpy.run_module({program!r}, run_name="__main__", alter_sys=True)
except SystemExit as end:
    print(json.dumps([end.code, sorted(set({heavy!r}) & set(sys.modules))]))
"""


@pytest.mark.parametrize("arguments", [["--help"], ["--sizes=9", "--base=nothing"]], ids=str)
@pytest.mark.parametrize("program", PROGRAMS)
def test_slow_libraries_wait_for_good_flags(program, arguments, tmp_path):
    if "--help" not in arguments:
        arguments = [arguments[0] if program != "trainer" else arguments[1]]
    code = WATCH.format(arguments=arguments, program=program, heavy=HEAVY)
    done = run("-c", code, cwd=tmp_path)
    assert json.loads(done.stdout.splitlines()[-1]) == [0 if arguments == ["--help"] else 2, []]


@pytest.mark.parametrize(
    "line",
    [
        "--dataset_dir=nowhere",
        "--weights=nowhere.h5",
        "--init_from=nowhere",
        "cross_validate --dataset_dir=nowhere",
        "predict --run=nowhere .",
        "explain --run=nowhere",
        "export --run=nowhere",
        "evaluate --run=nowhere",
        "report --run=nowhere",
        "compare nowhere other",
        "ensemble nowhere --output_dir=out",
    ],
)
def test_tensorflow_waits_for_folders_that_are_there(line, tmp_path):
    heavy = ("tensorflow", "keras", "sklearn", "matplotlib")
    code = WATCH.format(arguments=line.split(), program="trainer", heavy=heavy)
    done = run("-c", code, cwd=tmp_path)
    assert json.loads(done.stdout.splitlines()[-1]) == [2, []], done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("program", "argument", "message"),
    [
        ("trainer", "--bas=vgg19", "unknown flag --bas; did you mean --base?"),
        ("trainer", "--zzz", "unknown flag --zzz; --help lists them"),
        (
            "trainer",
            "--base=vgg",
            "--base=vgg is not known; did you mean vgg19 or vgg16? -",
        ),
        ("trainer", "--base=resnet5", "--base=resnet5 is not known; did you mean resnet50 or res"),
        ("trainer", "--batch_size=0", "batch_size"),
        ("trainer", "--batch_size=two", "batch_size"),
        ("trainer", "vgg19", "'vgg19' is no command of python -m trainer; commands are train, "),
        ("trainer", "--flagfile=gone.flags", "gone.flags"),
        ("beam_jobs.tfrecords", "--sizes=512", "size '512' is not HEIGHTxWIDTH"),
        ("beam_jobs.tfrecords", "--folds=1", "folds"),
        ("beam_jobs.tfrecords", "--phantom_size=2049x639", "639 is less than 2049x640"),
        ("beam_jobs.tfrecords", "--dataset=cbis", "did you mean cbis_ddsm?"),
        ("beam_jobs.tfrecords", "--dataset=cbis_ddsm", "--data_dir=data/cbis_ddsm is not a folder"),
    ],
)
def test_a_mistake_is_one_line(program, argument, message, tmp_path):
    done = run("-m", program, argument, cwd=tmp_path)
    assert done.returncode == 2
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    assert message in lines[0]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--size=512x512", "unknown flag --size; did you mean --sizes?"),
        ("--dataset_dir=x", "unknown flag --dataset_dir; did you mean --data"),
    ],
)
def test_what_neither_the_job_nor_beam_knows(argument, message, tmp_path):
    done = run("-m", "beam_jobs.tfrecords", argument, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith(f"error: {message}")
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("argument", "line"),
    [
        ("--bse=vgg19", "unknown flag --bse; did you mean --base?"),
        ("-bse", "unknown flag --bse; did you mean --base?"),
        ("--qqq=1", "unknown flag --qqq; --help lists them"),
    ],
)
def test_describe_unknown(argument, line):
    assert command_line.describe_unknown(argument, ["base", "mode"]) == line


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_flagfiles_in_any_encoding_and_in_each_other(encoding, tmp_path):
    inner = tmp_path / "größe.flags"
    inner.write_bytes(b"--alpha=0.25\n")
    outer = tmp_path / "outer.flags"
    lines = f"# größe\r\n// none\r\n\r\n--base=mobilenet\r\n--flagfile={inner}\r\n"
    outer.write_bytes(f"{lines}--flagfile={outer}\r\n".encode(encoding))
    words = ["program", "--seed=1", f"--flagfile={outer}", "--", "--flagfile=not_read"]
    assert command_line.expand_flagfiles(words) == [
        "program",
        "--seed=1",
        "--base=mobilenet",
        "--alpha=0.25",
        "--",
        "--flagfile=not_read",
    ]


def test_flagfiles_and_spaces_from_the_field(shared_cases, capsys):
    folder = shared_cases / "user_text"
    for name in ("bom.flags", "utf16.flags"):
        given = command_line.expand_flagfiles(["program", "--flagfile", str(folder / name)])
        assert given[1:] == ["--base=mobilenet", "--alpha=0.25"]
    with pytest.raises(CallerError, match=r"line 2: unknown flag hiddn; did you mean hidden"):
        search_space.read(str(folder / "space_bom.txt"), TrainingConfig())
    assert capsys.readouterr().err == ""


def test_what_libraries_tell_developers_is_not_shown(tmp_path):
    code = """if True:
        import warnings
        from flags import command_line
        def program(_):
            warnings.warn("ends in 2027", FutureWarning)
            return 0
        command_line.run(program, lambda: None, argv=["program"])
    """
    done = run("-c", code, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
