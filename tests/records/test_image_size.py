"""Tests of ImageSize."""

from __future__ import annotations

import pytest

from records.errors import CallerError
from records.image_size import ImageSize


@pytest.mark.parametrize(
    ("text", "height", "width"),
    [("2048x1376", 2048, 1376), (" 8x16384 ", 8, 16384), ("0512x512", 512, 512)],
)
def test_height_comes_first(text, height, width):
    size = ImageSize.parse(text)
    assert (size.height, size.width) == (height, width)
    assert str(size) == f"{height}x{width}"


@pytest.mark.parametrize(
    "text",
    [
        "512", "", "x", "512x", "x512", "512X512", "2048*1376", "512x512x1", "-8x8", "8.0x8",
        "a512x512", "512 x 512", "1000000x8",
    ],
)  # fmt: skip
def test_not_a_size(text):
    with pytest.raises(CallerError, match=r"is not HEIGHTxWIDTH in pixels, for example 2048x1376"):
        ImageSize.parse(text)


@pytest.mark.parametrize("text", ["0x5", "7x8", "8x7", "16385x8", "8x16385", "0x0", "999999x8"])
def test_sides_out_of_range(text):
    with pytest.raises(CallerError, match=rf"size '{text}': both sides must lie in 8\.\.16384"):
        ImageSize.parse(text)
