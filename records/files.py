"""Files written whole, JSON in and out, and locks: a killed program leaves no half of anything.

with files.replacing(path) as temporary:  # fsync and rename to `path` if nothing was raised
    temporary.write_bytes(content)
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import filecmp
import itertools
import json
import os
import pathlib
import re
import shutil
import sys
import uuid
from collections.abc import Iterator, Sequence
from typing import IO, Any, Protocol, TypeVar

from upath import UPath

from records.errors import CallerError


class AnyPath(Protocol):
    """What is needed of a path: a `pathlib.Path`, or one of a store with the same methods."""

    @property
    def name(self) -> str:
        """Last component."""

    def with_name(self, name: str, /) -> Any:
        """Returns another file of the same folder."""

    def open(
        self, mode: Any = ..., *, encoding: Any = ..., errors: Any = ..., newline: Any = ...
    ) -> Any:
        """Opens for reading or writing."""

    def read_text(self, encoding: str = ...) -> str:
        """Reads the whole file as text."""


_LACKING = (
    *(errno.ENOLCK, errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM),
    errno.EBADF,  # NFS, to a lock of a folder
)
"""What network folders answer to fsync(2) and flock(2) that they do not have."""
_warned: set[str] = set()
_held: set[tuple[int, int]] = set()
"""Device and number of the folders that `alone` keeps others out of."""

PathT = TypeVar("PathT", bound=AnyPath)


class DamagedFile(CallerError):
    """A file of ours that can't be used.

    Attributes:
        path: the file.
        why: what is wrong with it, as what follows its name in a sentence.
    """

    def __init__(self, path: AnyPath, why: str, remedy: str) -> None:
        super().__init__(f"{path} {why}; {remedy}" if remedy else f"{path} {why}")
        self.path = path
        self.why = why


class MissingFile(DamagedFile):
    """A file of ours that is not there."""


def read_json(
    path: AnyPath, *, remedy: str, remedy_if_missing: str | None = None
) -> dict[str, Any]:
    """Reads a JSON object.

    Args:
        path: the file.
        remedy: how the error message ends.
        remedy_if_missing: the same if there is no such file, where it differs.

    Raises:
        MissingFile: there is no such file.
        DamagedFile: it is no JSON, or another value than an object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingFile(path, "does not exist", remedy_if_missing or remedy) from None
    except ValueError as error:
        raise DamagedFile(path, f"is damaged ({error})", remedy) from error
    if not isinstance(content, dict):
        raise DamagedFile(path, f"holds {type(content).__name__}, wanted an object", remedy)
    return content


