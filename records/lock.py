"""One program at a time on a folder; the system lets go when a program ends, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
from collections.abc import Iterator

from records.errors import CallerError


@contextlib.contextmanager
def hold(path: pathlib.Path, *, busy: str | None = None) -> Iterator[None]:
    """Holds a lock file, made with its folder where there is none; it stays there.

    Args:
        path: the file.
        busy: what to say if another program holds it; None: wait until it lets go.

    Raises:
        CallerError: another program holds it, or the folder can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        number = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise CallerError(
            f"{path.parent} can't be written: {error.strerror}; name another"
        ) from error
    with contextlib.closing(os.fdopen(number)):
        try:
            fcntl.flock(number, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError as error:
            raise CallerError(str(busy)) from error
        yield
