"""Memory of a process that handles images: what is kept, and how much there is."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pathlib

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


def available(system: pathlib.Path = pathlib.Path("/")) -> int:
    """Returns the bytes that a program could be given now, by the machine and by its container.

    Args:
        system: root of the file system, where Linux says so (proc(5); cgroup v2 of the kernel's
            documentation).
    """
    table = system / "proc/meminfo"
    if not table.is_file():  # not Linux
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    free = int(table.read_text(encoding="ascii").split("MemAvailable:")[1].split()[0]) << 10
    group = system / "sys/fs/cgroup"
    limit = group / "memory.max"
    if not limit.is_file() or limit.read_text(encoding="ascii").strip() == "max":
        return free
    held = int((group / "memory.current").read_text(encoding="ascii"))
    files = (group / "memory.stat").read_text(encoding="ascii")
    cached = int(files.split("inactive_file ")[1].split()[0])  # given back when it is wanted
    return max(0, min(free, int(limit.read_text(encoding="ascii")) - held + cached))
