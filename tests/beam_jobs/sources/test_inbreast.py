"""Tests of INbreast on tables of the published form."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest

from beam_jobs import splits
from beam_jobs.sources import inbreast
from records.errors import CallerError

IMAGE = np.arange(6, dtype=np.uint16).reshape(2, 3)
HEADER = "Patient ID;Patient age;Laterality;View;Acquisition date;File Name;ACR;Bi-Rads"
ROWS = (
    "removed;removed;R;CC;201001;22678622;4;1",
    "removed;removed;L;CC;201001;22678646;4;3",
    "removed;removed;L;MLO;200801;24055445;1;4c",
    f"removed;removed;R;MLO;201001;53582540;{193 * ' '};1",
    "removed;removed;R;FB;200901;50994300;3;2",
    "removed;removed;R;MLO;201001;53581406;1;6",
)


@pytest.fixture
def data(tmp_path, write_dicom) -> pathlib.Path:
    folder = tmp_path / "INbreast Release 1.0"
    for name in (
        "22678622_61b13c59bcba149e_MG_R_CC_ANON",
        "22678646_61b13c59bcba149e_MG_L_CC_ANON",
        "24055445_ac3185e18ffdc7b6_MG_L_ML_ANON",
        "99999999_ac3185e18ffdc7b6_MG_L_ML_ANON",
    ):
        write_dicom(folder / "AllDICOMs" / f"{name}.dcm", IMAGE, series_uid=None, patient_id=None)
    write_table(folder, *ROWS)
    return tmp_path


def write_table(folder: pathlib.Path, *rows: str, header: str = HEADER) -> None:
    (folder / "INbreast.csv").write_bytes("".join(f"{r}\r\n" for r in (header, *rows)).encode())


def test_images(data):
    images = inbreast.read(data)
    assert [
        (f.image_id, f.patient_id, f.side, f.view, f.density, f.assessment) for f in images
    ] == [
        ("22678622", "61b13c59bcba149e", "right", "CC", "4", "1"),
        ("22678646", "61b13c59bcba149e", "left", "CC", "4", "3"),
        ("24055445", "ac3185e18ffdc7b6", "left", "MLO", "1", "4c"),
        ("53582540", "image_53582540", "right", "MLO", "", "1"),
        ("50994300", "image_50994300", "right", "FB", "3", "2"),
        ("53581406", "image_53581406", "right", "MLO", "1", "6"),
    ]
    assert images[0].path.endswith("AllDICOMs/22678622_61b13c59bcba149e_MG_R_CC_ANON.dcm")
    assert [bool(image.path) for image in images] == [True, True, True, False, False, False]
    assert {image.pathology for image in images} == {""}
    assert {image.abnormalities for image in images} == {0}


def test_breasts_of_a_patient_stay_together(tmp_path, write_dicom):
    rows, key_of = [], {}
    for number in range(160):
        side, view, grade = "LR"[number % 2], ("CC", "MLO")[number // 2 % 2], number // 4 % 5 + 1
        rows.append(f"removed;removed;{side};{view};201001;{20000000 + number};2;{grade}")
        key_of[str(20000000 + number)] = key = f"{number // 4:016x}"
        name = f"{20000000 + number}_{key}_MG_{side}_{view}_ANON.dcm"
        (tmp_path / name).write_bytes(b"")
    write_table(tmp_path, *rows)
    images = splits.assign(
        inbreast.read(tmp_path),
        split_policy="patient",
        leak_policy="fail",
        folds=4,
        test_fraction=0.2,
        seed=1,
    )
    assert {image.image_id: image.patient_id for image in images} == key_of
    assert {image.split for image in images} == {"fold0", "fold1", "fold2", "fold3", "test"}
    for key in key_of.values():
        assert len({image.split for image in images if image.patient_id == key}) == 1
    # every grade stands in the test set, though no image has a pathology
    assert {image.label for image in images if image.split == "test"} == {
        f"BI-RADS {grade}" for grade in range(1, 6)
    }


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("removed;removed;X;CC;201001;1;4;1", "line 2: Laterality 'X' is not one of L, R"),
        ("removed;removed;R;XCCL;201001;1;4;1", "line 2: View 'XCCL' is not one of CC, FB, MLO"),
        ("removed;removed;R;CC;201001;1;5;1", "line 2: ACR '5' is not one of"),
        ("removed;removed;R;CC;201001;1;4;4d", "line 2: Bi-Rads '4d' is not one of 0, 1"),
        ("removed;removed;R;CC;201001;1;4;", "line 2: Bi-Rads '' is not one of"),
        ("removed;removed;R;CC;201001;;4;1", "line 2: File Name is empty"),
        ("removed;removed;R;CC;201001;4;1", "line 2: 7 cells under a header of 8"),
    ],
)
def test_bad_rows(row, message, data):
    write_table(data / "INbreast Release 1.0", row)
    with pytest.raises(CallerError, match=f"INbreast.csv {message}"):
        inbreast.read(data)


def test_bad_tables(data):
    folder = data / "INbreast Release 1.0"
    write_table(folder, ROWS[0], ROWS[0])
    with pytest.raises(CallerError, match=r"INbreast.csv lists 22678622 twice"):
        inbreast.read(data)
    write_table(folder, *ROWS, header=HEADER.replace("View", "Sight"))
    with pytest.raises(CallerError, match="has no column 'View'"):
        inbreast.read(data)
    (folder / "INbreast.csv").unlink()
    with pytest.raises(CallerError, match=r"holds no INbreast.csv; give the folder of the release"):
        inbreast.read(data)


def test_renamed_images_have_lost_their_patient(data, write_dicom):
    write_dicom(data / "images" / "50994300.dcm", IMAGE)
    with pytest.raises(CallerError, match=r"images/50994300.dcm and 0 more are not named as dis"):
        inbreast.read(data)


def test_copies_are_one_image(data):
    (path,) = data.rglob("22678622_*.dcm")
    copy = path.with_name(f"{path.stem} (1).DCM")
    copy.write_bytes(path.read_bytes())
    assert inbreast.read(data)[0].path.endswith(path.name)
    path.unlink()  # the copy bears the patient's key as well
    assert inbreast.read(data)[0].path.endswith(copy.name)
    path.write_bytes(b"another")
    with pytest.raises(CallerError, match=r"different files for image 22678622: .*; keep one of"):
        inbreast.read(data)
