"""Tests of the gallery: every step is in it, it is up to date, and it changes the image."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest

from beam_jobs.pages import recipe_gallery
from flags import recipe_spec
from flags.recipe_steps import STEPS


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs")
    recipe_gallery.main(folder)
    return folder


def test_the_page_is_up_to_date(drawn, root):
    page = (root / "docs" / "gallery.md").read_text(encoding="utf-8")
    assert page == (drawn / "gallery.md").read_text(encoding="utf-8"), "run make gallery"


def test_the_pictures_are_up_to_date(drawn, root):
    """To a grey level or two: OpenCV's last bit differs among processors."""
    names = sorted(path.name for path in (drawn / "gallery").iterdir())
    assert names == sorted(path.name for path in (root / "docs" / "gallery").iterdir())
    for name in names:
        made, kept = (
            cv2.imread(str(folder / "gallery" / name), cv2.IMREAD_GRAYSCALE).astype(int)
            for folder in (drawn, root / "docs")
        )
        assert made.shape == kept.shape, name
        assert np.abs(made - kept).mean() < 0.5, f"{name}: run make gallery"


def test_every_step_and_choice_is_shown(root):
    page = (root / "docs" / "gallery.md").read_text(encoding="utf-8")
    shown = " ".join(re.findall(r"^Before, then (.*):$", page, re.MULTILINE))
    for name, kind in STEPS.items():
        assert page.count(f"| `{name}") >= 1, name
        for choice in kind.choices or ("",):
            assert re.search(f"`{name}{':' if choice else ''}{choice}[:`]", shown), (name, choice)
    for name in recipe_spec.RECIPES:
        assert f"| `{name}` | `" in page
    for link in re.findall(r"\]\(([^)]+)\)", page):
        assert (root / "docs" / link).is_file(), link


def test_the_pictures_are_small(root):
    sizes = [path.stat().st_size for path in (root / "docs" / "gallery").iterdir()]
    assert len(sizes) == 4
    assert sum(sizes) < 1_500_000


@pytest.mark.parametrize("group", ["image", "resize", "noise", "contrast"])
def test_pictures_differ_from_before(group, drawn):
    """No step leaves the phantom as it was, but for the side the image stands at already."""
    sheet = cv2.imread(str(drawn / "gallery" / f"{group}.png"), cv2.IMREAD_GRAYSCALE)
    tiles = [
        sheet[row + 20 : row + 312, column : column + 200]
        for row in range(0, sheet.shape[0], 312)
        for column in range(0, sheet.shape[1], 200)
    ]
    same = [not (tile != tiles[0]).any() for tile in tiles[1:]]
    # orient:right: it stands there already
    assert sum(same) == {"image": 1}.get(group, 0)
