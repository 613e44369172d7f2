"""What Linux lets the control groups of this process use: the folders that say so.

for folder in folders("memory"): ...
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

ROOT = pathlib.Path("/")


def folders(controller: str, system: pathlib.Path = ROOT) -> Iterator[pathlib.Path]:
    """Yields the folders of all control groups this process is in, and of the groups above them.

    Args:
        controller: "cpu" or "memory", as cgroup v1 calls it; v2 has one folder for all.
        system: root of the file system (cgroup v1 and v2 of the kernel's documentation).
    """
    try:
        lines = (system / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, place = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = system / "sys/fs/cgroup" / (controller if controllers else "")
        group = top / place.lstrip("/")
        # a container may show its own group as the top one, whatever the place is called
        for folder in {group, *group.parents, top}:
            if folder == top or top in folder.parents:
                yield folder
