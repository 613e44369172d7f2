"""A folder for the files of one call alone: what an earlier call or anybody else left is kept.

with own_folder.take(config.output_dir, "predictions", writes=("predictions.*",),
                     overwrite=config.overwrite) as directory:
    ...
"""

from __future__ import annotations

import contextlib
import dataclasses
import fnmatch
import itertools
import pathlib
from collections.abc import Iterator, Sequence

from flags.fields import Flags, flag
from records import files
from records.errors import CallerError
from records.printable import counted


@dataclasses.dataclass(frozen=True)
class Overwriting(Flags):
    """Flag of a verb that writes a folder of its own."""

    overwrite: bool = flag(
        False,
        "Replace what an earlier call of this command left in its folder. Without it a folder "
        "that is named must be empty or new, and one that is not gets a number.",
    )


@contextlib.contextmanager
def take(
    named: str | None, default: str | pathlib.Path, *, writes: Sequence[str], overwrite: bool
) -> Iterator[pathlib.Path]:
    """Makes the folder of a call, or empties that of an earlier one.

    A folder made here is removed again if the call writes no file.

    Args:
        named: the folder asked for; None: `default`, or DEFAULT-2, DEFAULT-3... beside it.
        default: its name otherwise.
        writes: patterns of all paths, relative to the folder, that the command ever writes there.
        overwrite: whether to remove what an earlier call wrote.

    Raises:
        CallerError: the folder holds something, or can't be made.
    """
    directory = pathlib.Path(named or default)
    above = _missing(directory.parent)
    made = _missing(directory)[:1]
    with contextlib.ExitStack() as stack:
        try:
            if named is None and not overwrite:
                directory = _number(directory)
                made = [directory]
            directory.mkdir(parents=True, exist_ok=True)
            stack.enter_context(files.alone(directory))
            _empty(directory, writes, overwrite=overwrite)
        except OSError as error:
            raise CallerError(
                f"--output_dir={named or default} can't be written: {error.strerror}; give another "
                "--output_dir"
            ) from error
        stack.enter_context(_removed_if_unused([*made, *above]))
        yield directory


@contextlib.contextmanager
def make(directory: pathlib.Path) -> Iterator[None]:
    """Makes a folder, unless it is there; it is removed at the end if it holds no file.

    Raises:
        OSError: it can't be made.
    """
    made = _missing(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with files.alone(directory), _removed_if_unused(made):
        yield


def _missing(directory: pathlib.Path) -> list[pathlib.Path]:
    """Lists the folder and those above it, as far as they are not there."""
    return [path for path in (directory, *directory.parents) if not path.exists()]


@contextlib.contextmanager
def _removed_if_unused(made: Sequence[pathlib.Path]) -> Iterator[None]:
    """Removes folders made by this call at its end, as far as they hold no file.

    Args:
        made: each within the next.
    """
    try:
        yield
    finally:
        inside = [path for path in (made[0].rglob("*") if made else ()) if path.is_dir()]
        for path in (*sorted(inside, reverse=True), *made):
            with contextlib.suppress(OSError):  # it holds a file, or is a link
                path.rmdir()


def _number(default: pathlib.Path) -> pathlib.Path:
    """Makes the first folder of a numbered row that is not there; no two calls get the same."""
    default.parent.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        directory = default if number == 1 else default.with_name(f"{default.name}-{number}")
        try:
            directory.mkdir()
        except FileExistsError:
            continue
        return directory
    raise AssertionError("numbers do not end")


def _empty(directory: pathlib.Path, writes: Sequence[str], *, overwrite: bool) -> None:
    """Removes the files of an earlier call, unless there are others.

    Raises:
        CallerError: there are files, and they are not to be removed.
    """
    found = [path for path in directory.rglob("*") if path.is_symlink() or not path.is_dir()]
    for path in found:
        relative = path.relative_to(directory).as_posix()
        if not any(fnmatch.fnmatchcase(relative, pattern) for pattern in writes):
            raise CallerError(
                f"--output_dir={directory} holds {relative}, which this command did not write; "
                "give another --output_dir"
            )
    if found and not overwrite:
        raise CallerError(
            f"--output_dir={directory} holds {counted(len(found), 'files')} of an earlier call; "
            "give another --output_dir, or --overwrite to replace them"
        )
    for path in found:
        path.unlink()
