"""The size of a stored image, written height x width: `ImageSize.parse("2048x1376")`."""

from __future__ import annotations

import dataclasses
import re

from records.errors import CallerError

LARGEST_SIDE = 16384


@dataclasses.dataclass(frozen=True, order=True)
class ImageSize:
    """Height and width in pixels, both in 8..16384."""

    height: int
    width: int

    @classmethod
    def parse(cls, text: str) -> ImageSize:
        """Reads "2048x1376" (height first).

        Raises:
            CallerError: the text is not HEIGHTxWIDTH, or a side is out of range.
        """
        match = re.fullmatch(r"(\d{1,6})x(\d{1,6})", text.strip())
        if match is None:
            raise CallerError(
                f"size {text!r} is not HEIGHTxWIDTH in pixels, for example 2048x1376 or 512x512"
            )
        size = cls(int(match[1]), int(match[2]))
        if not all(8 <= side <= LARGEST_SIDE for side in (size.height, size.width)):
            raise CallerError(f"size {text!r}: both sides must lie in 8..{LARGEST_SIDE} pixels")
        return size

    def __str__(self) -> str:
        return f"{self.height}x{self.width}"
