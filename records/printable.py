"""Text for people: on one line, of letters that can be printed; counts with their noun."""

from __future__ import annotations

from collections.abc import Callable


def printable(text: object) -> str:
    """Writes what has no shape as escapes: bytes that are no UTF-8, line breaks, control codes."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in str(text)
    )


def counted(number: int, things: str, *, write: Callable[[int], str] = str) -> str:
    """Writes a count with its noun, which is given in the plural: 0 images, 1 image, 2 images."""
    return f"{write(number)} {things.removesuffix('s') if number == 1 else things}"


def grouped(value: float, decimals: int = 0) -> str:
    """Writes a number with its thousands apart by a thin no-break space, which pages have."""
    return f"{value:,.{decimals}f}".replace(",", "\u202f")
