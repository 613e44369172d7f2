"""One job at a time on a folder of records; the system lets go when a job ends, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterable, Iterator

from beam_jobs.shards import Output
from beam_jobs.storage import StorePath
from flags.errors import CallerError


@contextlib.contextmanager
def hold(outputs: Iterable[Output]) -> Iterator[None]:
    """Makes the folders of the outputs and keeps other jobs out of them.

    Stores know no locks: there nobody is kept out. Two jobs of the same configuration write the
    same bytes, those of another are refused by job.json.

    Raises:
        CallerError: another job is at work there, or the folder can't be written.
    """
    with contextlib.ExitStack() as stack:
        for output in outputs:
            if not isinstance(output.directory, StorePath):
                stack.callback(os.close, _lock(output))
        yield


def _lock(output: Output) -> int:
    try:
        output.work_folder.mkdir(parents=True, exist_ok=True)
        number = os.open(str(output.work_folder / "lock"), os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise CallerError(f"{output.directory} can't be written: {error.strerror}") from error
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(number)
        raise CallerError(
            f"{output.directory} is being written by another job; wait for it, or give another "
            "--output_dir"
        ) from error
    return number
