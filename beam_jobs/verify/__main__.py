"""Re-reads TFRecords made by beam_jobs.tfrecords and names every damage.

  python -m beam_jobs.verify DIR
  python -m beam_jobs.verify DIR --against=OTHER

DIR is <output_dir>/<dataset>/<H>x<W>/<recipe>, or a folder above several of them. Every byte of
every shard is read; checksums, columns, labels and counts are compared with manifest.json,
sources.csv and the other files. --against compares two data sets. Exit code: 0 all is well, 1
something is damaged, 2 a caller's mistake. How far two data sets differ leaves the code as it is.
"""

from __future__ import annotations

from flags import interrupts
from records.printable import counted

if __name__ == "__main__":
    interrupts.install()  # before slower imports

import pathlib
from typing import TYPE_CHECKING

from absl import flags

from flags import command_line, fields
from flags.verification_config import VerificationConfig
from records.errors import CallerError

if TYPE_CHECKING:
    from beam_jobs.verify.verify_folder import Verification


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
        if config.against is not None:
            return _compare(_find_one(config.directory), _find_one(config.against))
        found = [check(directory) for directory in _find(config.directory)]
    except OSError as error:
        raise CallerError(f"{error.filename} can't be read: {error.strerror}") from error
    return int(any(one.damages for one in found))


def check(
    directory: pathlib.Path, *, threads: int | None = None, digest_images: bool = False
) -> Verification:
    """Verifies one folder of records and prints what is found; see `verify_folder.verify`."""
    # NumPy and SciPy wait until the flags are known to be good
    from beam_jobs.verify import verify_folder
    from records.progress import Reporter

    with Reporter(f"verifying {directory}", "shards") as reporter:
        found = verify_folder.verify(
            directory, threads=threads, digest_images=digest_images, report=reporter.update
        )
    if found.folder is not None:
        megabytes = sum(entry.bytes for entry in found.folder.manifest.shards.values()) / 1e6
        records = counted(sum(len(report.images) for report in found.reports), "records")
        shards = counted(len(found.reports), "shards")
        print(
            f"{directory}: {records} in {shards}, {megabytes:,.0f} MB read in "
            f"{found.seconds:.1f} s ({megabytes / found.seconds:,.0f} MB/s, "
            f"{counted(found.threads, 'threads')})"
        )
    for discrepancy in found.discrepancies:
        print(f"  {discrepancy}")
    if found.damages:
        print(f"  {counted(len(found.damages), 'damages')}. Remedy: {found.remedy}")
    else:
        print("  all is well")
    return found


def _find(directory: pathlib.Path) -> list[pathlib.Path]:
    from beam_jobs.verify import checked_folder

    found = checked_folder.find_folders(directory)
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


def _compare(directory: pathlib.Path, against: pathlib.Path) -> int:
    """Checks two folders and prints how they differ."""
    from beam_jobs.verify import drift
    from beam_jobs.verify.discrepancy import BrokenFolder

    checked = [check(path, digest_images=True) for path in (directory, against)]
    try:
        sides = [drift.Side.of(one.folder, one.reports) for one in checked if one.folder]
    except BrokenFolder:  # printed above
        sides = []
    if len(sides) == 2:
        for line in drift.describe(*sides):
            print(line)
    else:
        print("not compared: mend what is damaged first")
    return int(any(one.damages for one in checked))


if __name__ == "__main__":
    main()
