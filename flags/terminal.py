"""Standard streams that take any text and outlive their reader, and log lines without a prefix.

prepare()     # first thing in main: closed streams, pipes without reader, narrow encodings
"""

from __future__ import annotations

import errno
import io
import logging
import os
import sys
from typing import Any

from absl import logging as absl_logging

_NOBODY_READS = (errno.EPIPE, errno.EIO)
"""A pipe whose reader has ended (`| head`), a terminal that was closed."""


class _Lasting(io.FileIO):
    """A stream whose reader may go: what is written then is dropped, and the work goes on."""

    def write(self, content: Any, /) -> int:
        try:
            return super().write(content) or 0
        except OSError as error:
            if error.errno not in _NOBODY_READS:
                raise
            return len(content)


class _Line(logging.Formatter):
    """A log record as one line for people: its message, led by "warning: " where it is one."""

    def format(self, record: logging.LogRecord) -> str:
        lead = "warning: " if record.levelno >= logging.WARNING else ""
        return lead + super().format(record)


def prepare() -> None:
    """Makes stdout and stderr such that no text, encoding or reader ends the program."""
    for number in (0, 1, 2):
        _open_if_closed(number)
    for number, name in ((1, "stdout"), (2, "stderr")):
        given = getattr(sys, name)
        if given is None or given is getattr(sys, f"__{name}__"):  # else a test's, or a notebook's
            setattr(sys, name, _wrap(number, given))
    handler = absl_logging.get_absl_handler().python_handler
    handler.setStream(sys.stderr)
    handler.setFormatter(_Line())


def _open_if_closed(number: int) -> None:
    """Opens a closed stream (`>&-`) on /dev/null; else the next file opened got its output."""
    try:
        os.fstat(number)
    except OSError:
        nobody = os.open(os.devnull, os.O_RDWR)
        if nobody != number:
            os.dup2(nobody, number)
            os.close(nobody)


def _wrap(number: int, given: Any) -> io.TextIOWrapper:
    if given is not None:
        given.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Lasting(number, "w", closefd=False)),
        encoding=given.encoding if given is not None else "utf-8",
        errors="backslashreplace",  # bytes of a name that are no UTF-8, letters of no code page
        line_buffering=True,
    )
