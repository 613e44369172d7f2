"""How much memory a program could be given."""

import pathlib

import psutil
import pytest

from records import memory


def test_of_this_machine():
    assert 0 < memory.available() < psutil.virtual_memory().total
    assert memory.available() == pytest.approx(psutil.virtual_memory().available, rel=0.2)


@pytest.mark.parametrize(
    ("limit", "available"),
    [("max", 8_000_000 << 10), (str(4 << 30), (4 << 30) - (3 << 30) + (1 << 20)), ("1024", 0)],
    ids=["no limit", "less than the machine", "used up"],
)
def test_of_a_container(limit: str, available: int, tmp_path: pathlib.Path):
    group = tmp_path / "sys" / "fs" / "cgroup"
    group.mkdir(parents=True)
    (tmp_path / "proc").mkdir()
    table = "MemTotal: 16000000 kB\nMemFree: 1 kB\nMemAvailable:    8000000 kB\nCached: 7 kB\n"
    (tmp_path / "proc" / "meminfo").write_text(table)
    (group / "memory.max").write_text(f"{limit}\n")
    (group / "memory.current").write_text(f"{3 << 30}\n")
    (group / "memory.stat").write_text(f"anon 5\ninactive_file {1 << 20}\nactive_file 9\n")
    assert memory.available(tmp_path) == available
