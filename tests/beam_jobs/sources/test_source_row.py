"""Tests of the image row: summing up lesions, and sources.csv."""

from __future__ import annotations

import csv
import dataclasses

import pytest

from beam_jobs.sources import source_row as image_table
from beam_jobs.sources.source_row import Lesion, SourceRow
from records import schema


def test_one_image_of_many_lesions():
    got = image_table.describe(
        [
            Lesion("benign", "mass", "3", "", mass_shape="OVAL", circle=(5, 6, 7)),
            Lesion("malignant", "calcification", "5", "2", calc_type="AMORPHOUS"),
            Lesion("benign", "mass", "2", "4", mass_shape="ROUND", circle=(8, 9, 1)),
            Lesion("benign", "mass", "2", "1", mass_shape="OVAL"),
        ]
    )
    assert got == {
        "pathology": "malignant",
        "abnormality": "mass+calcification",
        "assessment": "5",
        "subtlety": "4",
        "mass_shape": "OVAL+ROUND",
        "mass_margins": "",
        "calc_type": "AMORPHOUS",
        "calc_distribution": "",
        "abnormalities": 4,
        "circles": ((5, 6, 7), (8, 9, 1)),
    }


@pytest.mark.parametrize(
    ("pathologies", "worst", "count", "mixed"),
    [
        (["normal"], "normal", 0, False),
        (["benign", "benign"], "benign", 2, False),
        (["malignant", "benign"], "malignant", 2, True),
        (["malignant"], "malignant", 1, False),
        (["normal", "benign"], "benign", 1, False),
        (["no cancer", "normal"], "no cancer", 0, False),
        (["", ""], "", 0, False),
    ],
)
def test_worst_pathology(pathologies, worst, count, mixed):
    lesions = [Lesion(pathology, "mass") for pathology in pathologies]
    described = image_table.describe(lesions)
    assert (described["pathology"], described["abnormalities"]) == (worst, count)
    assert image_table.is_mixed(lesions) is mixed


@pytest.mark.parametrize(
    ("pathology", "assessment", "label"),
    [("benign", "4", "benign"), ("", "4a", "BI-RADS 4a"), ("", "", "not stated")],
)
def test_label(pathology, assessment, label):
    assert SourceRow("a", "P_1", "left", "CC", pathology, assessment=assessment).label == label


IMAGES = [
    SourceRow("a", "P_1", "left", "CC", "benign", split="fold0", path="x/é,1.dcm", bytes=9),
    SourceRow("b", "P_1", "right", "CC", "malignant", split="test", path="b.dcm"),
    SourceRow("c", "P_2", "left", "MLO", "normal", split="fold1"),
    SourceRow("d", "P_3", "left", "MLO", "benign", excluded="some policy", path="d.dcm"),
    SourceRow("e", "P_3", "left", "MLO", "benign", split="test", path="caf\udce9.dcm"),
]


def test_sources_have_one_row_a_image(tmp_path):
    path = tmp_path / "sources.csv"
    image_table.write_sources(path, IMAGES, {"b": "truncated"})
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = list(csv.DictReader(file))
    assert [(row["image_id"], row["status"], row["reason"]) for row in rows] == [
        ("a", "written", ""),
        ("b", "rejected", "truncated"),
        ("c", "missing", "no file found"),
        ("d", "excluded", "some policy"),
        ("e", "written", ""),
    ]
    assert [row["path"] for row in rows] == [image.path for image in IMAGES]
    assert [row["split"] for row in rows] == ["fold0", "test", "fold1", "", "test"]
    assert set(schema.CLINICAL_KEYS) < set(rows[0])
    assert path.read_bytes().count(b"\n") == 6


def test_clinical_columns_are_the_table_columns_of_a_record():
    got = dataclasses.replace(IMAGES[0], abnormalities=2, density="3").clinical()
    assert got["density"] == "3"
    assert got["abnormalities"] == 2
    assert tuple(got) == schema.CLINICAL_KEYS
    assert not {"split", "path", "bytes", "image"} & set(got)
