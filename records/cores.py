"""How many cores this process may use: those of the machine, its affinity, its container's quota.

threads = count()
"""

from __future__ import annotations

import contextlib
import math
import os
import pathlib
from collections.abc import Iterator


def count(system: pathlib.Path = pathlib.Path("/")) -> int:
    """Counts them, at least 1; the fraction of a core that a quota ends in counts as one.

    Args:
        system: root of the file system, where Linux says what a container may use (cgroup v1 and
            v2 of the kernel's documentation).
    """
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        cores = os.cpu_count() or 1
    return max(1, min([cores, *_quotas(system)]))


def _quotas(system: pathlib.Path) -> Iterator[int]:
    """Yields the limits, in cores, of all control groups this process is in, and of theirs."""
    try:
        lines = (system / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, place = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = system / "sys/fs/cgroup" / ("cpu" if controllers else "")
        group = top / place.lstrip("/")
        # a container may show its own group as the top one, whatever the place is called
        for folder in {group, *group.parents, top}:
            if folder == top or top in folder.parents:
                yield from _quota(folder)


def _quota(group: pathlib.Path) -> Iterator[int]:
    with contextlib.suppress(OSError, ValueError):  # cgroup v2; "max" is no number and no limit
        used, period = map(int, (group / "cpu.max").read_text(encoding="ascii").split())
        yield math.ceil(used / period)
    with contextlib.suppress(OSError, ValueError):  # v1; -1 is no limit
        names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        used, period = (int((group / name).read_text(encoding="ascii")) for name in names)
        if used > 0:
            yield math.ceil(used / period)
