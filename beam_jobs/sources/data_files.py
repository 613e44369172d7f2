"""The files of a data folder, and the DICOM header of each (scanned in parallel, cached)."""

from __future__ import annotations

import concurrent.futures
import csv
import dataclasses
import hashlib
import itertools
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from upath import UPath

from beam_jobs import storage
from beam_jobs.imaging import dicom_file
from beam_jobs.sources.source_row import SourceRow
from beam_jobs.storage import Folder
from records import cores, csv_text, file_tree
from records.errors import CallerError
from records.files import replacing
from records.printable import printable

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class DataFile:
    """A file below the data folder: path relative to it, size in bytes, modification time."""

    path: str
    bytes: int
    modified_ns: int

    @property
    def name(self) -> str:
        """Last component of the path."""
        return self.path.rsplit("/", 1)[-1]

    def add_to(self, image: SourceRow) -> SourceRow:
        """Returns an image with this as its file."""
        return dataclasses.replace(
            image, path=self.path, bytes=self.bytes, modified_ns=self.modified_ns
        )


_CACHE_HEADER = tuple(
    field.name for kind in (DataFile, dicom_file.Identity) for field in dataclasses.fields(kind)
)


def list_files(data_dir: Folder) -> list[DataFile]:
    """Lists every file below a folder, sorted by path; links to folders are followed once.

    Raises:
        CallerError: the folder does not exist.
    """
    storage.check_folder(data_dir)
    if isinstance(data_dir, UPath):
        stored: Iterator[DataFile] = itertools.starmap(DataFile, storage.walk(data_dir))
    else:
        stored = _walk(str(data_dir))
    return sorted(stored, key=lambda file: file.path)


def _walk(data_dir: str) -> Iterator[DataFile]:
    """Yields the files below a folder of this machine."""
    for path, status in file_tree.walk(data_dir):
        relative = os.path.relpath(path, data_dir).replace(os.sep, "/")
        yield DataFile(relative, status.st_size, status.st_mtime_ns)


def find_named(
    data_dir: Folder, files: Iterable[DataFile], names: Iterable[str], *, suffixes: Sequence[str]
) -> dict[str, DataFile]:
    """Finds files by the ends of their paths; neither case nor a suffix left out matters.

    Args:
        data_dir: folder the paths are relative to.
        files: candidates.
        names: ends of paths, without suffix.
        suffixes: those they may have, [".dcm"].

    Returns:
        name -> file, for those that are there.

    Raises:
        CallerError: different files have one of the names.
    """
    wanted = {name.lower(): name for name in names}
    depths = {1 + name.count("/") for name in wanted}
    found: dict[str, list[DataFile]] = {}
    for file in files:
        path = file.path.lower()
        path = path.removesuffix(next(filter(path.endswith, suffixes), ""))
        parts = path.split("/")
        for end in ("/".join(parts[-depth:]) for depth in depths):
            if end in wanted:
                found.setdefault(wanted[end], []).append(file)
    return {name: choose_copy(data_dir, same, name) for name, same in found.items()}


def choose_copy(data_dir: Folder, files: Sequence[DataFile], name: str) -> DataFile:
    """Takes one of several files for the same image: the shortest path, as copies have longer ones.

    Raises:
        CallerError: they differ, and which is meant would be a guess.
    """
    ordered = sorted(files, key=lambda file: (len(file.path), file.path))
    first = ordered[0]
    for other in ordered[1:]:
        if other.bytes != first.bytes or _digest(data_dir, other) != _digest(data_dir, first):
            raise CallerError(
                f"{data_dir} holds different files for {name}: {first.path}, {other.path}; keep "
                "one of them"
            )
    return first


def _digest(data_dir: Folder, file: DataFile) -> bytes:
    return hashlib.sha256((data_dir / file.path).read_bytes()).digest()


_named: set[str] = set()


def _name_unreadable(data_dir: Folder, errors: Mapping[str, OSError]) -> None:
    """Warns, in one line and once, of files whose headers can't be read."""
    new = {path: error for path, error in errors.items() if f"{data_dir}/{path}" not in _named}
    _named.update(f"{data_dir}/{path}" for path in new)
    if not new:
        return
    path, error = next(iter(new.items()))
    more = f" and {len(new) - 1} more" if len(new) > 1 else ""
    print(
        f"warning: the header of {printable(path)}{more} below {data_dir} can't be read "
        f"({error.strerror or type(error).__name__}); what it would tell is not known",
        file=sys.stderr,
    )


