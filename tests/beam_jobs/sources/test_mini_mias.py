"""Tests of mini-MIAS on its own Info.txt, and on rows written wrong."""

from __future__ import annotations

import collections

import pytest

from beam_jobs.sources import mini_mias
from beam_jobs.sources.source_options import SourceOptions
from records.errors import CallerError


@pytest.fixture(scope="module")
def images(mini_mias_folder):
    return {
        image.image_id: image
        for image in mini_mias.read(mini_mias_folder, SourceOptions(label_policy="any_malignant"))
    }


def test_counts(images):
    assert len(images) == 322
    counts = collections.Counter(image.pathology for image in images.values())
    assert counts == {"normal": 207, "benign": 63, "malignant": 51 + 1}  # mdb144 is both
    assert len({image.patient_id for image in images.values()}) == 161
    assert sum(image.abnormalities for image in images.values()) == 330 - 207
    assert {image.view for image in images.values()} == {"MLO"}
    assert {image.official_split for image in images.values()} == {""}
    assert collections.Counter(image.density for image in images.values()).keys() == {"F", "G", "D"}


def test_paper_policy_leaves_out_the_image_that_is_both(mini_mias_folder):
    images = mini_mias.read(mini_mias_folder, SourceOptions(label_policy="paper"))
    assert [image.image_id for image in images if image.excluded] == ["mdb144"]
    assert len(images) == 322


def test_images_found(images):
    missing = [name for name, image in images.items() if not image.path]
    assert missing == [f"mdb{number:03d}" for number in range(263, 323)]
    assert images["mdb001"].path == "mdb001.pgm"
    assert images["mdb262"].bytes == 1024 * 1024 + len(b"P5\n1024 1024\n255\n")


@pytest.mark.parametrize(
    ("name", "patient", "side"),
    [
        ("mdb001", "patient001", "right"),
        ("mdb002", "patient001", "left"),
        ("mdb003", "patient002", "right"),
        ("mdb321", "patient161", "right"),
        ("mdb322", "patient161", "left"),
    ],
)
def test_pairs(name, patient, side, images):
    assert (images[name].patient_id, images[name].side) == (patient, side)


@pytest.mark.parametrize(
    ("name", "lesions"),
    [
        ("mdb001", "535,599,197"),  # 425 from the bottom of 1024
        ("mdb005", "477,891,30;500,856,26"),
        ("mdb003", ""),
        ("mdb059", ""),
        ("mdb216", ""),
        ("mdb233", ""),
        ("mdb245", ""),
    ],
)
def test_circles(name, lesions, images):
    assert images[name].lesions == lesions


def test_kinds(images):
    assert images["mdb059"].abnormality == "circumscribed mass"
    assert images["mdb059"].pathology == "benign"
    assert images["mdb233"].abnormality == "calcification"
    assert images["mdb003"].abnormality == ""
    assert images["mdb144"].pathology == "malignant"
    # images with lesions and no circle: mdb059 and three with note 3
    without = [n for n, image in images.items() if image.abnormalities and not image.lesions]
    assert without == ["mdb059", "mdb216", "mdb233", "mdb245"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("mdb001 X NORM", r"line 2: the second word is not a tissue F, G or D"),
        ("mdb001 G", r"line 2: the second word"),
        ("mdb001", r"line 2: the second word"),
        ("mdb001 G BLOB B 1 2 3", r"line 2: BLOB B is not one of CALC, .* or NORM"),
        ("mdb001 G CIRC", r"line 2: CIRC is not one of"),
        ("mdb001 G CIRC X 1 2 3", r"line 2: CIRC X is not one of"),
        ("mdb001 G CIRC B 535 425", r"line 2: 535 425 is not column, row and radius"),
        ("mdb001 G CIRC B 535 425 19x", r"line 2: 535 425 19x is not column"),
        ("mdb001 G CIRC B 535 425 197 9", r"line 2: 535 425 197 9 is not column"),
        ("mdb01 G NORM", r"line 2: mdb01 is not mdb and three digits"),
    ],
)
def test_malformed_row(row, message, tmp_path):
    (tmp_path / "Info.txt").write_text(f"prose\n{row}\nmore prose\n")
    with pytest.raises(CallerError, match=message):
        mini_mias.read(tmp_path, SourceOptions(label_policy="any_malignant"))


def test_no_rows(tmp_path):
    (tmp_path / "Info.txt").write_bytes(b"prose \xe9\n")
    with pytest.raises(CallerError, match="has no row such as 'mdb001 G CIRC B 535 425 197'"):
        mini_mias.read(tmp_path, SourceOptions(label_policy="any_malignant"))


@pytest.mark.parametrize("copies", [0, 2])
def test_one_table(copies, tmp_path):
    for number in range(copies):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "Info.txt").write_text("mdb001 G NORM\n")
    with pytest.raises(CallerError, match=f"holds {copies} files named Info.txt"):
        mini_mias.read(tmp_path, SourceOptions(label_policy="any_malignant"))


def test_images_in_folders_below(tmp_path):
    (tmp_path / "Info.txt").write_text("mdb002 D NORM\r\nmdb001 F SPIC M 10 1000 5\r\n")
    (tmp_path / "pgm").mkdir()
    (tmp_path / "pgm" / "mdb001.pgm").write_bytes(b"P5")
    left, right = mini_mias.read(tmp_path, SourceOptions(label_policy="any_malignant"))
    assert (left.image_id, left.path, left.density) == ("mdb002", "", "D")
    assert (right.path, right.bytes, right.lesions) == ("pgm/mdb001.pgm", 2, "10,24,5")


def test_names_of_any_case(tmp_path):
    """As a disc of ISO 9660 has them."""
    (tmp_path / "INFO.TXT").write_text("mdb001 G NORM\nmdb002 G NORM\n")
    for name in ("MDB001.PGM", "mdb002.PGM", "mdb002 - Copy.PGM"):
        (tmp_path / name).write_bytes(b"P5\n1 1\n255\n\0")
    assert [image.path for image in mini_mias.read(tmp_path)] == ["MDB001.PGM", "mdb002.PGM"]
