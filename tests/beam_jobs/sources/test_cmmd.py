"""Tests of CMMD on its real workbook, and on made images."""

from __future__ import annotations

import collections
import csv
import pathlib
import shutil

import numpy as np
import openpyxl
import pytest
from pydicom.dataset import Dataset

from beam_jobs import splits
from beam_jobs.sources import cmmd
from beam_jobs.sources.source_options import SourceOptions
from flags import datasets
from records.errors import CallerError

IMAGE = np.arange(6, dtype=np.uint8).reshape(2, 3)
HEADER = ("ID1", "LeftRight", "Age", "number", "abnormality", "classification", "subtype")
ROWS = [
    ("D1-0001", "R", 44, 2, "calcification", "Benign", None),
    ("D1-0087", "L", 51, 2, "mass", "Benign", None),
    ("D1-0087", "R", 51, 2, "both", "Malignant", None),
    ("D2-0032", "L", 47, 2, "both", "Malignant", "Luminal A"),
]
VIEWS = {"CC": "cranio-caudal", "MLO": "medio-lateral oblique"}


def read(folder: pathlib.Path, tmp_path: pathlib.Path, **how):
    return cmmd.read(folder, SourceOptions(cache=tmp_path / "cache" / "headers.csv", **how))


@pytest.fixture(scope="module")
def workbook(shared_data) -> pathlib.Path:
    return shared_data / "cmmd" / cmmd.TABLE


@pytest.fixture
def write_image(tmp_path, write_dicom):
    """`write_image(patient, number, side, view)` in the layout of the download."""

    def write(patient: str, number: int, side: str | None, view: str | None, **how):
        code = Dataset()
        code.CodeMeaning = VIEWS.get(view, view)
        tags = {} if side is None else {"ImageLaterality": side}
        if view is not None:
            tags["ViewCodeSequence"] = [code]
        folder = tmp_path / "data" / "CMMD" / patient / "07-18-2010-NA-NA-49231"
        return write_dicom(
            folder / "1.000000-NA-45313" / f"1-{number}.dcm",
            IMAGE,
            **{
                "bits_stored": 8,
                "series_uid": f"1.2.{int(patient[1:2])}.{int(patient[-4:])}",
                "patient_id": patient,
                **tags,
                **how,
            },
        )

    return write


def write_workbook(folder: pathlib.Path, rows, header=HEADER) -> pathlib.Path:
    folder.mkdir(parents=True, exist_ok=True)
    book = openpyxl.Workbook()
    book.active.title = "Sheet1"
    for row in (header, *rows):
        book.active.append(row)
    book.save(folder / cmmd.TABLE)
    return folder


@pytest.fixture
def data(tmp_path) -> pathlib.Path:
    return write_workbook(tmp_path / "data", ROWS)


def test_published_counts(workbook, tmp_path):
    """Against a second reading of the workbook, by cells."""
    sheet = openpyxl.load_workbook(workbook)["Sheet1"]
    assert tuple(cell.value for cell in sheet[1]) == HEADER
    cells = list(sheet.iter_rows(min_row=2, values_only=True))
    classes = collections.Counter(row[5] for row in cells)
    assert classes == {"Malignant": 1316, "Benign": 556}
    data = tmp_path / "data"
    data.mkdir()
    shutil.copy(workbook, data)
    images = read(data, tmp_path)
    assert len(images) == datasets.DATASETS["cmmd"].images == 2 * len(cells)
    patients = {image.patient_id for image in images}
    assert patients == {row[0] for row in cells}
    assert len(patients) == datasets.DATASETS["cmmd"].patients == 1775
    sides = {(image.patient_id, image.side): image for image in images}
    assert len(sides) == 1872
    pathologies = collections.Counter(image.pathology for image in sides.values())
    assert pathologies == {"malignant": 1316, "benign": 556}
    kinds = collections.Counter(image.abnormality for image in sides.values())
    assert kinds == {"mass": 1149, "mass+calcification": 461, "calcification": 262}
    for row in cells:
        image = sides[row[0], {"L": "left", "R": "right"}[row[1]]]
        assert image.pathology == row[5].lower()
    assert len({image.image_id for image in images}) == len(images)


def test_images_without_a_row_by_the_published_digest(workbook, tmp_path):
    """The download has 5,202 images: 3,744 of breasts in the table, the others have no label."""
    with (workbook.parent / "metadata.csv").open(newline="") as file:
        images = {row["Subject ID"]: int(row["Number of Images"]) for row in csv.DictReader(file)}
    data = tmp_path / "data"
    data.mkdir()
    shutil.copy(workbook, data)
    listed = collections.Counter(image.patient_id for image in read(data, tmp_path))
    assert listed.keys() == images.keys()
    assert sum(images.values()) == 5202
    without = {patient: images[patient] - listed[patient] for patient in images}
    assert set(without.values()) == {0, 2}
    assert sum(without.values()) == 1458


def test_labels_go_by_breast(data, tmp_path, write_image):
    write_image("D1-0087", 1, "L", "CC")
    write_image("D1-0087", 2, "L", "MLO")
    write_image("D1-0087", 3, "R", "CC")
    write_image("D1-0087", 4, "R", "MLO")
    images = {image.image_id: image for image in read(data, tmp_path) if image.path}
    assert {name: (image.pathology, image.path[-7:]) for name, image in images.items()} == {
        "D1-0087_L_CC": ("benign", "1-1.dcm"),
        "D1-0087_L_MLO": ("benign", "1-2.dcm"),
        "D1-0087_R_CC": ("malignant", "1-3.dcm"),
        "D1-0087_R_MLO": ("malignant", "1-4.dcm"),
    }
    assert images["D1-0087_R_CC"].abnormality == "mass+calcification"
    assert images["D1-0087_R_CC"].side == "right"
    assert images["D1-0087_R_CC"].view == "CC"


