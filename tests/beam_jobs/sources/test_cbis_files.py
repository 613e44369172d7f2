"""Tests of masks and crops of CBIS-DDSM: normal, swapped, misfit, missing."""

from __future__ import annotations

import csv
import pathlib

import numpy as np
import pytest

from beam_jobs.sources import cbis_ddsm, data_files
from beam_jobs.sources import source_row as image_table
from beam_jobs.sources.cbis_files import RoiPath
from beam_jobs.sources.source_options import SourceOptions
from records.errors import CallerError

IMAGE = np.arange(40 * 20, dtype=np.uint16).reshape(40, 20)
MASK = np.zeros((40, 20), np.uint8)
MASK[5:9, 7:12] = 255
CROP = IMAGE[5:9, 7:12]
MISFIT = np.zeros((46, 23), np.uint8)
FOLDER = "Mass-Training_P_00001_LEFT_CC"
HEADER = [
    "patient_id",
    "breast_density",
    "left or right breast",
    "image view",
    "abnormality id",
    "abnormality type",
    "mass shape",
    "mass margins",
    "assessment",
    "pathology",
    "subtlety",
    "image file path",
    "cropped image file path",
    "ROI mask file path",
]


def row(number: int, *, mask: str = "5.{}/000001.dcm", crop: str = "5.{}/000000.dcm", **changes):
    """A lesion as the mass table has it; the calc table swaps the numbers of mask and crop."""
    cells = (
        f"P_00001,2,LEFT,CC,{number},mass,OVAL,N/A,4,BENIGN,3,{FOLDER}/9.9/1.1/000000.dcm,"
        f"{FOLDER}_{number}/9.{number}/{crop},{FOLDER}_{number}/9.{number}/{mask}\n"
    ).format(number, number)
    named = dict(zip(HEADER, cells.split(","), strict=True))
    return {**named, **changes}


def write_tables(folder: pathlib.Path, rows) -> pathlib.Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, _ in cbis_ddsm.TABLES:
        with (folder / name).open("w", newline="") as stream:
            writer = csv.DictWriter(stream, HEADER)
            writer.writeheader()
            writer.writerows(rows if name.startswith("mass") and "train" in name else ())
    return folder


@pytest.fixture
def read(tmp_path, write_dicom):
    """`read(rows, files)`: rois of the image, of files as (path, pixels, series, description)."""

    def read(rows, files, image=IMAGE):
        data = write_tables(tmp_path / "data", rows)
        if image is not None:
            write_dicom(data / FOLDER / "1-1.dcm", image, series_uid="1.1", patient_id=FOLDER)
        for path, pixels, series, description in files:
            write_dicom(
                data / path,
                pixels,
                bits_stored=8 * pixels.dtype.itemsize,
                series_uid=series,
                patient_id=f"{FOLDER}_1",
                **({} if description is None else {"SeriesDescription": description}),
            )
        (listed,) = cbis_ddsm.read(
            data, SourceOptions(label_policy="any_malignant", cache=tmp_path / "headers.csv")
        )
        return listed.rois

    return read


IS_MASK, IS_CROP = "ROI mask images", "cropped images"


def outcome(roi):
    return roi.mask, roi.mask_status, roi.crop


def test_as_the_table_says(read):
    (roi,) = read(
        [row(1)],
        [("x/1-1.dcm", CROP, "5.1", IS_CROP), ("x/1-2.dcm", MASK, "5.1", IS_MASK)],
    )
    assert outcome(roi) == ("x/1-2.dcm", "ok", "x/1-1.dcm")
    assert (roi.mask_height, roi.mask_width) == (40, 20)
    assert (roi.lesion_id, roi.copy, roi.lesion.mass_shape) == ("1", FOLDER, "OVAL")


@pytest.mark.parametrize("described", [True, False])
def test_swapped(described, read):
    words = (IS_MASK, IS_CROP) if described else (None, None)
    (roi,) = read(
        [row(1)],
        [("x/1-1.dcm", MASK, "5.1", words[0]), ("x/1-2.dcm", CROP, "5.1", words[1])],
    )
    assert outcome(roi) == ("x/1-1.dcm", "swapped", "x/1-2.dcm")


def test_names_of_the_tables_are_taken_where_files_bear_them(read):
    (roi,) = read(
        [row(1, mask="5.{}/000000.dcm", crop="5.{}/000001.dcm")],  # as a calc table
        [("x/000000.dcm", MASK, "5.1", IS_MASK), ("x/000001.dcm", CROP, "5.1", IS_CROP)],
    )
    assert outcome(roi) == ("x/000000.dcm", "ok", "x/000001.dcm")


@pytest.mark.parametrize(
    ("first", "second", "status"),
    [(CROP, MISFIT, "size_misfit"), (MISFIT, CROP, "swapped+size_misfit")],
)
def test_misfit(first, second, status, read):
    (roi,) = read([row(1)], [("x/1-1.dcm", first, "5.1", None), ("x/1-2.dcm", second, "5.1", None)])
    assert roi.mask_status == status
    assert (roi.mask_height, roi.mask_width) == (46, 23)
    assert roi.crop


def test_mask_and_crop_in_series_of_their_own(read):
    """104 lesions of the official tables; both files are called 000000.dcm there."""
    rows = [row(1, mask="5.2/000000.dcm", crop="5.1/000000.dcm")]
    (roi,) = read(rows, [("a/1-1.dcm", CROP, "5.1", IS_CROP), ("b/1-1.dcm", MASK, "5.2", IS_MASK)])
    assert outcome(roi) == ("b/1-1.dcm", "ok", "a/1-1.dcm")


