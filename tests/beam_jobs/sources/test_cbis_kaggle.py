"""Tests of CBIS-DDSM as Kaggle distributes it, on its real rows and on a made download."""

from __future__ import annotations

import csv
import pathlib
import shutil

import pytest

from beam_jobs.sources import cbis_ddsm, cbis_kaggle
from beam_jobs.sources.source_options import SourceOptions
from records.errors import CallerError

STATED = (
    "image_path",
    "SeriesInstanceUID",
    "SeriesDescription",
    "Rows",
    "Columns",
    "PatientID",
    "PatientName",
)


def read(folder: pathlib.Path, label_policy: str = "any_malignant"):
    return cbis_kaggle.read(folder, SourceOptions(label_policy=label_policy))


@pytest.fixture(scope="module")
def sample(shared_data) -> list[dict[str, str]]:
    """Seven rows of the real dicom_info.csv."""
    path = shared_data / "cbis_kaggle" / "dicom_info_sample.csv"
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def real(official_tables, sample, tmp_path) -> pathlib.Path:
    """The official tables, the real rows, and an (empty) file for each of them."""
    data = tmp_path / "archive"
    (data / "csv").mkdir(parents=True)
    for name, _ in cbis_ddsm.TABLES:
        shutil.copy(official_tables / name, data / "csv")
    write_info(data, sample)
    for row in sample:
        path = data / "jpeg" / row["image_path"].removeprefix("CBIS-DDSM/jpeg/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\xff\xd8")
    return data


def write_info(data: pathlib.Path, rows) -> None:
    with (data / "csv" / cbis_kaggle.INFO).open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def test_real_rows(real):
    images = read(real)
    assert len(images) == 3032
    found = [image for image in images if image.path]
    assert [(image.image_id, image.path[-10:]) for image in found] == [
        ("P_01754_RIGHT_CC", "/1-249.jpg")
    ]
    rois = {
        (image.image_id, roi.lesion_id): roi for image in images for roi in image.rois if roi.mask
    }
    # no image of these lesions is in the sample, so sizes can't be checked
    assert {key: roi.mask_status for key, roi in rois.items()} == {
        ("P_00181_RIGHT_CC", "1"): "swapped+unchecked",
        ("P_00562_LEFT_CC", "2"): "unchecked",
        ("P_00634_RIGHT_MLO", "1"): "swapped+unchecked",
    }
    mass = rois["P_00634_RIGHT_MLO", "1"]
    assert (mass.mask[-9:], mass.crop[-9:]) == ("1-241.jpg", "2-242.jpg")
    assert (mass.mask_height, mass.mask_width) == (4592, 2888)
    calc = rois["P_00181_RIGHT_CC", "1"]
    assert (calc.mask[-9:], calc.crop[-9:]) == ("2-270.jpg", "1-034.jpg")
    # a crop without its mask
    (lone,) = [roi for image in images for roi in image.rois if roi.crop and not roi.mask]
    assert (lone.crop[-9:], lone.mask_status) == ("1-172.jpg", "missing")


def test_the_tables_are_read_as_those_of_the_dicom_images(real, official_tables, tmp_path):
    for policy in ("any_malignant", "paper"):
        theirs = cbis_ddsm.read(
            official_tables, SourceOptions(label_policy=policy, cache=tmp_path / "headers.csv")
        )
        assert [f.clinical() for f in read(real, policy)] == [f.clinical() for f in theirs]


def test_nobody_is_named(real, sample):
    write_info(real, [{**row, "PatientName": "SMITH^JANE", "PatientID": "X"} for row in sample])
    assert "SMITH" not in str(read(real))


def test_listed_but_absent_and_present_but_not_listed(real, sample):
    for path in real.rglob("1-249.jpg"):
        path.rename(path.with_name("1-250.jpg"))
    assert not any(image.path for image in read(real))


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("SeriesDescription", "masks", "SeriesDescription 'masks' is not one of .empty., ROI mask"),
        ("Rows", "4e3", "Rows '4e3' is not a whole number of pixels"),
        ("SeriesInstanceUID", "", "SeriesInstanceUID is empty"),
        ("image_path", "", "image_path is empty"),
        ("image_path", "a/b.png", r"image_path 'a/b.png' is not .../<series>/<file>.jpg"),
    ],
)
def test_bad_values(column, value, message, real, sample):
    write_info(real, [sample[0], {**sample[1], column: value}])
    with pytest.raises(CallerError, match=f"dicom_info.csv line 3: {message}"):
        read(real)


def test_bad_tables(real, sample):
    write_info(real, [*sample, sample[0]])
    with pytest.raises(CallerError, match=r"dicom_info.csv lists 1.3.6.*/1-172.jpg twice"):
        read(real)
    write_info(real, [{k: v for k, v in row.items() if k != "Rows"} for row in sample])
    with pytest.raises(CallerError, match=r"dicom_info.csv has no column 'Rows'"):
        read(real)
    (real / "csv" / cbis_kaggle.INFO).unlink()
    with pytest.raises(CallerError, match=r"holds no dicom_info.csv; .*--dataset=cbis_ddsm for"):
        read(real)
    (real / "csv" / cbis_ddsm.TABLES[2][0]).unlink()
    with pytest.raises(CallerError, match=r"holds no calc_case_description_test_set.csv"):
        read(real)


def test_suffixes_do_not_decide_and_copies_are_one_image(real):
    (path,) = real.rglob("1-249.jpg")
    path.with_name("1-249 (1).jpg").write_bytes(path.read_bytes())
    again = real / "again" / path.parent.name
    again.mkdir(parents=True)
    (again / path.name).write_bytes(path.read_bytes())
    path.rename(path.with_suffix(".JPG"))
    assert [image.path[-10:] for image in read(real) if image.path] == ["/1-249.JPG"]
