"""How many cores this process may use: those of the machine, its affinity, its container's quota.

threads = count()
"""

from __future__ import annotations

import contextlib
import math
import os
import pathlib
from collections.abc import Iterator

from records import control_groups as groups


def count(system: pathlib.Path = groups.ROOT) -> int:
    """Counts them, at least 1; the fraction of a core that a quota ends in counts as one.

    Args:
        system: root of the file system, where Linux says what a container may use.
    """
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        cores = os.cpu_count() or 1
    quotas = [quota for group in groups.folders("cpu", system) for quota in _quota(group)]
    return max(1, min([cores, *quotas]))


def _quota(group: pathlib.Path) -> Iterator[int]:
    with contextlib.suppress(OSError, ValueError):  # cgroup v2; "max" is no number and no limit
        used, period = map(int, (group / "cpu.max").read_text(encoding="ascii").split())
        yield math.ceil(used / period)
    with contextlib.suppress(OSError, ValueError):  # v1; -1 is no limit
        names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        used, period = (int((group / name).read_text(encoding="ascii")) for name in names)
        if used > 0:
            yield math.ceil(used / period)
