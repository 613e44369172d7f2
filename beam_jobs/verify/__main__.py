"""Re-reads TFRecords made by beam_jobs.tfrecords and names every damage.

  python -m beam_jobs.verify DIR
  python -m beam_jobs.verify DIR --against=OTHER

DIR is <output_dir>/<dataset>/<H>x<W>/<recipe>, or a folder above several of them. Every byte of
every shard is read; checksums, columns, labels and counts are compared with manifest.json,
sources.csv and the other files. --against compares two data sets. Exit code: 0 all is well, 1
something is damaged, 2 a caller's mistake. How far two data sets differ leaves the code as it is.
"""

from __future__ import annotations

import concurrent.futures
import os
import pathlib
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl import flags

from flags import command_line, fields
from flags.verification import VerificationConfig
from records.errors import CallerError

if TYPE_CHECKING:
    from beam_jobs.progress import Reporter
    from beam_jobs.verify.folder_checks import Folder
    from beam_jobs.verify.shard_checks import Finding, ShardReport


def main() -> None:
    """Runs the program with the arguments of the command line."""
    command_line.run(run, lambda: fields.define(VerificationConfig), arguments=1)


def run(arguments: list[str]) -> int:
    """Checks one or more folders of records; returns the exit code.

    Raises:
        CallerError: there is nothing to check, or a folder can't be read.
    """
    config = VerificationConfig.from_flags(flags.FLAGS, arguments)
    try:
        return _run(config)
    except OSError as error:
        raise CallerError(f"{error.filename} can't be read: {error.strerror}") from error


def _run(config: VerificationConfig) -> int:
    if config.against is not None:
        return _compare(_find_one(config.directory), _find_one(config.against))
    return max(verify(directory)[2] for directory in _find(config.directory))


def verify(
    directory: pathlib.Path, *, threads: int | None = None, digest_images: bool = False
) -> tuple[Folder | None, Sequence[ShardReport], int]:
    """Checks one folder of records and prints what it finds.

    Args:
        directory: folder of a finished conversion.
        threads: how many shards are read at a time; one a core by default.
        digest_images: whether to note the SHA-256 of each image, to find copies.

    Returns:
        the folder, None if it can't be opened; a report of each shard; the exit code.
    """
    from beam_jobs import progress
    from beam_jobs.verify import folder_checks

    threads = threads or os.cpu_count() or 1
    try:
        folder = folder_checks.open_folder(directory)
    except folder_checks.BrokenFolder as broken:
        _print_findings(directory, [broken.finding])
        return None, (), 1
    start = time.monotonic()
    with progress.Reporter(f"verifying {directory}", "shards") as reporter:
        reports = _read_shards(folder, reporter, threads=threads, digest_images=digest_images)
    seconds = time.monotonic() - start
    findings = [finding for report in reports for finding in report.findings]
    findings += folder_checks.check_accounts(folder, reports)
    findings += folder_checks.check_tables(folder)
    findings += folder_checks.check_patients(folder)
    findings += folder_checks.check_strays(folder)
    megabytes = sum(entry["bytes"] for entry in folder.manifest["shards"].values()) / 1e6
    print(
        f"{directory}: {sum(len(report.images) for report in reports)} records in {len(reports)} "
        f"shards, {megabytes:,.0f} MB read in {seconds:.1f} s ({megabytes / seconds:,.0f} MB/s, "
        f"{threads} threads)"
    )
    return folder, reports, _print_findings(directory, findings)


def _find(directory: pathlib.Path) -> list[pathlib.Path]:
    from beam_jobs.verify import folder_checks

    found = folder_checks.find_folders(directory)
    if not found:
        raise CallerError(
            f"{directory} holds no records; give <output_dir>/<dataset>/<H>x<W>/<recipe> of a "
            "conversion, or a folder above it"
        )
    return found


def _find_one(directory: pathlib.Path) -> pathlib.Path:
    found = _find(directory)
    if len(found) > 1:
        raise CallerError(
            f"{directory} holds {len(found)} sets of records, --against compares one with one; "
            f"choose one of {', '.join(map(str, found))}"
        )
    return found[0]


def _read_shards(
    folder: Folder, reporter: Reporter, *, threads: int, digest_images: bool
) -> list[ShardReport]:
    """Reads all shards, several at a time; the order of the result is the manifest's."""
    from beam_jobs.verify import shard_checks

    names = list(folder.manifest["shards"])
    expected = folder.expected
    lock = threading.Lock()
    done = read = 0

    def count(more: int, finished: int = 0) -> None:
        nonlocal done, read
        with lock:
            done, read = done + finished, read + more
            reporter.update(done, len(names), read / 1e6)

    def check(name: str) -> ShardReport:
        path = folder.directory / name
        found = shard_checks.check_shard(path, expected, digest_images=digest_images, report=count)
        count(0, finished=1)
        return found

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        return list(pool.map(check, names))


def _print_findings(directory: pathlib.Path, findings: Sequence[Finding]) -> int:
    """Prints findings and the remedy; returns the exit code."""
    for finding in findings:
        print(f"  {finding}")
    grave = [finding for finding in findings if finding.grave]
    if not grave:
        print("  all is well")
        return 0
    if (directory / ".shards" / "job.json").is_file():
        # a missing shard is written anew, and so are the tables when manifest.json is gone
        files = " and ".join(
            sorted(name for name in {f.file for f in grave} - {""} if (directory / name).is_file())
        )
        remedy = f"remove {files} in {directory} and " if files else ""
        remedy += "give the conversion's command again"
    else:
        remedy = "the folder lacks .shards, so copy it anew or convert into another --output_dir"
    print(f"  {len(grave)} damages. Remedy: {remedy}")
    return 1


def _compare(directory: pathlib.Path, against: pathlib.Path) -> int:
    """Checks two folders and prints how they differ."""
    from beam_jobs.verify import drift, folder_checks

    checked = [verify(path, digest_images=True) for path in (directory, against)]
    try:
        sides = [drift.Side.of(folder, reports) for folder, reports, _ in checked if folder]
    except folder_checks.BrokenFolder:  # said above
        sides = []
    if len(sides) == 2:
        for line in drift.describe(*sides):
            print(line)
    else:
        print("not compared: mend what is damaged first")
    return max(code for *_, code in checked)


if __name__ == "__main__":
    main()
