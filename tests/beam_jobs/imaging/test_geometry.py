"""The affine transform from record to image, on images that show their own coordinates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_jobs.imaging import recipe
from beam_jobs.imaging.geometry import Trail
from records.image_size import ImageSize

RECIPES = [
    "resize:pad",
    "resize:stretch",
    "resize:crop",
    "orient:right:by=side,resize:pad",
    "crop,orient:left,resize:stretch",
    "clean,crop:margin=0.1,orient:right,pectoral,resize:crop",
]


def breast(height: int, width: int) -> np.ndarray:
    """[height, width] bool, a half ellipse at the left edge."""
    rows, columns = np.mgrid[:height, :width]
    across, down = columns / (0.7 * width), (rows - height / 2) / (0.4 * height)
    return across**2 + down**2 < 1


def ramps(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Two images of one breast, each pixel of it as bright as its column and its row say."""
    rows, columns = np.mgrid[:height, :width]
    inside = breast(height, width)
    return tuple(
        np.where(inside, 20000 + 40000 * place / length, 0).astype(np.uint16)
        for place, length in ((columns, width), (rows, height))
    )


@pytest.mark.parametrize("steps", RECIPES)
@settings(max_examples=10, deadline=None)
@given(
    shape=st.tuples(st.integers(60, 300), st.integers(60, 300)),
    size=st.tuples(st.integers(12, 90), st.integers(12, 90)),
    mirrored=st.booleans(),
)
def test_each_pixel_knows_where_it_came_from(steps, shape, size, mirrored):
    """Where a record shows breast alone, its brightness is the place that the matrix tells.

    The boxes of the two images may differ, so each is measured with its own matrix. The record's
    outermost pixels are left out: what grows repeats its edge.
    """
    height, width = shape
    for axis, ramp in enumerate(ramps(height, width)):
        image = ramp[:, ::-1].copy() if mirrored else ramp
        trail = Trail()
        record = recipe.prepare(image, steps, ImageSize(*size), view="CC", side="left", trail=trail)
        seen = record[:, :, 0].astype(float)
        rows, columns = np.mgrid[: size[0], : size[1]]
        places = trail.matrix @ np.stack([columns.ravel(), rows.ravel(), np.ones(rows.size)])
        scale = max(1.0, abs(trail.matrix[0, 0]), abs(trail.matrix[1, 1]))
        inner = deep_inside(places, shape, mirrored, margin=2 * scale + 2)
        inner &= np.pad(np.ones((size[0] - 2, size[1] - 2), bool), 1).ravel()
        if not inner.any():
            continue
        length = (width, height)[axis]
        told = (seen.ravel()[inner] - 20000) / 40000 * length
        truth = places[axis][inner]
        if mirrored and axis == 0:
            truth = width - 1 - truth
        # pixels cut through at both ends of an area of s pixels move its mean by up to 1 / (8 s);
        # of halves, that is in their larger pixels
        assert np.abs(told - truth).max() < 0.14 + 0.04 * scale


def deep_inside(
    places: np.ndarray, shape: tuple[int, int], mirrored: bool, *, margin: float
) -> np.ndarray:
    """Tells which places (x, y, 1) lie in the breast, and all within a margin does too."""
    height, width = shape
    found = np.ones(places.shape[1], bool)
    inside = breast(height, width)
    inside = inside[:, ::-1] if mirrored else inside
    for dx in (-margin, 0, margin):
        for dy in (-margin, 0, margin):
            x, y = np.rint(places[0] + dx), np.rint(places[1] + dy)
            there = (x >= 0) & (x < width) & (y >= 0) & (y < height)
            x, y = np.clip(x, 0, width - 1).astype(int), np.clip(y, 0, height - 1).astype(int)
            found &= there & inside[y, x]
    return found


@pytest.mark.parametrize(
    ("steps", "size", "corner", "opposite"),
    [
        # 40x20 into 20x20 with aspect kept: half as large, 5 black columns at each side
        ("resize:pad", (20, 20), (-9.5, 0.5), (28.5, 38.5)),
        ("resize:stretch", (20, 20), (0, 0.5), (19, 38.5)),
        ("resize:stretch", (5, 5), (1.5, 3.5), (17.5, 35.5)),
        ("orient:right:by=side,resize:stretch", (40, 20), (19, 0), (0, 39)),
    ],
)
def test_corners_by_hand(steps, size, corner, opposite):
    image = np.random.default_rng(0).integers(0, 65536, (40, 20), np.uint16)
    trail = Trail()
    recipe.prepare(image, steps, ImageSize(*size), side="left", trail=trail)
    np.testing.assert_allclose(trail.matrix @ (0, 0, 1), (*corner, 1))
    np.testing.assert_allclose(trail.matrix @ (size[1] - 1, size[0] - 1, 1), (*opposite, 1))


def test_dots_are_found_again():
    """Bright dots on a whole recipe, levels changed and all, through halves, box and mirror."""
    image = np.where(breast(1501, 903), 15000, 100).astype(np.uint16)
    dots = [(200, 700), (310, 555), (450, 900), (90, 1003)]
    for column, row in dots:
        image[row - 8 : row + 9, column - 8 : column + 9] = 65000
    trail = Trail()
    record = recipe.prepare(
        image, "best_practice", ImageSize(160, 120), view="CC", side="left", trail=trail
    )
    matrix = np.linalg.inv(trail.matrix)
    for column, row in dots:
        x, y, _ = matrix @ (column, row, 1)
        rows, columns = np.mgrid[round(y) - 3 : round(y) + 4, round(x) - 3 : round(x) + 4]
        light = record[rows, columns, 0].astype(float)
        light -= light.min()
        assert (light * columns).sum() / light.sum() == pytest.approx(x, abs=0.25)
        assert (light * rows).sum() / light.sum() == pytest.approx(y, abs=0.25)
