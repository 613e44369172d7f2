"""Tests of VinDr-Mammo on tables of the published form."""

from __future__ import annotations

import collections
import csv
import pathlib

import numpy as np
import pytest

from beam_jobs import splits
from beam_jobs.sources import source_row as image_table
from beam_jobs.sources import vindr
from records.errors import CallerError

IMAGE = np.arange(6, dtype=np.uint16).reshape(2, 3)
BREASTS = """\
study_id,series_id,image_id,laterality,view_position,height,width,breast_birads,breast_density,split
s1,r1,i1,R,CC,3518,2800,BI-RADS 2,DENSITY C,training
s1,r1,i2,L,CC,3518,2800,BI-RADS 4,DENSITY C,training
s1,r1,i3,R,MLO,3518,2800,BI-RADS 2,DENSITY C,training
s1,r1,i4,L,MLO,3518,2800,BI-RADS 4,DENSITY C,training
s2,r2,i5,L,MLO,3580,2706,BI-RADS 1,DENSITY A,test
s3,r3,i6,L,MLO,3580,2706,BI-RADS 5,DENSITY D,training
s4,r4,i7,R,MLO,3580,2706,BI-RADS 5,,training
"""
FINDINGS = """\
image_id,study_id,series_id,laterality,view_position,height,width,breast_birads,breast_density,\
finding_categories,finding_birads,xmin,ymin,xmax,ymax,split
i1,s1,r1,R,CC,3518,2800,BI-RADS 2,DENSITY C,['No Finding'],,,,,,training
i2,s1,r1,L,CC,3518,2800,BI-RADS 4,DENSITY C,['Mass'],BI-RADS 4,2355.139893,1731.640015,\
2482.97998,1852.75,training
i2,s1,r1,L,CC,3518,2800,BI-RADS 4,DENSITY C,"['Suspicious Calcification', 'Mass']",BI-RADS 3,\
1,2,3,4,training
i5,s2,r2,L,MLO,3580,2706,BI-RADS 1,DENSITY A,['Skin Thickening'],,10,20,30,40,test
"""


@pytest.fixture
def data(tmp_path, write_dicom) -> pathlib.Path:
    folder = tmp_path / "1.0.0"
    write_dicom(folder / "images" / "s1" / "i2.dicom", IMAGE)
    write_dicom(folder / "images" / "s9" / "i9.dicom", IMAGE)
    (folder / "breast-level_annotations.csv").write_text(BREASTS)
    (folder / "finding_annotations.csv").write_text(FINDINGS)
    return tmp_path


def test_images(data):
    images = {image.image_id: image for image in vindr.read(data)}
    assert len(images) == 7
    assert {image.pathology for image in images.values()} == {""}
    image = images["i2"]
    assert (image.patient_id, image.side, image.view, image.official_split) == (
        "s1",
        "left",
        "CC",
        "train",
    )
    assert (image.assessment, image.density, image.label) == ("4", "C", "BI-RADS 4")
    assert (image.abnormality, image.abnormalities) == ("mass+calcification", 2)
    assert image.path == "1.0.0/images/s1/i2.dicom"
    assert (images["i1"].abnormality, images["i1"].abnormalities) == ("", 0)
    assert (images["i5"].official_split, images["i5"].abnormality) == ("test", "skin thickening")
    assert (images["i7"].density, images["i7"].path) == ("", "")


def test_boxes_stand_in_the_table_of_lesions(data, tmp_path):
    image_table.write_lesions(tmp_path / "lesions.csv", vindr.read(data))
    with (tmp_path / "lesions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["image_id"], r["lesion_id"], r["abnormality"], r["assessment"]) for r in rows] == [
        ("i2", "1", "mass", "4"),
        ("i2", "2", "calcification+mass", "3"),
        ("i5", "1", "skin thickening", ""),
    ]
    assert [row["box"] for row in rows] == [
        "2355.1,1731.6,2483.0,1852.8",
        "1.0,2.0,3.0,4.0",
        "10.0,20.0,30.0,40.0",
    ]


def test_official_split(data):
    images = splits.assign(
        vindr.read(data),
        split_policy="official",
        leak_policy="fail",
        folds=2,
        test_fraction=0.2,
        seed=1,
    )
    assert [image.image_id for image in images if image.split == "test"] == ["i5"]
    assert len({image.split for image in images if image.patient_id == "s1"}) == 1
    plan = splits.summarise(images, split_policy="official", record_bytes=1)
    labels = sum(
        (collections.Counter(split["labels"]) for split in plan["splits"].values()),
        collections.Counter(),
    )
    assert labels == {"BI-RADS 1": 1, "BI-RADS 2": 2, "BI-RADS 4": 2, "BI-RADS 5": 2}


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("breast-level", "i1,R,", "i1,U,", "line 2: laterality 'U' is not one of L, R"),
        ("breast-level", "BI-RADS 1,", "1,", "line 6: breast_birads '1' is not one of BI-RADS 0"),
        ("breast-level", "DENSITY A", "A", "line 6: breast_density 'A' is not one of"),
        ("breast-level", ",test", ",validation", "line 6: split 'validation' is not one of test"),
        ("breast-level", "r1,i2", "r1,i1", "lists i1 twice"),
        ("finding", "['Mass']", "Mass", "line 3: finding_categories 'Mass' is not a list"),
        ("finding", "['Mass']", "['Cyst']", "line 3: finding_categories 'Cyst' is not one of Mass"),
        ("finding", "['Mass']", "[]", r"line 3: finding_categories '\[\]' is not a list"),
        ("finding", "1852.75", "", "line 3: ymax '' is not a number of pixels"),
        ("finding", "i5,s2", "i8,s2", "has image_id i8, which breast-level_annotations.csv does"),
        ("finding", "finding_birads", "birads", "has no column 'finding_birads'"),
    ],
)
def test_bad_tables(name, old, new, message, data):
    path = next((data / "1.0.0").glob(f"{name}*.csv"))
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(CallerError, match=f"{path.name} {message}"):
        vindr.read(data)


@pytest.mark.parametrize("name", ["breast-level_annotations.csv", "finding_annotations.csv"])
def test_missing_table(name, data):
    (data / "1.0.0" / name).unlink()
    with pytest.raises(CallerError, match=f"holds no {name}; give the folder of the release"):
        vindr.read(data)


def test_suffixes_do_not_decide(data):
    (path,) = data.rglob("i2.dicom")
    path.with_name("i2 (1).dicom").write_bytes(path.read_bytes())
    path.rename(path.with_name("i2.DICOM"))
    assert [image.path for image in vindr.read(data) if image.path] == ["1.0.0/images/s1/i2.DICOM"]
