"""Tests of the contact sheet: which images it shows, and that they are on it."""

from __future__ import annotations

import dataclasses
import os

import matplotlib.image
import numpy as np
import pytest

from beam_jobs import output_folder, shards
from beam_jobs.imaging import decode
from beam_jobs.pages import preview
from beam_jobs.sources.source_row import SourceRow
from records.image_size import ImageSize

SIZE = ImageSize(40, 24)


def make_images(labels: str) -> list[SourceRow]:
    names = {"b": "benign", "m": "malignant", "n": "normal"}
    return [
        SourceRow(
            f"image{number}", "p", "left", "CC", names[label], split="test", path=f"{number}.dcm"
        )
        for number, label in enumerate(labels)
    ]


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        ("bbbbbbbbmm", [0, 8, 1, 9, 2, 3]),
        ("mb", [1, 0]),
        ("nnmmbb", [4, 2, 0, 5, 3, 1]),
        ("bbbbbbbb", [0, 1, 2, 3, 4, 5]),
        ("", []),
    ],
)
def test_labels_take_turns(labels, wanted):
    images = make_images(labels)
    assert preview._choose(images[::-1]) == [images[number] for number in wanted]


def draw(tmp_path, images):
    output = output_folder.Output(tmp_path, SIZE, "paper")
    planned = shards.plan(
        "phantom",
        images,
        [output],
        data_dir=tmp_path,
        images_per_shard=16,
        options=decode.Options(max_pixels=100_000),
    )
    path = tmp_path / "preview.png"
    preview.write(path, images, output, planned)
    return path


def test_images_are_on_it(tmp_path, write_dicom):
    images = make_images("bm")
    rng = np.random.default_rng(0)
    for image in images:
        write_dicom(tmp_path / image.path, rng.integers(0, 65536, (60, 30), np.uint16))
    path = draw(tmp_path, images)
    pixels = matplotlib.image.imread(path)
    assert pixels.shape[:2] == (840, 520)
    grey = pixels[..., 0]
    # noise above and below, left and right; between them the page is white
    for rows in (slice(150, 400), slice(500, 780)):
        for columns in (slice(60, 200), slice(320, 460)):
            assert grey[rows, columns].std() > 0.1
    before = path.read_bytes()
    assert draw(tmp_path, images).read_bytes() == before


@pytest.mark.parametrize(
    "name",
    [
        "$x_{1$ ^",
        "f[1].dcm",
        'it\'s "quoted"',
        "\N{FIRE}",
        "e\N{COMBINING ACUTE ACCENT}",
        "x" * 300,
        "two\nlines",
        os.fsdecode(b"bild\xe9"),
    ],
    ids=ascii,
)
def test_any_name_is_a_title(name, tmp_path):
    """Matplotlib reads $...$ as mathematics and refuses bytes that are no UTF-8."""
    (image,) = make_images("b")
    image = dataclasses.replace(image, image_id=name)
    assert matplotlib.image.imread(draw(tmp_path, [image])).shape[:2] == (840, 260)


def test_no_image(tmp_path):
    image = matplotlib.image.imread(draw(tmp_path, []))
    assert image.shape[0] == 840
    assert image[..., 0].min() < 0.5
