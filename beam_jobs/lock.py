"""One job at a time on a folder of records."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterable, Iterator

from beam_jobs.shards import Output
from records import files


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
            path = output.work_folder / "lock"
            if isinstance(path, pathlib.Path):
                busy = (
                    f"{output.directory} is being written by another job; wait for it, or give "
                    "another --output_dir"
                )
                stack.enter_context(files.hold(path, busy=busy))
        yield
