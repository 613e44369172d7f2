"""Any text -> text that can be printed, drawn and written as UTF-8, on one line."""

from __future__ import annotations


def printable(text: object) -> str:
    """Writes what has no shape as escapes: bytes that are no UTF-8, line breaks, control codes."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in str(text)
    )
