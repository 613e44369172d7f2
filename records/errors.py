"""The caller's mistakes: said in one line with the remedy, never as a traceback."""

from __future__ import annotations


class CallerError(ValueError):
    """What was asked for can't be done; the message says what, why, and what to do instead."""


class OutOfTime(Exception):
    """The minutes a caller allowed are over; the same command goes on."""
