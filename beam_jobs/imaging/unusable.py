"""Why an image can't be used: a reason out of a fixed list, and numbers."""

from __future__ import annotations

from typing import Literal

Reason = Literal[
    "unreadable",
    "changed",
    "empty_file",
    "not_an_image",
    "not_a_mammogram",
    "damaged_header",
    "no_pixels",
    "truncated",
    "not_one_frame",
    "no_such_frame",
    "no_such_window",
    "not_greyscale",
    "unsupported_bits",
    "unsupported_compression",
    "unsupported_layout",
    "too_large",
    "damaged_pixels",
    "one_grey_level",
    "no_breast_found",
    "side_unknown",
    "view_unknown",
    "aspect_unknown",
]


class UnusableImage(Exception):
    """An image that can't be used: a reason out of a fixed list, and numbers from the file.

    The detail never quotes text from the file: it may name a person.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[UnusableImage], tuple[Reason, str]]:
        return UnusableImage, (self.reason, self.detail)


def check_size(rows: int, columns: int, max_pixels: int) -> None:
    """Rejects an image that is too large, or nothing, before memory is taken for it."""
    if rows * columns > max_pixels:
        raise UnusableImage("too_large", f"{rows}x{columns} is more than {max_pixels} pixels")
    if rows <= 0 or columns <= 0:
        raise UnusableImage("no_pixels", f"{rows}x{columns}")
