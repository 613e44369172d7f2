"""Tests of Ctrl-C and SIGTERM at many moments of the programs: one line, code 130, nobody left."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from beam_jobs.sources import phantom
from beam_jobs.sources.phantom_image import Sample
from flags import interrupts
from tests import make


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    directory = tmp_path_factory.mktemp("data") / "images"
    phantom.make(directory, Sample(images=12, height=2056, width=640))
    return directory


def conversion(folder: pathlib.Path, images: pathlib.Path | None = None) -> list[str]:
    return [
        "--dataset=phantom",
        f"--data_dir={images or folder / 'images'}",
        f"--output_dir={folder / 'out'}",
        "--phantom_images=12",
        "--split_policy=image",
        "--folds=2",
        "--phantom_size=2056x640",
        "--sizes=64x48",
        "--recipe=plain",
    ]


@pytest.mark.parametrize(
    ("where", "sent"),
    [
        ("beam_jobs.sources.phantom:_write_tables", "SIGINT"),  # its pool of processes just ended
        ("beam_jobs.output_folder:write_plan", "SIGTERM"),
        ("apache_beam:Pipeline.run", "SIGINT"),
        ("apache_beam:Pipeline.run", "SIGTERM"),
        # where Beam's wait for its threads used to hang, or to end in its traceback
        ("beam_jobs.pipeline:WriteShards.start_bundle", "SIGINT"),
        ("beam_jobs.pipeline:WriteShards.start_bundle", "SIGTERM"),
        ("beam_jobs.pipeline:WriteShards.finish_bundle", "SIGINT"),
        ("beam_jobs.shards:write", "SIGINT"),
        ("beam_jobs.shards:write", "SIGTERM"),
        ("beam_jobs.finished_output:close_output", "SIGTERM"),
    ],
)
def test_a_conversion_ends_at_any_moment(where, sent, images, tmp_path):
    told = conversion(tmp_path, None if "phantom" in where else images)
    run = make.program("tests.flags.interrupted", sent, where, "beam_jobs.tfrecords", *told)
    assert run.returncode == interrupts.CODE, run.stderr
    assert run.stderr.strip().splitlines()[-1] == interrupts.LINE
    assert "Traceback" not in run.stderr
    assert not list(tmp_path.glob(".images.part"))


@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.3, 1.0, 2.0, 4.0])
def test_ctrl_c_at_a_terminal_leaves_nobody(seconds, tmp_path):
    # a terminal sends it to every process of the group
    arguments = [*conversion(tmp_path), "--phantom_images=2000"]
    with make.start(
        "beam_jobs.tfrecords",
        *arguments,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as child:
        while not _catches(child.pid, signal.SIGTERM):
            time.sleep(0.001)
        time.sleep(seconds)
        os.killpg(child.pid, signal.SIGINT)
        _, said = child.communicate(timeout=60)  # of whoever holds its end of the pipe
    assert child.returncode == interrupts.CODE, said
    assert said.splitlines()[-1] == interrupts.LINE
    assert "Traceback" not in said
    assert not _alive_of_group(child.pid)


def test_a_signal_that_is_passed_on_does_not_cut_the_clearing_up_short(tmp_path):
    # make hands on to its child what the group got already
    code = """if True:
        import pathlib, sys, time
        from flags import interrupts
        interrupts.install()
        half = pathlib.Path(sys.argv[1])
        half.write_text("")
        try:
            print("ready", flush=True)
            time.sleep(600)
        finally:
            time.sleep(0.5)
            half.unlink()
    """
    command = [sys.executable, "-c", code, tmp_path / "half"]
    with subprocess.Popen(command, cwd=make.ROOT, stdout=subprocess.PIPE) as program:
        program.stdout.readline()
        for _ in range(2):
            program.send_signal(signal.SIGTERM)
            time.sleep(0.1)  # else the system makes one of both
    assert program.returncode == interrupts.CODE
    assert not list(tmp_path.iterdir())


def test_ctrl_c_does_not_reach_the_processes_of_a_conversion(tmp_path):
    # they would print a traceback while they start; multiprocessing's resource tracker unblocks it
    arguments = [*conversion(tmp_path), "--phantom_images=2000"]
    with make.start("beam_jobs.tfrecords", *arguments, stdout=subprocess.DEVNULL) as child:
        workers: list[pathlib.Path] = []
        while len(workers) < 2 and child.poll() is None:
            table = pathlib.Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
            with contextlib.suppress(OSError):
                workers = [
                    pathlib.Path("/proc", pid)
                    for pid in table
                    if b"spawn_main" in pathlib.Path("/proc", pid, "cmdline").read_bytes()
                ]
        states = [(worker / "status").read_text() for worker in workers]
        child.send_signal(signal.SIGTERM)
    blocked = [int(state.split("SigBlk:")[1].split()[0], 16) for state in states]
    assert len(blocked) >= 2
    assert all(mask >> (signal.SIGINT - 1) & 1 for mask in blocked)


def _alive_of_group(group: int) -> list[str]:
    """Lists the states of processes: proc(5), stat; a killed one is Z until somebody buries it."""
    states = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, of_group = path.read_text().rpartition(")")[2].split()[:3]
            states += [state] * (int(of_group) == group and state != "Z")
    return states


def _catches(pid: int, number: signal.Signals) -> bool:
    """Tells whether a process handles a signal: proc(5), SigCgt."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    caught = int(status.split("SigCgt:")[1].split()[0], 16)
    return bool(caught >> (number - 1) & 1)


HANGING = """
import subprocess, sys, threading
from flags import interrupts
interrupts.install()
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
threading.Thread(target=threading.Event().wait).start()  # which the interpreter waits for
print("ready", flush=True)
{end}
"""


@pytest.mark.parametrize(
    "end", ["", "threading.Lock().acquire(); threading.Event().wait()"], ids=["shutdown", "wait"]
)
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_program_that_hangs_ends_with_its_children(end, sent):
    command = [sys.executable, "-c", HANGING.format(end=end)]
    with subprocess.Popen(
        command,
        cwd=make.ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as program:
        assert program.stdout.readline() == "ready\n"
        program.send_signal(sent)
        _, said = program.communicate(timeout=60)
    assert (program.returncode, said) == (interrupts.CODE, f"{interrupts.LINE}\n")
    assert not _alive_of_group(program.pid)


def test_a_second_signal_at_once_loses_no_line():
    code = """if True:
        import os, signal
        from flags import interrupts
        interrupts.install()
        whole = os.dup2
        def again(*numbers):  # while the first signal is handled
            os.dup2 = whole
            os.kill(os.getpid(), signal.SIGTERM)
            return whole(*numbers)
        os.dup2 = again
        os.kill(os.getpid(), signal.SIGTERM)
    """
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=make.ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (interrupts.CODE, f"{interrupts.LINE}\n")


@pytest.mark.parametrize("sent", ["SIGINT", "SIGTERM"])
def test_a_signal_once_all_is_done_changes_nothing(sent):
    code = f"""if True:
        import os, signal
        from flags import interrupts
        interrupts.install()
        class Last:  # goes when the interpreter takes the module apart
            def __del__(self, kill=os.kill, pid=os.getpid(), number=signal.{sent}):
                kill(pid, number)
        last = Last()
    """
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=make.ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_signal_to_a_fork_is_no_news_to_its_parent():
    code = """if True:
        import os, signal, time
        from flags import interrupts
        interrupts.install()
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(write, b"ready")
            time.sleep(600)
        os.read(read, 5)
        os.kill(child, signal.SIGTERM)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), interrupts.interrupted())
    """
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=make.ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{-signal.SIGTERM} False\n"
