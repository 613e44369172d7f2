"""Name and version of the software, installed or not."""

from __future__ import annotations

import datetime
import functools
import pathlib
import subprocess

NAME = "mammograms-to-models"
VERSION = "0.1.0"
NOTICE = "research use only, not for diagnosis"
PROGRAM = f"{NAME} {VERSION}"
_ROOT = pathlib.Path(__file__).parents[1]


@functools.cache
def describe() -> str:
    """Says name, version and, of a checkout, the commit: "... 0.1.0, commit 1a2b3c4d5e6f-dirty"."""
    if not (_ROOT / ".git").exists():  # installed, or the repository is somebody else's
        return PROGRAM
    options = ("--always", "--dirty", "--exclude=*", "--abbrev=12")
    told = ["git", "-C", str(_ROOT), "describe", *options]
    try:
        done = subprocess.run(told, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return PROGRAM
    return f"{PROGRAM}, commit {done.stdout.strip()}"


def now() -> str:
    """Writes the time, UTC, to the second: "2026-05-17T09:30:00+00:00"."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
