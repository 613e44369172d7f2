"""Tests of the steps on the whole image, on real images: labels go, breasts stay."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.measure import label

from beam_jobs.imaging import breast, clean_and_crop, decode, pectoral
from beam_jobs.imaging.recipe import Setting, run_steps
from beam_jobs.imaging.unusable import UnusableImage
from beam_jobs.sources import mini_mias
from beam_jobs.sources.source_options import SourceOptions
from flags.recipe_spec import parse
from records.image_size import ImageSize

# Info.txt puts this lesion of three pixels on the empty image beside the breast
NOT_ON_THE_BREAST = {"mdb212"}
# breasts that fill the image from side to side
SIDE_NOT_SEEN = {"mdb151", "mdb152"}


@pytest.fixture(scope="module")
def mias(mini_mias_folder):
    """The 262 images that are there, by name."""
    images = mini_mias.read(mini_mias_folder, SourceOptions(label_policy="any_malignant"))
    return {
        clean_and_crop.image_id: clean_and_crop for clean_and_crop in images if clean_and_crop.path
    }


@pytest.fixture(scope="module")
def read(mias, mini_mias_folder):
    def read_one(name: str) -> np.ndarray:
        return decode.read_image(
            mini_mias_folder / mias[name].path, options=decode.Options(max_pixels=10**8)
        )

    return read_one


def circles(row) -> list[tuple[int, int, int]]:
    return [tuple(map(int, text.split(","))) for text in row.lesions.split(";") if text]


SOME = ("mdb001", "mdb012", "mdb058", "mdb081", "mdb110", "mdb134", "mdb154", "mdb206", "mdb239")


@pytest.fixture(scope="module", params=SOME)
def name(request) -> str:
    return request.param


def test_clean_against_scikit_image(name, read):
    """Its own Otsu threshold finds the bright breast; cleaning keeps it and little more."""
    pixels = read(name)
    cleaned = clean_and_crop.clean(pixels)
    kept = cleaned > 0
    np.testing.assert_array_equal(cleaned[kept], pixels[kept])
    bright = pixels > threshold_otsu(pixels)
    opened = ndimage.binary_opening(bright, np.ones((25, 25)))
    labels = label(opened)
    largest = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
    assert (kept & largest).sum() >= 0.995 * largest.sum()
    assert (kept & ~largest).sum() <= 1.0 * largest.sum()  # dim tissue and skin
    assert label(ndimage.binary_opening(kept, np.ones((9, 9)))).max() == 1


def test_labels_go(read):
    """Corners with a bright label, by eye, and a white strip along the edge of the image."""
    for name, rows, columns in (
        ("mdb012", slice(0, 90), slice(640, 720)),
        ("mdb110", slice(0, 150), slice(720, 820)),
        ("mdb206", slice(20, 110), slice(680, 760)),
        ("mdb134", slice(0, 110), slice(700, 1024)),
    ):
        pixels = read(name)
        assert pixels[rows, columns].max() > 60_000, name
        assert not clean_and_crop.clean(pixels)[rows, columns].any(), name


def test_clean_twice_is_clean(name, read):
    once = clean_and_crop.clean(read(name))
    twice = clean_and_crop.clean(once)
    assert ((once > 0) & (twice == 0)).sum() <= 0.1 * (once > 0).sum()  # dim skin, at most
    assert not ((once == 0) & (twice > 0)).any()
    setting = Setting(ImageSize(1, 1))
    steps = parse("clean,clean,resize")[:2]  # a recipe knows that it has cleaned
    np.testing.assert_array_equal(run_steps(read(name), steps, setting), once)


def test_crop_holds_what_clean_keeps(name, read):
    cleaned = clean_and_crop.clean(read(name))
    rows, columns = clean_and_crop.box(cleaned, margin=0, cleaned=True)
    outside = cleaned.copy()
    outside[rows, columns] = 0
    assert np.count_nonzero(outside) == 0
    tight = clean_and_crop.crop(cleaned, margin=0, cleaned=True)
    held = np.argwhere(cleaned)
    assert (tight.shape <= np.ptp(held, axis=0) + 1 + 4).all()  # a pixel of the small copy is two
    np.testing.assert_array_equal(
        clean_and_crop.crop(tight, margin=0, cleaned=True).shape, tight.shape
    )
    assert clean_and_crop.crop(cleaned, margin=0.05, cleaned=True).size > tight.size


def test_crop_of_a_square_by_hand():
    pixels = np.zeros((300, 400), np.uint16)
    pixels[100:200, 150:250] = 40000
    rows, columns = clean_and_crop.box(pixels, margin=0)
    edges = [rows.start, rows.stop, columns.start, columns.stop]
    assert np.abs(np.subtract(edges, [100, 200, 150, 250])).max() <= 5
    wide = clean_and_crop.box(pixels, margin=0.5)
    assert wide[0].start == pytest.approx(rows.start - 0.5 * (rows.stop - rows.start), abs=2)
    assert clean_and_crop.box(pixels, margin=50) == (slice(0, 300), slice(0, 400))


@pytest.mark.parametrize("to", ["left", "right"])
def test_orient(name, to, read, mias):
    pixels = read(name)
    turned = clean_and_crop.orient(pixels, to=to, by="pixels", side="")
    mirrored = clean_and_crop.orient(pixels[:, ::-1], to=to, by="pixels", side="")
    np.testing.assert_array_equal(turned, mirrored)  # from wherever it comes
    np.testing.assert_array_equal(
        clean_and_crop.orient(turned, to=to, by="pixels", side=""), turned
    )
    by_side = clean_and_crop.orient(pixels, to=to, by="side", side=mias[name].side)
    np.testing.assert_array_equal(by_side, turned)


def test_orient_by_side_needs_one():
    with pytest.raises(UnusableImage, match="side_unknown"):
        clean_and_crop.orient(np.ones((9, 7), np.uint16), to="left", by="side", side="")


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((700, 500), np.uint16),
        np.pad(np.full((2, 2), 65535, np.uint16), 300),
        np.zeros((3, 1), np.uint16),
    ],
    ids=["black", "a speck", "tiny"],
)
def test_no_breast(pixels):
    for step in (clean_and_crop.clean, lambda p: clean_and_crop.crop(p, margin=0)):
        with pytest.raises(UnusableImage, match="no_breast_found"):
            step(pixels)


def test_full_size_images(cbis_images):
    """Nothing of the bright breast goes; what the upper corners hold beside it does."""
    for path in sorted(cbis_images.glob("*/*.dcm"))[::3]:
        pixels = decode.read_image(path, options=decode.Options(max_pixels=10**8))
        cleaned = clean_and_crop.clean(pixels)
        small, kept = pixels[::8, ::8], cleaned[::8, ::8]
        bright = ndimage.binary_opening(small > threshold_otsu(small), np.ones((31, 31)))
        assert (kept[bright] > 0).mean() > 0.995
        assert clean_and_crop.crop(pixels, margin=0).size < 0.9 * pixels.size
        left = breast.chest_wall_is_left(breast.find(breast.shrink(pixels)))
        columns = (small > threshold_otsu(small)).sum(axis=0)
        assert left == (columns[:40].sum() > columns[-40:].sum())


@pytest.mark.parametrize("view", ["CC", "", "ML"])
def test_the_muscle_of_mlo_images_alone(view, read):
    pixels = read("mdb001")
    np.testing.assert_array_equal(pectoral.remove(pixels, view=view), pixels)


@pytest.mark.parametrize(
    ("name", "least", "most"), [("mdb001", 0.05, 0.15), ("mdb028", 0.05, 0.15)]
)
def test_the_muscle_goes(name, least, most, read):
    """What goes is a bright triangle in the corner at the chest wall, mirrored or not."""
    pixels = read(name)
    removed = pectoral.remove(pixels, view="MLO")
    gone = (removed != pixels).astype(np.uint8)
    np.testing.assert_array_equal(removed[gone == 0], pixels[gone == 0])
    assert least < gone.sum() / np.count_nonzero(clean_and_crop.clean(pixels)) < most
    assert np.median(pixels[gone > 0]) > 1.2 * np.median(
        clean_and_crop.clean(pixels)[pixels > 9000]
    )
    assert cv2.connectedComponents(gone)[0] == 2
    mirrored = pectoral.remove(pixels[:, ::-1], view="MLO")[:, ::-1]
    assert ((mirrored == 0) == (removed == 0)).mean() > 0.999


def test_no_muscle_where_there_is_none(cbis_images):
    """CC images called MLO: a breast without a muscle in the corner stays whole."""
    for index in (0, 2, 4, 6):
        path = sorted(cbis_images.glob("*/*.dcm"))[index]
        pixels = decode.read_image(path, options=decode.Options(max_pixels=10**8))[::2, ::2]
        np.testing.assert_array_equal(pectoral.remove(pixels, view="MLO"), pixels)


@pytest.mark.slow
def test_all_of_mini_mias(mias, read):
    """No lesion goes, the muscle goes from most, and the chest wall is where it should be."""
    assert len(mias) == 262
    cleaned_away, cropped_away, muscled_away, turned, changed, count = (
        set(),
        set(),
        set(),
        set(),
        0,
        0,
    )
    for name, row in mias.items():
        pixels = read(name)
        cleaned = clean_and_crop.clean(pixels)
        if breast.chest_wall_is_left(breast.find(breast.shrink(pixels))) != (row.side == "left"):
            turned.add(name)
        without = pectoral.remove(cleaned, view=row.view, cleaned=True)
        changed += bool((without != cleaned).any())
        rows, columns = clean_and_crop.box(without, margin=0, cleaned=True)
        for column, line, _ in circles(row):
            count += 1
            if not pixels[line, column]:
                continue
            if not cleaned[line, column]:
                cleaned_away.add(name)
            elif not without[line, column]:
                muscled_away.add(name)
            elif not (rows.start <= line < rows.stop and columns.start <= column < columns.stop):
                cropped_away.add(name)
    print(f"{count} lesions; muscle removed from {changed} of {len(mias)} images")
    assert count == 109
    assert cleaned_away == NOT_ON_THE_BREAST
    assert not cropped_away
    assert not muscled_away
    assert turned == SIDE_NOT_SEEN
    assert 0.75 < changed / len(mias) < 0.95


@pytest.mark.parametrize("end", ["top", "bottom"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_strip_of_bright_film_at_the_chest_wall_is_no_breast(side, end):
    rows, columns = np.indices((512, 330))
    pixels = np.full((512, 330), 1500, np.uint16)
    reach = slice(0, 280) if end == "top" else slice(230, 512)
    pixels[reach, :24] = 12000
    pixels[((rows - 256) / 120) ** 2 + (columns / 150) ** 2 < 1] = 40000
    if side == "right":
        pixels = np.ascontiguousarray(pixels[:, ::-1])
    found, _ = clean_and_crop.box(pixels, margin=0)
    assert 110 < found.start < 160
    assert 352 < found.stop < 400


def test_real_films_with_strips_are_cropped_to_the_breast(cbis_images):
    heights = {}
    for path in sorted(cbis_images.rglob("*.dcm")):
        pixels = decode.read_image(path, options=decode.Options(max_pixels=10**8))
        rows, _ = clean_and_crop.box(pixels, margin=0.02)
        heights[path.stem] = (rows.stop - rows.start) / pixels.shape[0]
    strips = {name: heights[name] for name in ("1-130", "1-131", "1-132", "1-133")}
    assert max(strips.values()) < 0.93, strips
    assert min(heights.values()) > 0.6
