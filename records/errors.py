"""Errors that a program prints as one line with the remedy, without a traceback."""

from __future__ import annotations


class CallerError(ValueError):
    """A mistake of the caller; the message names what, why, and what to do instead."""


class OutOfTime(Exception):
    """The minutes a caller allowed are over; the same command goes on."""
