"""What a night does to a job: kills, full disks, images that vanish or change, a second job."""

import dataclasses
import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable

import numpy as np
import pytest

from beam_jobs import output_folder, shards, units
from beam_jobs.imaging import decode
from beam_jobs.sources.source_row import SourceRow
from records import files
from records.image_size import ImageSize
from tests import make

ROOT = pathlib.Path(__file__).parents[2]
IMAGES = 60
SIZE = ImageSize(640, 480)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A folder in the form of mini-MIAS, images of noise."""
    directory = tmp_path_factory.mktemp("images")
    noise = np.random.default_rng(0)
    rows = []
    for number in range(1, IMAGES + 1):
        kind = "NORM" if number % 4 < 2 else "CIRC B 200 200 50"
        rows.append(f"mdb{number:03d} G {kind}")
        pixels = noise.integers(0, 256, (640, 480), dtype=np.uint8)
        (directory / f"mdb{number:03d}.pgm").write_bytes(b"P5 480 640 255\n" + pixels.tobytes())
    (directory / "Info.txt").write_text("\n".join(rows) + "\n")
    return directory


def arguments(data_dir, output_dir, *more: str) -> list[str]:
    return [
        "--dataset=mini_mias",
        f"--data_dir={data_dir}",
        f"--output_dir={output_dir}",
        f"--sizes={SIZE}",
        "--images_per_shard=2",
        "--direct_num_workers=2",
        *more,
    ]


def start(*words: str, **how) -> subprocess.Popen:
    return make.start("beam_jobs.tfrecords", *words, **how)


def convert(*words: str, **how) -> tuple[int, str]:
    with start(*words, **how) as job:
        said, _ = job.communicate(timeout=200)
    return job.returncode, said


def records(output_dir: pathlib.Path) -> pathlib.Path:
    return output_dir / "mini_mias" / str(SIZE) / "paper"


def finished(directory: pathlib.Path) -> dict[str, int]:
    """When each finished shard was written."""
    return {
        ledger.stem: (directory / ledger.stem).stat().st_mtime_ns
        for ledger in (directory / ".shards").glob("*tfrecord*.json")
    }


@pytest.fixture(scope="module")
def whole(images, tmp_path_factory):
    """What an uninterrupted job writes."""
    output_dir = tmp_path_factory.mktemp("whole")
    code, said = convert(*arguments(images, output_dir))
    assert code == 0, said
    return records(output_dir)


# Imports once, then runs the job in a new process for each line it reads; says how that ended.
NURSERY = """
    import os, signal, sys
    import beam_jobs.pipeline, beam_jobs.tfrecords
    from beam_jobs import conversion_progress, output_folder
    from beam_jobs.pages import preview

    arguments, times = sys.argv[1:], 0
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            sys.argv = ["tfrecords", *arguments]
            try:
                beam_jobs.tfrecords.main()
            except SystemExit as end:
                os._exit(end.code or 0)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
"""


@pytest.mark.slow
def test_twenty_kills_at_random_moments_change_no_byte(images, whole, tmp_path):
    output = records(tmp_path)
    chance = random.Random(111)
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(NURSERY), *arguments(images, tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as nursery:

        def run(seconds: float | None) -> int:
            nursery.stdin.write("run\n")
            child = int(nursery.stdout.readline())
            if seconds is not None:
                time.sleep(seconds)
                os.kill(child, signal.SIGKILL)
            return int(nursery.stdout.readline())

        kills, longest_redone = 0, 0
        for _ in range(60):
            before = finished(output)
            on_the_way = len(list((output / ".shards").glob("*.tmp")))
            longest_redone = max(longest_redone, on_the_way)
            code = run(chance.uniform(0.05, 0.6))
            after = finished(output)
            assert before.items() <= after.items(), "a finished shard was written again"
            if code == 0:  # it was faster than the kill: begin anew
                assert make.fingerprints(output) == make.fingerprints(whole)
                for path in sorted(output.rglob("*"), reverse=True):
                    path.unlink() if path.is_file() else path.rmdir()
                continue
            assert code == -signal.SIGKILL
            kills += 1
            if kills == 20:
                break
        assert kills == 20
        assert longest_redone <= 2, "more shards were on the way than there are workers"
        assert run(None) == 0
        nursery.stdin.close()
    assert make.fingerprints(output) == make.fingerprints(whole)


def small_disk(limit: int) -> Callable[[], None]:
    """Makes a process one that can write no file of more bytes."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


def test_a_full_disk_is_one_line_and_the_job_goes_on_later(images, whole, tmp_path):
    limit = whole.joinpath(next(iter(finished(whole)))).stat().st_size // 2

    # what a job leaves that was killed at its very start is no reason to refuse the folder
    (records(tmp_path) / ".shards").mkdir(parents=True)
    (records(tmp_path) / ".shards" / "lock").touch()
    (records(tmp_path) / f".{files.temporary_name('plan.json')}").touch()
    code, said = convert(*arguments(images, tmp_path), preexec_fn=small_disk(limit))
    assert code == 2, said
    assert "Traceback" not in said
    (line,) = (line for line in said.splitlines() if line.startswith("error: "))
    assert "File too large" in line
    assert "finished shards are kept" in line
    assert not [path.name for path in records(tmp_path).iterdir() if "tfrecord" in path.name]
    assert convert(*arguments(images, tmp_path))[0] == 0
    assert make.fingerprints(records(tmp_path)) == make.fingerprints(whole)


