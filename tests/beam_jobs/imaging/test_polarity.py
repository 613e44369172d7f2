"""Tests of polarity by pixels: made breasts, and every real image at hand as it is and inverted."""

from __future__ import annotations

import collections
import concurrent.futures
import csv
import io
import pathlib

import cv2
import numpy as np
import pytest
from PIL import Image

from beam_jobs.imaging import decode, polarity
from beam_jobs.imaging.decode import Decoded, Options
from beam_jobs.imaging.unusable import UnusableImage
from beam_jobs.sources import rsna
from beam_jobs.sources.source_row import SourceRow

BY_PIXELS = "polarity: inverted by the pixels"


def breast(*, darkest: int = 30) -> np.ndarray:
    """Half an ellipse of tissue at the left, on air, with a marker: [120, 90] uint8."""
    rows, columns = np.mgrid[:120, :90]
    depth = 1 - ((rows - 60) / 55) ** 2 - (columns / 60) ** 2
    tissue = darkest + 70 * np.sqrt(np.clip(depth, 0, 1))
    image = np.where(depth > 0, tissue, 3)
    image[5:15, 75:85] = 250
    return image.astype(np.uint8)


def write(path: pathlib.Path, pixels: np.ndarray) -> pathlib.Path:
    """PNG by OpenCV, of 8 or 16 bits; JPEG by Pillow; PGM by hand."""
    if path.suffix == ".jpg":
        Image.fromarray(pixels).save(path, quality=95)
    else:
        assert cv2.imwrite(str(path), pixels)
    return path


def read(path: pathlib.Path, **options) -> Decoded:
    return decode.open_image(path, options=Options(max_pixels=10**7, **options))


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.pgm", "12 bits in 16.png"])
def test_negatives_are_inverted_and_named(name, tmp_path):
    pixels = breast()
    if "16" in name:  # not brought to full scale: 0 to 4095 of 65535
        pixels = pixels.astype(np.uint16) * 16
    top = 255 if pixels.dtype == np.uint8 else 4095
    as_it_is = read(write(tmp_path / name, pixels), invert=True)
    assert as_it_is.remarks == ()
    path = write(tmp_path / f"negative {name}", (top - pixels).astype(pixels.dtype))
    negative = read(path, invert=True)
    assert negative.remarks == (BY_PIXELS,)
    kept = read(path)
    assert kept.remarks == ("polarity: a negative by the pixels, kept",)
    np.testing.assert_array_equal(negative.pixels, 65535 - kept.pixels)
    if top == 255 and name != "a.jpg":
        np.testing.assert_array_equal(negative.pixels, as_it_is.pixels)


def test_the_table_has_the_last_word(tmp_path):
    path = write(tmp_path / "a.png", breast())
    plain = read(path).pixels
    told = read(path, invert=True, inverted=True)
    assert told.remarks == ("polarity: inverted by the table, not so by the pixels",)
    np.testing.assert_array_equal(told.pixels, 65535 - plain)
    negative = write(tmp_path / "b.png", 255 - breast())
    told = read(negative, invert=True, inverted=False)
    assert told.remarks == ("polarity: a negative by the pixels, kept",)
    np.testing.assert_array_equal(told.pixels, 65535 - plain)


def test_a_header_is_believed(make_dicom):
    """MONOCHROME2 of a negative stays one: only a table can say that a header is wrong."""
    data = make_dicom(255 - breast(), bits_stored=8)
    path = io.BytesIO(data)
    path.read_bytes = path.getvalue  # a file as `decode` wants it
    believed = read(path, invert=True)
    assert believed.remarks == ()
    np.testing.assert_array_equal(believed.pixels, (255 - breast()) * np.uint16(257))
    np.testing.assert_array_equal(read(path, inverted=True).pixels, breast() * np.uint16(257))


def test_what_can_not_be_decided_is_kept_and_named(tmp_path):
    tissue = np.random.default_rng(0).integers(60, 200, (96, 80), dtype=np.uint8)
    undecided = read(write(tmp_path / "a.png", tissue), invert=True)
    assert undecided.remarks[0] == "polarity: undecided by the pixels, kept"
    np.testing.assert_array_equal(undecided.pixels, tissue * np.uint16(257))


@pytest.mark.parametrize("sign", [1, -1], ids=["positive", "negative"])
@pytest.mark.parametrize(("darkest", "pale"), [(60, False), (170, True)])
def test_pale_images_are_named(sign, darkest, pale, tmp_path):
    pixels = breast(darkest=darkest)[:, :70]  # without the marker, which would set the range
    said = read(write(tmp_path / "a.png", pixels if sign > 0 else 255 - pixels), invert=True)
    assert (polarity.PALE in said.remarks) == pale


def test_blank_exports_are_rejected(tmp_path):
    noise = np.random.default_rng(0).integers(0, 3, (64, 64), dtype=np.uint8)
    noise[:3, :6] = 255  # a marker
    path = write(tmp_path / "a.png", noise)
    with pytest.raises(UnusableImage, match="one_grey_level: 99 % of it within 2 levels"):
        read(path, invert=True)
    assert read(path).pixels.max() == 65535  # as a mask is, with a small lesion


def test_every_image_of_mini_mias(mini_mias_folder):
    for path in sorted(mini_mias_folder.rglob("mdb*.pgm"))[::3]:
        pixels = read(path).pixels
        for given, said in ((pixels, ()), (~pixels, (BY_PIXELS,))):
            made, remarks = polarity.correct(given, invert=True)
            assert tuple(r for r in remarks if r.startswith("polarity")) == said, path.name
            np.testing.assert_array_equal(made, pixels)


def test_every_negative_of_rsna(shared_data):
    """All of machines 29 and 210, and no other: 414 of 2,750."""
    folder = shared_data / "rsna"
    with (folder / "train.csv").open(newline="") as stream:
        machines = {
            f"{row['patient_id']}_{row['image_id']}": row["machine_id"]
            for row in csv.DictReader(stream)
        }
    images = rsna.read(folder)

    def remark(image: SourceRow) -> tuple[str, ...]:
        pixels = cv2.imread(str(folder / image.path), cv2.IMREAD_GRAYSCALE) * np.uint16(257)
        return polarity.correct(pixels, invert=True)[1]

    with concurrent.futures.ThreadPoolExecutor() as pool:
        found = list(pool.map(remark, images))
    remarks = {image.image_id: said for image, said in zip(images, found, strict=True)}
    negatives = {name for name, said in remarks.items() if BY_PIXELS in said}
    assert negatives == {name for name, machine in machines.items() if machine in ("29", "210")}
    assert len(negatives) == 414
    assert not any("undecided" in part for said in remarks.values() for part in said)
    pale = collections.Counter(machines[name] for name in remarks if polarity.PALE in remarks[name])
    assert pale == {"21": 107, "93": 91, "29": 67, "216": 41, "190": 13}  # a tenth; all of the last
