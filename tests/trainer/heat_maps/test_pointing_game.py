"""The pointing game, on maps and lesions laid out by hand; and places of lesions from tables."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from scipy import ndimage, stats

from beam_jobs.imaging.unusable import UnusableImage
from trainer.data import image_file
from trainer.heat_maps import lesions, pointing_game
from trainer.heat_maps.lesions import Places

IMAGE = {"image_id": "a", "patient_id": "p"}


def square(shape, top, left, side):
    region = np.zeros(shape, bool)
    region[top : top + side, left : left + side] = True
    return region


def play(row: int, column: int, *, matrix=None, lesion=None, strength=1.0) -> pointing_game.Play:
    """A record of 20x20 that is hottest in one place, of an image of 200x100 unless told."""
    heat = np.full((20, 20), 0.2 * strength, np.float32)
    heat[row, column] = strength
    if matrix is None:
        matrix = np.array([[5, 0, 1], [0, 10, 4], [0, 0, 1]])
    shape = (200, 100)
    return pointing_game.play_image(
        IMAGE,
        1,
        heat=heat,
        matrix=matrix,
        lesion=square(shape, 60, 40, 20) if lesion is None else lesion,
        breast=square(shape, 50, 0, 100),
    )


@pytest.mark.parametrize(
    ("row", "column", "hit"),
    [
        (7, 9, True),  # row 74, column 46
        (8, 9, True),  # row 84: 5 below the last row of the lesion
        (9, 9, False),  # row 94
        (7, 7, True),  # column 36: 4 left of it
        (7, 6, False),  # column 31: 9 left
        (8, 7, False),  # 5 below and 4 left: 6.4
    ],
)
def test_hits_lie_within_3_percent_of_the_longer_side(row, column, hit):
    """6 pixels of 200 rows, by Euclid's distance."""
    assert play(row, column).hit is hit


def test_a_place_beside_the_image_is_a_miss():
    matrix = np.array([[5, 0, -300], [0, 10, 4.5], [0, 0, 1]])
    assert not play(7, 9, matrix=matrix).hit


def test_no_evidence_is_a_miss():
    everywhere = np.ones((200, 100), bool)
    found = play(0, 0, strength=0, lesion=everywhere)
    assert found.empty
    assert not found.hit
    assert play(0, 0, lesion=everywhere).hit


def test_guesses_that_know_no_network():
    """Fraction of the breast within 6 pixels of the lesion; and whether its middle is."""
    region = square((200, 100), 60, 40, 20)
    near = ndimage.distance_transform_edt(~region) <= 6
    found = play(7, 9)
    assert found.chance == pytest.approx(near[50:150].mean())
    assert not found.middle  # row 99.5, column 49.5
    assert play(7, 9, lesion=square((200, 100), 90, 40, 20)).middle


def test_rates_by_hand():
    """Images of the lowest class are asked about what they do not show: not in the sum."""
    plays = [
        pointing_game.Play(f"f{n}", f"p{n}", int(n < 12), n < 9 or n == 12, False, 0.25, n == 0)
        for n in range(13)
    ]
    scores = pointing_game.score(plays, ("benign", "malignant")).to_json()
    assert scores["images"] == 12
    assert scores["hit_rate"]["value"] == pytest.approx(0.75)
    # one image a patient: hits among 12 drawn are binomial
    low, high = stats.binom.ppf([0.025, 0.975], 12, 0.75) / 12
    assert scores["hit_rate"]["low"] == pytest.approx(low)
    assert scores["hit_rate"]["high"] == pytest.approx(high)
    assert scores["chance"]["value"] == 0.25
    assert scores["chance"]["interval_not_defined_because"] == "all 12 images have the same value"
    assert scores["middle"]["value"] == pytest.approx(1 / 12)
    assert scores["gain"]["value"] == pytest.approx(0.5)
    assert scores["labels"]["benign"]["images"] == 1
    assert scores["labels"]["malignant"]["hit_rate"] == scores["hit_rate"]


def test_no_image_has_a_lesion():
    scores = pointing_game.score([], ("benign", "malignant")).to_json()
    assert scores["hit_rate"]["value"] is None
    assert "no image of this kind" in scores["hit_rate"]["not_defined_because"]


def write_tables(folder, circles: str, rows: list[dict[str, str]]) -> None:
    (folder / "sources.csv").write_text(f'image_id,lesions\na,"{circles}"\nb,\n')
    with (folder / "lesions.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ["image_id", "box", "mask", "mask_status"])
        writer.writeheader()
        writer.writerows(rows)


def test_places_of_the_tables(tmp_path):
    write_tables(
        tmp_path,
        "5,6,3;20,10,2",
        [
            {"image_id": "a", "box": "1,2,3.0,4", "mask": "", "mask_status": ""},
            {"image_id": "c", "box": "", "mask": "m.pgm", "mask_status": "ok"},
            {"image_id": "c", "box": "", "mask": "n.pgm", "mask_status": "size_misfit"},
        ],
    )
    assert lesions.read(tmp_path) == {
        "a": Places(circles=((5, 6, 3), (20, 10, 2)), boxes=((1, 2, 3, 4),)),
        "c": Places(masks=("m.pgm",)),
    }


def test_drawn_lesions(tmp_path):
    outline = np.zeros((30, 40), np.uint8)
    outline[20:25, 30:33] = 255
    (tmp_path / "m.pgm").write_bytes(b"P5 40 30 255\n" + outline.tobytes())
    places = Places(circles=((10, 8, 4),), boxes=((20, 3, 24, 6),), masks=("m.pgm",))
    region = lesions.draw(places, (30, 40), tmp_path)
    rows, columns = np.mgrid[:30, :40]
    circle = np.hypot(rows - 8, columns - 10)
    assert region[circle <= 3.9].all()
    assert not region[(circle > 4.6) & (columns < 19)].any()
    assert region[3:6, 20:24].all()
    np.testing.assert_array_equal(region[:, 26:], outline[:, 26:] > 0)
    with pytest.raises(UnusableImage, match="outline"):
        lesions.draw(places, (30, 41), tmp_path)


def test_breast_of_a_real_image(mini_mias_folder):
    (path,) = mini_mias_folder.rglob("mdb001.pgm")
    data = path.read_bytes()
    pixels = np.frombuffer(data, np.uint8, 1024 * 1024, len(data) - 1024 * 1024)
    pixels = pixels.reshape(1024, 1024).astype(np.uint16) * 257
    breast = image_file.find_breast(pixels)
    assert breast.shape == (1024, 1024)
    assert 0.2 < breast.mean() < 0.5
    assert breast[599, 535]  # the lesion of Info.txt