def test_no_manifest_outlives_its_shards_and_a_damaged_ledger_is_made_anew(images, whole, tmp_path):
    shutil.copytree(whole, records(tmp_path))
    name, size = next((name, (whole / name).stat().st_size) for name in finished(whole))
    (records(tmp_path) / ".shards" / f"{name}.json").write_text("")
    code, said = convert(*arguments(images, tmp_path), preexec_fn=small_disk(size // 2))
    assert code == 2, said
    assert not (records(tmp_path) / "manifest.json").exists()
    assert convert(*arguments(images, tmp_path))[0] == 0
    assert make.fingerprints(records(tmp_path)) == make.fingerprints(whole)


def test_two_jobs_do_not_write_to_one_folder(images, whole, tmp_path):
    with start(*arguments(images, tmp_path)) as first:
        while not finished(records(tmp_path)) and first.poll() is None:
            time.sleep(0.002)
        first.send_signal(signal.SIGSTOP)
        try:
            while "T (stopped)" not in pathlib.Path(f"/proc/{first.pid}/status").read_text():
                time.sleep(0.002)  # a thread in a system call ends it first
            before = make.fingerprints(records(tmp_path))
            code, said = convert(*arguments(images, tmp_path))
            assert first.poll() is None
            assert code == 2
            assert "error: " in said
            assert "is being written by another job; wait for it" in said
            assert make.fingerprints(records(tmp_path)) == before
        finally:
            first.send_signal(signal.SIGCONT)  # or leaving the block would wait for ever
        said, _ = first.communicate(timeout=100)
        assert first.returncode == 0, said
    assert make.fingerprints(records(tmp_path)) == make.fingerprints(whole)


@pytest.mark.slow
def test_a_worker_process_that_dies_ends_the_job_and_it_goes_on_later(images, whole, tmp_path):
    how = "--direct_running_mode=multi_processing"
    with start(*arguments(images, tmp_path, how)) as job:
        while not finished(records(tmp_path)) and job.poll() is None:
            time.sleep(0.01)
        for worker in children_of(job.pid):
            for process in children_of(worker):  # Beam starts a shell that starts the worker
                os.kill(process, signal.SIGKILL)
        said, _ = job.communicate(timeout=60)
    assert job.returncode == 2, said
    assert "a worker died; mend that" in said
    assert convert(*arguments(images, tmp_path))[0] == 0
    assert make.fingerprints(records(tmp_path)) == make.fingerprints(whole)


def children_of(parent: int) -> list[int]:
    """Process ids out of Linux' own list (proc(5))."""
    lists = pathlib.Path(f"/proc/{parent}/task").glob("*/children")
    return [int(word) for path in lists for word in path.read_text().split()]


@pytest.fixture
def shard(images, tmp_path):
    """A shard of three images, listed with size and time."""
    directory = tmp_path / "images"
    directory.mkdir()
    listed = []
    for number in (1, 2, 3):
        path = directory / f"mdb{number:03d}.pgm"
        path.write_bytes((images / path.name).read_bytes())
        stat = path.stat()
        listed.append(
            SourceRow(
                image_id=path.stem,
                patient_id="p",
                side="left",
                view="MLO",
                pathology="benign",
                split="test",
                path=path.name,
                bytes=stat.st_size,
                modified_ns=stat.st_mtime_ns,
            )
        )
    output = output_folder.Output(tmp_path / "out", ImageSize(32, 24), "plain")
    output.work_folder.mkdir(parents=True)
    (planned,) = shards.plan(
        "x",
        listed,
        [output],
        data_dir=directory,
        images_per_shard=8,
        options=decode.Options(max_pixels=10**6),
    )
    return planned


def vanish(path: pathlib.Path) -> None:
    path.unlink()


def change(path: pathlib.Path) -> None:
    """Somebody copies a new version over it: same size, half of the pixels new."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))


@pytest.mark.parametrize(("happen", "reason"), [(vanish, "unreadable"), (change, "changed")])
def test_a_image_that_vanishes_or_changes_is_rejected_and_tried_again(shard, happen, reason):
    path = shard.data_dir / "mdb002.pgm"
    data, stat = path.read_bytes(), path.stat()
    happen(path)
    shards.write(shard)
    (output,) = shard.outputs
    ledger = output.read_ledger(shard.name)
    assert [image["image_id"] for image in ledger.images] != []
    assert [(row["image_id"], row["reason"]) for row in ledger.rejected] == [("mdb002", reason)]
    assert ledger.records == 2
    assert shards.unfinished(shard) == shard

    path.write_bytes(data)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    shards.write(shard)
    assert shards.unfinished(shard) is None
    assert output.read_ledger(shard.name).records == 3


def test_a_changed_image_is_seen_by_its_time_alone(shard):
    older = dataclasses.replace(shard.images[0], modified_ns=shard.images[0].modified_ns - 1)
    changed = dataclasses.replace(shard, units=(*units.form([older], "image"), *shard.units[1:]))
    shards.write(changed)
    ledger = shard.outputs[0].read_ledger(shard.name)
    assert [row["reason"] for row in ledger.rejected] == ["changed"]
