"""The files below a folder, by one rule for both programs.

for path, status in walk("exam"): ...

Links are followed, but no folder is entered twice. What file managers and discs leave beside images
is passed over, and so are pipes and devices. What can't be read is named.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator

from records.errors import CallerError

_CLUTTER = frozenset({"thumbs.db", "desktop.ini", "dicomdir", "__macosx"})
"""Of Windows, of a disc of DICOM files (PS3.10 8.6), of archives made on a Mac; any case."""
_NO_FILE = (errno.ENOENT, errno.ELOOP, errno.ENOTDIR)
"""A link to nothing or to itself is as good as no file."""


def is_clutter(name: str) -> bool:
    """Tells by its name that a file or folder holds no data: hidden ones (._*, .DS_Store) too."""
    return name.startswith(".") or name.lower() in _CLUTTER


def walk(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yields path and status of every file below a folder, in the order of names.

    Raises:
        CallerError: the folder itself can't be read.
    """
    visited: set[str] = set()

    def name(error: OSError) -> None:
        if error.filename == folder:
            raise CallerError(f"{folder} can't be read: {error.strerror}") from error
        _warn(error)

    for root, folders, files in os.walk(folder, onerror=name, followlinks=True):
        real = os.path.realpath(root)
        if real in visited:
            folders.clear()
            continue
        visited.add(real)
        # which of two ways to a folder is taken is no accident
        folders[:] = sorted(one for one in folders if not is_clutter(one))
        for path in (os.path.join(root, one) for one in sorted(files) if not is_clutter(one)):
            try:
                status = os.stat(path)
            except OSError as error:
                if error.errno not in _NO_FILE:
                    _warn(error)
                continue
            if stat.S_ISREG(status.st_mode):
                yield path, status


def _warn(error: OSError) -> None:
    print(
        f"warning: {error.filename} can't be read ({error.strerror}) and is left out",
        file=sys.stderr,
    )
