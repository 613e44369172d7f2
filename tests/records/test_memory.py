"""How much memory a program could be given."""

import psutil
import pytest

from records import memory


def test_of_this_machine():
    assert 0 < memory.available() < psutil.virtual_memory().total
    assert memory.available() == pytest.approx(psutil.virtual_memory().available, rel=0.2)


FREE = 8_000_000 << 10
V2 = {"memory.max": "max", "memory.current": 3 << 30, "memory.stat": f"inactive_file {1 << 20}"}
V1 = {
    "memory.limit_in_bytes": 2**63 - 4096,  # no limit
    "memory.usage_in_bytes": 3 << 30,
    "memory.stat": f"inactive_file 7\ntotal_inactive_file {1 << 20}",
}
LEFT = (4 << 30) - (3 << 30) + (1 << 20)


@pytest.mark.parametrize(
    ("member", "groups", "expected"),
    [
        ("0::/", {"": V2}, FREE),
        ("0::/", {"": {**V2, "memory.max": 4 << 30}}, LEFT),
        ("0::/", {"": {**V2, "memory.max": 1024, "memory.current": 1 << 30}}, 0),
        ("0::/a/b", {"": V2, "a": {**V2, "memory.max": 4 << 30}, "a/b": V2}, LEFT),
        ("0::/not/shown", {"": {**V2, "memory.max": 4 << 30}}, LEFT),
        ("5:memory:/x\n4:cpu:/y", {"memory": V1, "memory/x": V1}, FREE),
        ("5:memory:/x", {"memory": {**V1, "memory.limit_in_bytes": 4 << 30}}, LEFT),
        ("5:memory:/x", {"memory": {**V1, "memory.usage_in_bytes": "damaged"}}, FREE),
        (None, {}, FREE),
    ],
)
def test_of_a_container(member, groups, expected, tmp_path):
    """Control groups as the kernel shows them, v2 and v1."""
    (tmp_path / "proc/self").mkdir(parents=True)
    table = "MemTotal: 16000000 kB\nMemFree: 1 kB\nMemAvailable:    8000000 kB\nCached: 7 kB\n"
    (tmp_path / "proc/meminfo").write_text(table)
    if member is not None:
        (tmp_path / "proc/self/cgroup").write_text(f"{member}\n")
    for place, files in groups.items():
        folder = tmp_path / "sys/fs/cgroup" / place
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_text(f"{content}\n")
    assert memory.available(tmp_path) == expected
