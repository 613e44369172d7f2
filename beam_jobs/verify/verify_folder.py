"""One folder of records read again: directory -> Verification, all that is wrong with it.

found = verify(directory)
assert not found.damages, found.remedy
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import pathlib
import threading
import time
from collections.abc import Callable, Sequence

from beam_jobs.verify import folder_checks, image_checks, shard_checks
from beam_jobs.verify.checked_folder import CheckedFolder, open_folder
from beam_jobs.verify.discrepancy import BrokenFolder, Discrepancy
from beam_jobs.verify.shard_checks import ShardReport
from records import cores
from records import folder as names

Report = Callable[[int, int, float], None]
"""Called with shards read, shards to read, and megabytes read so far."""


@dataclasses.dataclass(frozen=True)
class Verification:
    """What the check of one folder found.

    Attributes:
        directory: the folder.
        discrepancies: all that is wrong, damages and warnings.
        folder: its manifest and tables, None if it can't be opened.
        reports: of each shard, in the manifest's order.
        seconds: the shards were read in.
        threads: that read them.
    """

    directory: pathlib.Path
    discrepancies: tuple[Discrepancy, ...]
    folder: CheckedFolder | None = None
    reports: tuple[ShardReport, ...] = ()
    seconds: float = 0.0
    threads: int = 1

    @property
    def damages(self) -> list[Discrepancy]:
        """Those that are more than a warning."""
        return [found for found in self.discrepancies if found.grave]

    @property
    def remedy(self) -> str:
        """What to do about the damages."""
        if not (self.directory / names.WORK_FOLDER / names.JOB).is_file():
            return "the folder lacks .shards, so copy it anew or convert into another --output_dir"
        # a missing shard is written anew, and so are the tables when manifest.json is gone
        named = {found.file for found in self.damages} - {""}
        there = " and ".join(sorted(n for n in named if (self.directory / n).is_file()))
        again = "give the conversion's command again"
        return f"remove {there} in {self.directory} and {again}" if there else again


def verify(
    directory: pathlib.Path,
    *,
    threads: int | None = None,
    digest_images: bool = False,
    report: Report = lambda done, total, megabytes: None,
) -> Verification:
    """Reads every byte of every shard, and compares the files of the folder with each other.

    Args:
        directory: folder of a finished conversion.
        threads: how many shards are read at a time; one a core by default.
        digest_images: whether to note the SHA-256 of each image, to find copies.
        report: called as shards are read.
    """
    threads = threads or cores.count()
    try:
        folder = open_folder(directory)
    except BrokenFolder as broken:
        return Verification(directory, (broken.discrepancy,))
    start = time.monotonic()
    reports = _read_shards(folder, report, threads=threads, digest_images=digest_images)
    seconds = time.monotonic() - start
    found = [finding for read in reports for finding in read.findings]
    found += image_checks.check_accounts(folder, reports)
    found += folder_checks.check_tables(folder)
    found += image_checks.check_patients(folder)
    found += folder_checks.check_strays(folder)
    return Verification(
        directory, tuple(found), folder, tuple(reports), seconds=seconds, threads=threads
    )


def _read_shards(
    folder: CheckedFolder, report: Report, *, threads: int, digest_images: bool
) -> Sequence[ShardReport]:
    """Reads all shards, several at a time; the order of the result is the manifest's."""
    shards = list(folder.manifest.shards)
    expected = folder.expected
    lock = threading.Lock()
    done = read = 0

    def count(more: int, finished: int = 0) -> None:
        nonlocal done, read
        with lock:
            done, read = done + finished, read + more
            report(done, len(shards), read / 1e6)

    def check(name: str) -> ShardReport:
        path = folder.directory / name
        found = shard_checks.check_shard(path, expected, digest_images=digest_images, report=count)
        count(0, finished=1)
        return found

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        return list(pool.map(check, shards))
