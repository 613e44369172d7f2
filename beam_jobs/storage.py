"""Folders on this machine, or in a store that Beam can reach (s3://, gs://, hdfs://).

A local folder is a `pathlib.Path`. `StorePath` has the same methods, as far as they are used here,
on Beam's FileSystems; files of a store appear whole or not at all.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fnmatch
import io
import logging
import os
import pathlib
import threading
from collections.abc import Iterator, Sequence
from typing import IO, Any, NamedTuple, Protocol

from beam_jobs import s3
from records.errors import CallerError

_ANSWER_SECONDS = 20


class Stat(NamedTuple):
    """What `stat` tells of a file of a store, named as in `os.stat_result`."""

    st_size: int
    st_mtime_ns: int


@dataclasses.dataclass(frozen=True)
class StorePath:
    """A file or folder of a store: `StorePath("s3://images/cbis") / "Info.txt"`.

    All methods raise OSError where the store refuses.
    """

    url: str

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> StorePath:
        return StorePath(f"{self.url.rstrip('/')}/{name}")

    @property
    def name(self) -> str:
        """Last component."""
        return self.url.rstrip("/").rsplit("/", 1)[-1]

    @property
    def parent(self) -> StorePath:
        """The folder it lies in."""
        return StorePath(self.url.rstrip("/").rsplit("/", 1)[0])

    def with_name(self, name: str) -> StorePath:
        """Returns another file of the same folder."""
        return self.parent / name

    def open(
        self,
        mode: str = "r",
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> IO[Any]:
        """Opens for reading or writing, as `pathlib.Path.open`."""
        with _errors_of(self):
            systems = _file_systems()
            # compression is for the reader of an image to evaluate, not for the name of its file
            how = {"compression_type": "uncompressed"}
            if "w" in mode:
                stream = systems.create(self.url, **how)
            else:
                stream = systems.open(self.url, **how)
        if "b" in mode:
            return stream
        return io.TextIOWrapper(stream, encoding or "utf-8", errors, newline)

    def read_bytes(self) -> bytes:
        """Reads the whole file."""
        with _errors_of(self), self.open("rb") as stream:
            return bytes(stream.read())

    def read_text(self, encoding: str = "utf-8") -> str:
        """Reads the whole file as text."""
        return self.read_bytes().decode(encoding)

    def is_file(self) -> bool:
        """Tells whether there is such a file."""
        with _errors_of(self):
            return bool(_file_systems().exists(self.url))

    def is_dir(self) -> bool:
        """Tells whether anything lies below."""
        return any(True for _ in self.walk())

    def exists(self) -> bool:
        """Tells whether there is such a file or folder."""
        return self.is_file() or self.is_dir()

    def stat(self) -> Stat:
        """Returns size and time of the last change."""
        with _errors_of(self):
            found = _file_systems().match([self.url])[0].metadata_list
            if not found:
                raise FileNotFoundError(f"{self.url}: no such file")
            return _stat(found[0])

    def walk(self) -> Iterator[tuple[StorePath, Stat]]:
        """Yields every file below."""
        with _errors_of(self):
            found = _file_systems().match([self.url.rstrip("/") + "/**"])[0].metadata_list
        for file in found:
            yield StorePath(file.path), _stat(file)

    def iterdir(self) -> Iterator[StorePath]:
        """Yields what lies directly below."""
        folder = self.url.rstrip("/") + "/"
        names = {path.url[len(folder) :].split("/")[0] for path, _ in self.walk()}
        return (self / name for name in sorted(names))

    def glob(self, pattern: str) -> Iterator[StorePath]:
        """Yields what lies directly below and has such a name."""
        return (path for path in self.iterdir() if fnmatch.fnmatchcase(path.name, pattern))

    def mkdir(self, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Makes a folder where the store knows folders."""
        assert parents
        assert exist_ok
        with _errors_of(self):
            if _file_systems().get_filesystem(self.url).has_dirs() and not self.exists():
                _file_systems().mkdirs(self.url)

    def replace(self, target: StorePath) -> None:
        """Renames; what has the name already is replaced."""
        with _errors_of(self):
            systems = _file_systems()
            if systems.get_filesystem(self.url).has_dirs() and systems.exists(target.url):
                systems.delete([target.url])  # HDFS renames to a free name only
            systems.rename([self.url], [target.url])

    def unlink(self, missing_ok: bool = False) -> None:
        """Removes the file."""
        with _errors_of(self):
            if not missing_ok or _file_systems().exists(self.url):
                _file_systems().delete([self.url])