def test_images_without_label_are_listed_and_left_out(data, tmp_path, write_image):
    write_image("D2-0032", 1, "L", "CC")
    write_image("D2-0032", 2, "R", "CC")
    write_image("D2-0032", 3, None, "MLO")
    write_image("D9-0001", 1, "R", "MLO")
    images = {
        image.path.rpartition("CMMD/")[2]: image for image in read(data, tmp_path) if image.path
    }
    reasons = {path[:7] + path[-8:]: image.excluded for path, image in images.items()}
    assert reasons == {
        "D2-0032/1-1.dcm": "",
        "D2-0032/1-2.dcm": "table: no row for this breast",
        "D2-0032/1-3.dcm": "header: no ImageLaterality (0020,0062)",
        "D9-0001/1-1.dcm": "table: no row for this patient",
    }
    assert all(image.pathology == "" for image in images.values() if image.excluded)
    # a patient the workbook does not know may be a name
    assert "D9-0001" not in (tmp_path / "cache" / "headers.csv").read_text().replace("D9-0001/", "")


def test_missing_images_are_listed(data, tmp_path, write_image):
    write_image("D1-0001", 1, "R", "MLO")
    images = [image for image in read(data, tmp_path) if image.patient_id == "D1-0001"]
    assert [(image.image_id, bool(image.path)) for image in images] == [
        ("D1-0001_R_MLO", True),
        ("D1-0001_R_CC", False),
    ]


def test_two_images_of_one_view_and_a_second_download(data, tmp_path, write_image):
    write_image("D1-0001", 1, "R", "MLO")
    write_image("D1-0001", 2, "R", "MLO")
    shutil.copytree(tmp_path / "data" / "CMMD", tmp_path / "data" / "again")
    images = [image for image in read(data, tmp_path) if image.patient_id == "D1-0001"]
    assert [(image.image_id, image.path[:4], image.path[-7:]) for image in images] == [
        ("D1-0001_R_MLO", "CMMD", "1-1.dcm"),
        ("D1-0001_R_MLO_2", "CMMD", "1-2.dcm"),
    ]


def test_a_view_the_header_does_not_state(data, tmp_path, write_image):
    write_image("D1-0001", 1, "R", None)
    write_image("D1-0001", 2, "R", "JANE SMITH")
    images = [image for image in read(data, tmp_path) if image.patient_id == "D1-0001"]
    assert [(f.image_id, f.view, f.pathology) for f in images] == [
        ("D1-0001_R", "", "benign"),
        ("D1-0001_R_2", "", "benign"),
    ]


def test_nobody_is_named(data, tmp_path, write_image):
    write_image("D1-0001", 1, "R", "CC", patient_id="SMITH^JANE", PatientName="SMITH^JANE")
    images = read(data, tmp_path)
    assert "SMITH" not in str(images) + (tmp_path / "cache" / "headers.csv").read_text()


def test_headers_are_read_once(data, tmp_path, write_image):
    write_image("D1-0001", 1, "R", "CC")
    seen = []
    first = read(data, tmp_path, report=lambda *n: seen.append(n))
    assert read(data, tmp_path, report=lambda *n: seen.append(n)) == first
    assert seen == [(1, 1)]


def test_patients_are_never_split(workbook, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    shutil.copy(workbook, data)
    images = splits.assign(
        read(data, tmp_path),
        split_policy="patient",
        leak_policy="fail",
        folds=4,
        test_fraction=0.2,
        seed=111,
    )
    by_patient = collections.defaultdict(set)
    for image in images:
        by_patient[image.patient_id].add(image.split)
    assert all(len(found) == 1 for found in by_patient.values())
    test = [image.pathology for image in images if image.split == "test"]
    assert len(test) / len(images) == pytest.approx(0.2, abs=0.01)
    assert test.count("malignant") / len(test) == pytest.approx(1316 / 1872, abs=0.02)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("D1-0001", "B", 1, 2, "mass", "Benign", None), "row 2: LeftRight 'B' is not one of L, R"),
        (("D1-0001", "L", 1, 2, "cyst", "Benign", None), "row 2: abnormality 'cyst' is not one of"),
        (("D1-0001", "L", 1, 2, "mass", None, None), "row 2: classification '' is not one of Ben"),
        ((None, "L", 1, 2, "mass", "Benign", None), "row 2: ID1 is empty"),
    ],
)
def test_bad_rows(row, message, data, tmp_path):
    write_workbook(data, [row, *ROWS])
    with pytest.raises(CallerError, match=f"{cmmd.TABLE} {message}"):
        read(data, tmp_path)


def test_bad_workbooks(data, tmp_path):
    write_workbook(data, [*ROWS, ROWS[0]])
    with pytest.raises(CallerError, match=r"lists D1-0001 right twice; keep one row"):
        read(data, tmp_path)
    write_workbook(data, ROWS, header=("ID", *HEADER[1:]))
    with pytest.raises(CallerError, match=r"no column 'ID1'; its header is ID, LeftRight"):
        read(data, tmp_path)
    (data / cmmd.TABLE).write_text("ID1,LeftRight")
    with pytest.raises(CallerError, match=r"revision.xlsx has no column 'abnormality'"):
        read(data, tmp_path)
    (data / cmmd.TABLE).unlink()
    with pytest.raises(CallerError, match=r"holds no CMMD_clinicaldata_revision.xlsx; put it"):
        read(data, tmp_path)
