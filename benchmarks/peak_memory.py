"""Peak memory of the Beam job: few images and many, one size and four; each in a fresh process."""

from __future__ import annotations

import logging
import pathlib
import re
from collections.abc import Sequence

from benchmarks import images

FOUR_SIZES = ("224x224", "512x512", "1024x1024", "2048x1376")


def report(files: Sequence[pathlib.Path], *, few: int, many: int, size: str) -> None:
    """Prints the peaks and their ratios."""
    small = images.run_alone(_convert, files, few, (size,))
    large = images.run_alone(_convert, files, many, (size,))
    four = images.run_alone(_convert, files, few, FOUR_SIZES)
    print(f"peak memory of the job, {size}: {small:.2f} GiB with {few} images,", end=" ")
    print(f"{large:.2f} GiB with {many}, ratio {large / small:.2f} (at most 1.3)")
    print(f"peak memory, {few} images: four sizes up to {FOUR_SIZES[-1]} {four:.2f} GiB,", end=" ")
    print(f"against one size {four / small:.2f} (at most 1.3)", flush=True)


def _convert(files: Sequence[pathlib.Path], count: int, sizes: Sequence[str]) -> float:
    """Returns the peak resident memory of this process, GiB.

    From the kernel's high-water mark: getrusage would remember the parent's as well.
    """
    logging.getLogger("apache_beam").setLevel(logging.WARNING)
    images.measure(images.convert_in_beam, files, count=count, sizes=sizes)
    peak = re.search(r"VmHWM:\s+(\d+) kB", pathlib.Path("/proc/self/status").read_text())
    assert peak
    return int(peak[1]) / 2**20
