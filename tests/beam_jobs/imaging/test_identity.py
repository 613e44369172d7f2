"""Tests of what a header says its file shows."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset

from beam_jobs.imaging import dicom_file
from beam_jobs.imaging.dicom_file import Identity
from tests import make

IMAGE = np.arange(6, dtype=np.uint16).reshape(2, 3)


def code(meaning: str) -> Dataset:
    item = Dataset()
    item.CodeMeaning = meaning
    return item


def test_identity(tmp_path, write_dicom):
    path = write_dicom(
        tmp_path / "1-1.dcm",
        IMAGE,
        series_uid="1.2.3",
        patient_id="D1-0001",
        ImageLaterality="R",
        ViewCodeSequence=[code("medio-lateral oblique")],
        SeriesDescription="ROI mask images",
        PatientName="SMITH^JANE",
    )
    assert dicom_file.read_identity(path) == Identity(
        "1.2.3",
        "D1-0001",
        side="right",
        view="MLO",
        content="mask",
        rows=2,
        columns=3,
        sop_uid=make.SOP_UID,
        modality="MG",
        intent="presentation",
    )


def test_absent_and_empty_elements(tmp_path, write_dicom):
    stated = {"sop_uid": make.SOP_UID, "modality": "MG", "intent": "presentation"}
    sized = Identity("", "", **stated, rows=2, columns=3)
    path = write_dicom(tmp_path / "1.dcm", IMAGE, series_uid=None, patient_id=None)
    assert dicom_file.read_identity(path) == sized
    path = write_dicom(tmp_path / "2.dcm", IMAGE, series_uid="", patient_id="", ViewCodeSequence=[])
    assert dicom_file.read_identity(path) == sized
    path = write_dicom(tmp_path / "3.dcm", None, series_uid=None, patient_id=None)
    assert dicom_file.read_identity(path) == Identity("", "", **stated)


@pytest.mark.parametrize(
    ("position", "view"), [("MLO", "MLO"), ("XCCL", "XCCL"), ("SMITH^JANE", ""), ("", "")]
)
def test_view_position_where_there_is_no_code(position, view, tmp_path, write_dicom):
    path = write_dicom(tmp_path / "1.dcm", IMAGE, ViewPosition=position)
    assert dicom_file.read_identity(path).view == view
    coded = {"ViewPosition": position, "ViewCodeSequence": [code("medio-lateral")]}
    path = write_dicom(tmp_path / "2.dcm", IMAGE, **coded)
    assert dicom_file.read_identity(path).view == "ML"


@pytest.mark.parametrize(
    ("meaning", "view"),
    [
        ("cranio-caudal", "CC"),
        ("Cranio-Caudal ", "CC"),
        ("caudo-cranial (from below)", "FB"),
        ("JANE SMITH", ""),
    ],
)
def test_only_listed_words_are_kept(meaning, view, tmp_path, write_dicom):
    path = write_dicom(
        tmp_path / "1.dcm",
        IMAGE,
        ImageLaterality="B",
        ViewCodeSequence=[code(meaning)],
        SeriesDescription="mammogram of Jane Smith",
    )
    got = dicom_file.read_identity(path)
    assert (got.side, got.view, got.content) == ("", view, "")


@pytest.mark.parametrize(
    ("tags", "side", "medium"),
    [
        ({"Laterality": "L"}, "left", "digital"),
        ({"Laterality": "B"}, "", "digital"),
        ({"Laterality": "L", "ImageLaterality": "R"}, "right", "digital"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.2.1"}, "", "digital"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "", "secondary"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1"}, "", ""),
    ],
)
def test_origin(tags, side, medium, tmp_path, write_dicom):
    """CBIS-DDSM is secondary capture with a Laterality; computed radiography is neither medium."""
    path = write_dicom(tmp_path / "1.dcm", IMAGE, StudyInstanceUID="1.2.9", **tags)
    assert dicom_file.read_origin(path) == dicom_file.Origin(medium)
    got = dicom_file.read_identity(path)
    assert (got.study_uid, got.sop_uid, got.side) == ("1.2.9", make.SOP_UID, side)
    (tmp_path / "2.dcm").write_bytes(path.read_bytes()[:200])
    assert dicom_file.read_origin(tmp_path / "2.dcm") == dicom_file.Origin()