def test_series_of_their_own_swapped(read):
    rows = [row(1, mask="5.2/000000.dcm", crop="5.1/000000.dcm")]
    (roi,) = read(rows, [("a/1-1.dcm", MASK, "5.1", None), ("b/1-1.dcm", CROP, "5.2", None)])
    assert outcome(roi) == ("a/1-1.dcm", "swapped", "b/1-1.dcm")


def test_missing(read):
    assert outcome(read([row(1)], [])[0]) == ("", "missing", "")
    (roi,) = read([row(1)], [("x/1-1.dcm", CROP, "5.1", IS_CROP)])
    assert outcome(roi) == ("", "missing", "x/1-1.dcm")
    (roi,) = read([row(1)], [("x/1-1.dcm", MASK, "5.1", None)])  # as large as its image
    assert roi.mask == "x/1-1.dcm"
    assert roi.crop == ""


def test_without_the_image_sizes_can_not_be_checked(read):
    (roi,) = read(
        [row(1)],
        [("x/1-1.dcm", CROP, "5.1", IS_CROP), ("x/1-2.dcm", MASK, "5.1", IS_MASK)],
        image=None,
    )
    assert outcome(roi) == ("x/1-2.dcm", "unchecked", "x/1-1.dcm")


def test_files_without_series_are_found_by_folder(read):
    (roi,) = read(
        [row(1)],
        [(f"{FOLDER}_1/1-1.dcm", CROP, None, None), (f"{FOLDER}_1/1-2.dcm", MASK, None, None)],
    )
    assert outcome(roi) == (f"{FOLDER}_1/1-2.dcm", "ok", f"{FOLDER}_1/1-1.dcm")


def test_a_second_download_changes_nothing(read):
    (roi,) = read(
        [row(1)],
        [
            (f"{folder}/1-{number}.dcm", pixels, "5.1", None)
            for folder in ("a", "b")
            for number, pixels in ((1, CROP), (2, MASK))
        ],
    )
    assert outcome(roi) == ("a/1-2.dcm", "ok", "a/1-1.dcm")


def test_one_row_a_lesion(read, tmp_path):
    rows = [row(1), row(2, pathology="MALIGNANT", assessment="5")]
    read(rows, [("y/1-1.dcm", CROP, "5.2", IS_CROP), ("y/1-2.dcm", MASK, "5.2", IS_MASK)])
    images = cbis_ddsm.read(
        tmp_path / "data",
        SourceOptions(label_policy="any_malignant", cache=tmp_path / "headers.csv"),
    )
    image_table.write_lesions(tmp_path / "lesions.csv", images)
    with (tmp_path / "lesions.csv").open(newline="") as stream:
        got = list(csv.DictReader(stream))
    assert [(r["image_id"], r["lesion_id"], r["pathology"], r["mask_status"]) for r in got] == [
        ("P_00001_LEFT_CC", "1", "benign", "missing"),
        ("P_00001_LEFT_CC", "2", "malignant", "ok"),
    ]
    assert got[1]["path"] == f"{FOLDER}/1-1.dcm"
    assert got[1]["mask"] == "y/1-2.dcm"
    assert (got[1]["assessment"], got[1]["mask_height"], got[1]["mask_width"]) == ("5", "40", "20")
    assert images[0].pathology == "malignant"


def test_official_tables_name_a_mask_and_a_crop_for_every_lesion(official_tables, tmp_path):
    images = cbis_ddsm.read(
        official_tables, SourceOptions(label_policy="any_malignant", cache=tmp_path / "headers.csv")
    )
    rois = [roi for image in images for roi in image.rois]
    assert len(rois) == 2864 + 704
    assert {roi.mask_status for roi in rois} == {"missing"}
    assert len({(roi.copy, roi.lesion_id, roi.lesion.abnormality) for roi in rois}) == 3568


def test_official_series_are_those_of_the_manifest(official_tables):
    """Every series of the tables is in the manifest, and the other way round."""
    found = data_files.list_files(official_tables)
    rows = cbis_ddsm.read_tables(official_tables, found)
    manifest = (official_tables / "CBIS-DDSM-All-doiJNLP-zzWs5zfZ.tcia").read_text().split()
    listed = {line for line in manifest if line.startswith("1.3.6.")}
    assert len(listed) == 6775
    assert listed == {
        uid for row in rows for uid in (row.series_uid, row.mask.series_uid, row.crop.series_uid)
    }
    assert sum(row.mask.series_uid != row.crop.series_uid for row in rows) == 104


def test_bad_path(read):
    with pytest.raises(CallerError, match=r"line 2: mask or crop path is not <lesion>/<study>/"):
        read([row(1, **{"ROI mask file path": "somewhere"})], [])
    assert RoiPath.parse("") == RoiPath()


def test_copied_files_are_one(read, tmp_path):
    """`1-1 (1).dcm` beside `1-1.dcm`: what the table names by numbers keeps its place."""
    image = [(f"{FOLDER}/1-1 (1).dcm", IMAGE, "1.1", None)]
    crops = [(f"x/{name}", CROP, "5.1", IS_CROP) for name in ("1-1.dcm", "1-1 (1).dcm")]
    (roi,) = read([row(1)], [*image, *crops, ("x/1-2.dcm", MASK, "5.1", IS_MASK)])
    assert outcome(roi) == ("x/1-2.dcm", "ok", "x/1-1.dcm")
    (listed,) = cbis_ddsm.read(tmp_path / "data")
    assert listed.path == f"{FOLDER}/1-1.dcm"