def read_each(
    data_dir: Folder,
    files: Sequence[DataFile],
    read: Callable[[Folder], T | None],
    *,
    report: Callable[[int, int], None] | None,
) -> Iterator[tuple[DataFile, T]]:
    """Reads files, several at a time; yields in their order what was read of those that can be.

    Args:
        data_dir: folder the paths are relative to.
        files: which.
        read: what of them; None leaves one out.
        report: called with (files done, files to read).
    """
    unreadable: dict[str, OSError] = {}

    def attempt(file: DataFile) -> T | None:
        try:
            return read(data_dir / file.path)
        except OSError as error:
            unreadable[file.path] = error
            return None

    with concurrent.futures.ThreadPoolExecutor(4 * cores.count()) as pool:
        for done, (file, found) in enumerate(zip(files, pool.map(attempt, files), strict=True), 1):
            if found is not None:
                yield file, found
            if report is not None:
                report(done, len(files))
    _name_unreadable(data_dir, unreadable)


def scan_headers(
    data_dir: Folder,
    files: Sequence[DataFile],
    *,
    cache: Folder | None,
    keep_patient_id: Callable[[str], bool],
    report: Callable[[int, int], None] | None = None,
    other: str = "",
) -> dict[str, dicom_file.Identity]:
    """Reads what the headers of DICOM files say they show; other files are left out.

    Args:
        data_dir: folder the paths are relative to.
        files: candidates.
        cache: CSV file that keeps what was read; files of the same size and time are not reread.
            Paths are kept as digests: folders are often named for patients. None keeps nothing.
        keep_patient_id: whether a PatientID is one of the data set's own pseudonyms; all others
            are forgotten at once, they may name a person.
        report: called with (files done, files to read).
        other: what stands for those; files of other patients than named are read again each time,
            for who is named may have changed.

    Returns:
        path -> Identity, for files that are DICOM.
    """
    cached = _read_cache(cache) if cache is not None else {}
    if other:
        cached = {key: one for key, one in cached.items() if one.patient_id != other}
    known = {file: cached[key] for file in files if (key := _cache_key(file)) in cached}
    todo = [file for file in files if file not in known]

    def read(path: Folder) -> dicom_file.Identity:
        identity = dicom_file.read_identity(path)
        if keep_patient_id(identity.patient_id):
            return identity
        return dataclasses.replace(identity, patient_id=other if identity.patient_id else "")

    known.update(read_each(data_dir, todo, read, report=report))
    if todo and cache is not None and is_own_cache(cache):
        _write_cache(cache, cached | {_cache_key(file): known[file] for file in known})
    return {
        file.path: known[file]
        for file in files
        if known.get(file, dicom_file.NOBODY) != dicom_file.NOBODY
    }


def _cache_key(file: DataFile) -> DataFile:
    path = file.path.encode("utf-8", "surrogateescape")
    return dataclasses.replace(file, path=hashlib.sha256(path).hexdigest())


def is_own_cache(cache: Folder) -> bool:
    """Whether a file is such a cache, of whatever version, or none is there."""
    try:
        with cache.open(encoding="utf-8", errors="surrogateescape") as stream:
            return stream.readline().startswith(",".join(_CACHE_HEADER[:3]))
    except FileNotFoundError:
        return True


def _read_cache(cache: Folder) -> dict[DataFile, dicom_file.Identity]:
    try:
        with cache.open(newline="", encoding="utf-8", errors="surrogateescape") as stream:
            rows = csv.reader(stream)
            if tuple(next(rows, ())) != _CACHE_HEADER:
                return {}
            return dict(map(_parse_cached, rows))
    except (FileNotFoundError, ValueError, csv.Error):  # none, or damaged: read the headers again
        return {}


def _parse_cached(row: list[str]) -> tuple[DataFile, dicom_file.Identity]:
    path, size, modified, *values = row
    fields = dataclasses.fields(dicom_file.Identity)
    stated: dict[str, Any] = {
        field.name: int(value) if isinstance(field.default, int) else value
        for field, value in zip(fields, values, strict=True)
    }
    identity = dicom_file.Identity(**stated)
    return DataFile(path, int(size), int(modified)), identity


def _write_cache(cache: Folder, known: dict[DataFile, dicom_file.Identity]) -> None:
    """Writes what is known by `_cache_key`; of files that are gone as well, which costs little."""
    storage.make_folder(cache.parent)
    with (
        replacing(cache) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as stream,
    ):
        writer = csv_text.writer(stream)
        writer.writerow(_CACHE_HEADER)
        for file, identity in known.items():
            writer.writerow([*dataclasses.astuple(file), *dataclasses.astuple(identity)])