def write_json(path: AnyPath, content: object) -> None:
    """Writes JSON whole or not at all; NaN and infinity, which JSON has not, are refused."""
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def write_text(path: AnyPath, text: str) -> None:
    """Writes UTF-8 text whole or not at all; bytes of a name that are none stand as escapes."""
    with (
        replacing(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        file.write(text)


@contextlib.contextmanager
def replacing(path: PathT, *, temporary: PathT | None = None) -> Iterator[PathT]:
    """Gives a temporary path to write to, flushed to disk and renamed to `path` if all went well.

    Args:
        path: the file to be.
        temporary: its name meanwhile, where a library wants a certain ending, or where what a
            killed program left is to be overwritten; by default no two programs get the same.
    """
    unfinished: Any = temporary or path.with_name(f".{temporary_name(path.name)}")
    try:
        yield unfinished
        if isinstance(unfinished, pathlib.Path):  # a store's file is whole once it is closed
            with unfinished.open("rb") as file:
                _sync(file.fileno())
        rename(unfinished, path)
    except BaseException as error:
        remove(unfinished)
        if isinstance(error, OSError) and error.strerror and error.filename is None:
            error.filename = str(path)  # write(2) names none
        raise


def remove(path: Any) -> None:
    """Removes a file, if it is there."""
    if not isinstance(path, UPath):
        path.unlink(missing_ok=True)
        return
    with contextlib.suppress(FileNotFoundError):
        path.fs.rm_file(path.path)  # fs.rm takes "[1]" in a name for a pattern


@contextlib.contextmanager
def keeping(folder: pathlib.Path, names: Sequence[str]) -> Iterator[None]:
    """Keeps what files held before they are written anew: NAME-1.csv, NAME-2.csv beside NAME.csv.

    Those that come out the same, or are not written after all, leave no copy.
    """
    with alone(folder), _copied(folder, names):
        yield


@contextlib.contextmanager
def _copied(folder: pathlib.Path, names: Sequence[str]) -> Iterator[None]:
    copies: dict[pathlib.Path, pathlib.Path] = {}
    for path in (folder / name for name in names):
        if path.is_file():
            free = (path.with_name(f"{path.stem}-{n}{path.suffix}") for n in itertools.count(1))
            copies[path] = next(copy for copy in free if not copy.exists())
            with replacing(copies[path]) as temporary:
                shutil.copyfile(path, temporary)
    try:
        yield
    finally:
        for path, copy in copies.items():
            if path.is_file() and filecmp.cmp(path, copy, shallow=False):
                copy.unlink()


def rename(source: Any, target: Any) -> None:
    """Gives a file another name; what has that name already is replaced."""
    if not isinstance(source, UPath):
        source.replace(target)
        return
    if source.protocol in ("hdfs", "webhdfs"):
        remove(target)  # HDFS renames to a free name only
        source.fs.mv(source.path, target.path)
        return
    source.fs.cp_file(source.path, target.path)  # fs.mv takes "[1]" in a name for a pattern
    source.fs.rm_file(source.path)


def temporary_name(name: str) -> str:
    """Names a file not yet whole; no two workers, on whatever machine, get the same name."""
    return f"{name}.{uuid.uuid4().hex[:12]}.tmp"


def whole_name(temporary: str) -> str | None:
    """Returns the name that a file of `temporary_name` was to get; None if it is no such name."""
    match = re.fullmatch(r"\.?(.+)\.[0-9a-f]{12}\.tmp", temporary)
    return match[1] if match else None


def save(file: IO[Any]) -> None:
    """Flushes an open file to the disk, where there is one (fsync)."""
    file.flush()
    try:
        number = file.fileno()
    except (AttributeError, OSError):  # a file of a store is whole once it is closed
        return
    _sync(number)


def _sync(number: int) -> None:
    """Waits until the disk holds a file, as far as its file system can tell."""
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in _LACKING:
            raise
        _warn_once(
            f"the file system can't confirm what is written (fsync: {error.strerror}); a power "
            "failure now may lose it"
        )


def _warn_once(text: str) -> None:
    if text not in _warned:
        _warned.add(text)
        print(f"warning: {text}", file=sys.stderr)


@contextlib.contextmanager
def hold(path: pathlib.Path, *, busy: str | None = None) -> Iterator[None]:
    """Holds a lock file (flock), made with its folder where there is none; it stays there.

    The system lets go when the program ends, however it ends.

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
        _lock(number, path.parent, busy)
        yield


@contextlib.contextmanager
def alone(folder: pathlib.Path) -> Iterator[None]:
    """Waits until no other program holds a folder, then holds it (flock); leaves no file there.

    What this program holds already it may hold again.
    """
    opened = os.open(folder, os.O_RDONLY)
    try:
        status = os.fstat(opened)
        key = status.st_dev, status.st_ino
        if key in _held:
            yield
            return
        waiting = f"waiting for another program that writes in {folder}"
        try:
            _lock(opened, folder, waiting)
        except CallerError:
            print(waiting, file=sys.stderr)
            _lock(opened, folder)
        _held.add(key)
        try:
            yield
        finally:
            _held.remove(key)
    finally:
        os.close(opened)


def _lock(number: int, folder: pathlib.Path, busy: str | None = None) -> None:
    """Locks an open file; if another program has: waits, or raises CallerError with `busy`."""
    try:
        fcntl.flock(number, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
    except BlockingIOError as error:
        raise CallerError(str(busy)) from error
    except OSError as error:
        if error.errno not in _LACKING:
            raise CallerError(f"{folder} can't be locked: {error.strerror}") from error
        _warn_once(
            f"{folder} can't be locked (flock: {error.strerror}); see to it that no other program "
            "writes there"
        )
