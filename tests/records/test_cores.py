"""Tests of the number of cores, against control groups as the kernel shows them."""

import os
import subprocess
import sys

import pytest

from records import cores
from tests import make


@pytest.mark.parametrize(
    ("member", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),  # v2, within a container
        ("0::/\n", {"cpu.max": "max 100000\n"}, 64),
        ("0::/a/b\n", {"a/cpu.max": "100000 100000\n", "a/b/cpu.max": "max 100000\n"}, 1),
        ("0::/not/shown\n", {"cpu.max": "300000 100000\n"}, 3),  # the container's own is on top
        ("0::/\n", {"cpu.max": "1000 100000\n"}, 1),
        (
            "4:cpu,cpuacct:/docker/x\n1:memory:/y\n",  # v1
            {"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"},
            4,
        ),
        ("1:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 64),
        ("1:cpu:/\n", {"cpu/cpu.cfs_quota_us": "damaged"}, 64),
        (None, {}, 64),
    ],
)
def test_a_quota_counts(member, files, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    if member is not None:
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/cgroup").write_text(member)
    for name, text in files.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert cores.count(tmp_path) == expected


def test_affinity_counts():
    one = min(os.sched_getaffinity(0))
    code = f"import os; os.sched_setaffinity(0, [{one}]); from records import cores; "
    done = subprocess.run(
        [sys.executable, "-c", f"{code}print(cores.count())"],
        cwd=make.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "1\n"
