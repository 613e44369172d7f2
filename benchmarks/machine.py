"""What a figure was measured on; printed first by every benchmark."""

from __future__ import annotations

import importlib.metadata
import os
import pathlib
import platform
import re

_LIBRARIES = (
    "apache-beam",
    "imagecodecs",
    "keras",
    "numpy",
    "opencv-python-headless",
    "pydicom",
    "tensorflow",
)


def describe() -> str:
    """Returns processor, cores, memory and library versions in a few lines."""
    cpu = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES)
    return (
        f"{cpu[1] if cpu else platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB, "
        f"{platform.system()}, Python {platform.python_version()}\n{versions}"
    )
