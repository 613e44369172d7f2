"""Tests of RSNA 2023 on tables of the published form."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest

from beam_jobs.sources import rsna
from records.errors import CallerError

IMAGE = np.arange(6, dtype=np.uint16).reshape(2, 3)
HEADER = (
    "site_id,patient_id,image_id,laterality,view,age,cancer,biopsy,invasive,BIRADS,implant,density,"
    "machine_id,difficult_negative_case\n"
)
ROWS = """\
2,10006,462822612,L,CC,61.0,0,0,0,,0,,29,False
2,10006,1459541791,L,MLO,61.0,0,0,0,,0,,29,False
1,10130,388811999,R,AT,71.0,0,1,0,0.0,0,B,49,True
1,10130,1360338805,L,MLO,71.0,1,1,1,0,0,B,49,False
1,10432,1672636630,R,LMO,,0,0,0,2.0,1,D,49,False
"""


@pytest.fixture
def data(tmp_path, write_dicom) -> pathlib.Path:
    folder = tmp_path / "rsna-breast-cancer-detection"
    write_dicom(folder / "train_images" / "10006" / "462822612.dcm", IMAGE)
    write_dicom(folder / "train_images" / "10130" / "1360338805.dcm", IMAGE)
    write_dicom(folder / "test_images" / "10008" / "736471439.dcm", IMAGE)
    (folder / "train.csv").write_text(HEADER + ROWS)
    return tmp_path


def test_images(data):
    images = rsna.read(data)
    got = [(f.image_id, f.side, f.view, f.pathology, f.assessment, f.density) for f in images]
    assert got == [
        ("10006_462822612", "left", "CC", "no cancer", "", ""),
        ("10006_1459541791", "left", "MLO", "no cancer", "", ""),
        ("10130_388811999", "right", "AT", "benign", "0", "B"),
        ("10130_1360338805", "left", "MLO", "malignant", "0", "B"),
        ("10432_1672636630", "right", "LMO", "no cancer", "2", "D"),
    ]
    assert [image.path.rpartition("train_images/")[2] for image in images] == [
        "10006/462822612.dcm",
        "",
        "",
        "10130/1360338805.dcm",
        "",
    ]
    assert [image.age for image in images] == ["61", "61", "71", "71", ""]
    assert not any(image.official_split for image in images)
    # an image no row lists, of the test set, has no label
    assert not any("736471439" in image.path for image in images)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",L,CC,", ",B,CC,", "line 2: laterality 'B' is not one of L, R"),
        (",L,CC,", ",L,cc,", "line 2: view 'cc' is not a code such as CC"),
        ("61.0,0,0,0,,0,,29", "61.0,,0,0,,0,,29", "line 2: cancer '' is not one of 0, 1; and 1 m"),
        ("0.0,0,B", "7,0,B", "line 4: BIRADS '7' is not one of"),
        ("MLO,71.0", "MLO,7.5", "line 5: age '7.5' is not years from 1 to 120"),
        (",D,49", ",E,49", "line 6: density 'E' is not one of"),
        ("1459541791", "462822612", "lists 10006_462822612 twice"),
        ("2,10006,4", "2,,4", "line 2: patient_id is empty"),
    ],
)
def test_bad_values(old, new, message, data):
    (data / "rsna-breast-cancer-detection" / "train.csv").write_text(
        HEADER + ROWS.replace(old, new)
    )
    with pytest.raises(CallerError, match=f"train.csv .*{message}|train.csv {message}"):
        rsna.read(data)


def test_what_is_no_such_folder(data, tmp_path):
    table = data / "rsna-breast-cancer-detection" / "train.csv"
    # the columns of test.csv
    table.write_text("site_id,patient_id,image_id,laterality,view,age,implant,machine_id\n")
    with pytest.raises(CallerError, match="no column 'cancer', 'biopsy', 'BIRADS', 'density'"):
        rsna.read(data)
    table.unlink()
    with pytest.raises(CallerError, match=r"holds no train.csv; give the folder of the competiti"):
        rsna.read(data)


@pytest.mark.parametrize("suffix", [".DCM", ""])
def test_suffixes_do_not_decide(suffix, data):
    for path in list(data.rglob("*.dcm")):
        path.rename(path.with_suffix(suffix))
    found = [image.path for image in rsna.read(data) if image.path]
    assert [path.rpartition("/")[2] for path in found] == [
        f"462822612{suffix}",
        f"1360338805{suffix}",
    ]


@pytest.mark.parametrize(
    "name", ["{0}_{1}.jpg", "{0}_{1}.png", "{0}/{1}.JPEG", "{0}/{1}.png", "images_256/{0}/{1}.jpg"]
)
def test_exports_are_found_as_people_name_them(name, tmp_path):
    files = [name.format("10006", "462822612"), name.format("10130", "1360338805")]
    for path in [tmp_path / file for file in (*files, "10006.jpg", "462822612.jpg")]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(path.name.encode())
    (tmp_path / "train.csv").write_text(HEADER + ROWS)
    assert [image.path for image in rsna.read(tmp_path) if image.path] == files
    # the original beside its export: which is meant would be a guess
    (tmp_path / "train_images" / "10006").mkdir(parents=True)
    (tmp_path / "train_images" / "10006" / "462822612.dcm").write_bytes(b"DICM")
    with pytest.raises(CallerError, match=r"different files for 10006.462822612: .*; keep one"):
        rsna.read(tmp_path)


def test_the_shared_exports_are_all_found(shared_data):
    images = rsna.read(shared_data / "rsna")
    assert len(images) == 2750
    assert all(image.path for image in images)
    assert sum(image.pathology == "malignant" for image in images) == 929
    assert len({image.patient_id for image in images}) == 816


def test_copies_are_one_image_and_others_are_refused(data, write_dicom):
    (original,) = data.rglob("462822612.dcm")
    again = data / "again" / "train_images" / "10006" / "462822612.dcm"
    again.parent.mkdir(parents=True)
    again.write_bytes(original.read_bytes())
    original.with_name("462822612 (1).dcm").write_bytes(original.read_bytes())
    (first, *_) = rsna.read(data)
    assert first.path == "again/train_images/10006/462822612.dcm"
    write_dicom(again, IMAGE + 1)
    with pytest.raises(CallerError, match=r"different files for 10006/462822612: again/.*; keep"):
        rsna.read(data)
