"""Memory of a process that handles images: what is kept, and how much there is."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pathlib
import re
from collections.abc import Iterator

from records import control_groups as groups

# malloc.h of glibc, mallopt(3)
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8


def keep_freed(*, one_heap: bool) -> None:
    """Tells glibc to keep freed memory.

    Images, records and batches are megabytes each. Otherwise glibc gives each back to the system,
    which clears it page by page before the next, and all threads wait for each page in turn.

    Args:
        one_heap: whether all threads share one; where one takes what another frees. A thread's own
            heap can't grow over 64 MB.
    """
    with contextlib.suppress(OSError, AttributeError):  # another C library
        library = ctypes.CDLL("libc.so.6")
        if one_heap:
            library.mallopt(_M_ARENA_MAX, 1)
        library.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        library.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)


def available(system: pathlib.Path = groups.ROOT) -> int:
    """Returns the bytes that a program could be given now, by the machine and by its container.

    Args:
        system: root of the file system, where Linux says so (proc(5)).
    """
    table = system / "proc/meminfo"
    if not table.is_file():  # not Linux
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    free = int(table.read_text(encoding="ascii").split("MemAvailable:")[1].split()[0]) << 10
    left = [one for group in groups.folders("memory", system) for one in _left(group)]
    return max(0, min([free, *left]))


def _left(group: pathlib.Path) -> Iterator[int]:
    """Yields what a control group may still use, if it is limited: cgroup v2, then v1."""
    for limit, held, cached in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        with contextlib.suppress(OSError, ValueError):  # "max" is no number and no limit
            most, used, statistics = (
                (group / name).read_text(encoding="ascii") for name in (limit, held, "memory.stat")
            )
            found = re.search(rf"^{cached} (\d+)", statistics, re.MULTILINE)
            # the system takes such pages back when they are wanted
            yield int(most) - int(used) + (int(found[1]) if found else 0)
