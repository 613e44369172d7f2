"""The machine and versions of a measurement; printed first by every benchmark."""

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
    "tensorflow-datasets",
    "tensorflow-io",
)


def describe() -> str:
    """Returns processor, cores, memory and library versions in a few lines, and the load before."""
    cpu = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES)
    return (
        f"{cpu[1] if cpu else platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB, "
        f"{platform.system()}, Python {platform.python_version()}\n{versions}\n"
        f"before the benchmark: {describe_load()}"
    )


def describe_load() -> str:
    """Returns the load average of the last minute, the benchmark's own work included."""
    return f"load {os.getloadavg()[0]:.1f}"