class Folder(Protocol):
    """What `pathlib.Path` and `StorePath` have in common: a file or a folder, wherever it lies."""

    def __truediv__(self, name: str, /) -> Folder: ...

    @property
    def name(self) -> str:
        """Last component."""

    @property
    def parent(self) -> Folder:
        """The folder it lies in."""

    def with_name(self, name: str, /) -> Folder:
        """Returns another file of the same folder."""

    def open(
        self, mode: Any = ..., *, encoding: Any = ..., errors: Any = ..., newline: Any = ...
    ) -> Any:
        """Opens for reading or writing."""

    def read_bytes(self) -> bytes:
        """Reads the whole file."""

    def read_text(self, encoding: str = ...) -> str:
        """Reads the whole file as text."""

    def is_file(self) -> bool:
        """Tells whether there is such a file."""

    def is_dir(self) -> bool:
        """Tells whether there is such a folder."""

    def exists(self) -> bool:
        """Tells whether there is either."""

    def stat(self) -> Any:
        """Returns st_size, and st_mtime_ns."""

    def iterdir(self) -> Iterator[Folder]:
        """Yields what lies directly below."""

    def glob(self, pattern: str, /) -> Iterator[Folder]:
        """Yields what lies directly below and has such a name."""

    def mkdir(self, *, parents: bool = ..., exist_ok: bool = ...) -> None:
        """Makes the folder."""

    def replace(self, target: Any, /) -> Any:
        """Renames; what has the name already is replaced."""

    def unlink(self, missing_ok: bool = ...) -> None:
        """Removes the file."""


def folder(path: str | os.PathLike[str] | StorePath) -> Folder:
    """Makes the path of a folder of this machine, or of a store if it reads scheme://..."""
    if isinstance(path, StorePath):
        return path
    text = os.fspath(path)
    return StorePath(text) if "://" in text else pathlib.Path(text)


def configure(arguments: Sequence[str]) -> None:
    """Hands Beam's options (--s3_endpoint_url, --hdfs_host, ...) to its file systems."""
    from apache_beam.options.pipeline_options import PipelineOptions

    logging.getLogger("botocore").setLevel(logging.WARNING)  # it names its key in every thread
    s3.fraction_clients()
    _file_systems().set_options(PipelineOptions(list(arguments)))


def check_reachable(path: StorePath) -> None:
    """Finds out whether a store answers; left to itself Beam would try for many minutes.

    Raises:
        CallerError: it does not; says what the store says, and what to install.
    """
    said = [f"no answer within {_ANSWER_SECONDS} seconds"]

    def ask() -> None:
        try:
            path.is_file()
            said.clear()
        except OSError as error:
            said[:] = [str(error)]

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_ANSWER_SECONDS)
    if said:
        extra = {"s3": "aws", "gs": "gcp", "hdfs": "hadoop"}.get(path.url.split(":")[0], "...")
        raise CallerError(
            f"{path} can't be reached ({said[0]}); stores need pip install 'apache-beam[{extra}]' "
            "and credentials as Beam describes them"
        )


def sizes(path: Folder) -> dict[str, int]:
    """Returns name -> bytes of what lies directly in a folder; nothing if there is none."""
    if isinstance(path, StorePath):
        return {file.name: stat.st_size for file, stat in path.walk()}
    found = {}
    with contextlib.suppress(FileNotFoundError), os.scandir(str(path)) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):  # renamed since it was listed
                found[entry.name] = entry.stat().st_size
    return found


def _file_systems() -> Any:
    from apache_beam.io.filesystems import FileSystems

    return FileSystems


def _stat(found: Any) -> Stat:
    return Stat(found.size_in_bytes, int(1e9 * (found.last_updated_in_seconds or 0)))


@contextlib.contextmanager
def _errors_of(path: StorePath) -> Iterator[None]:
    """Turns what a store raises into an OSError that names the file."""
    try:
        yield
    except FileNotFoundError:
        raise
    except Exception as error:  # each store has errors of its own
        raise OSError(f"{path}: {' '.join(str(error).split())[:300]}") from error
