"""Tests of what a conversion does with what DICOM headers say: kinds of images, contradictions."""

from __future__ import annotations

import csv
import pathlib

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    DigitalMammographyXRayImageStorageForProcessing,
    SecondaryCaptureImageStorage,
)

from beam_jobs import header_policies
from beam_jobs.imaging.dicom_file import Identity
from beam_jobs.sources.source_row import SourceRow
from tests import make

PIXELS = (np.indices((24, 18)).sum(axis=0) * 90).astype(np.uint16)
RAW = {"SOPClassUID": DigitalMammographyXRayImageStorageForProcessing}


def view(modifier: str = "") -> dict[str, list[Dataset]]:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator = "399162004", "SCT"
    if modifier:
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator = modifier, "SRT"
        code.ViewModifierCodeSequence = [item]
    return {"ViewCodeSequence": [code]}


def convert(folder, *arguments: str, files: dict[str, dict], rows: str = ""):
    """Converts files of one patient each by a table; returns what it printed and sources.csv."""
    text = "path,patient_id,pathology,side,view\n" + rows
    for number in range(12):  # enough for four folds and a test set
        name = f"plain{number}"
        make.write_dicom(folder / f"{name}.dcm", PIXELS + number, bits_stored=12, patient_id=name)
        text += f"{name}.dcm,{name},{('benign', 'malignant')[number % 2]},left,CC\n"
    for number, (name, tags) in enumerate(files.items(), 12):  # no copies of each other
        make.write_dicom(folder / f"{name}.dcm", PIXELS + number, bits_stored=12, **tags)
        if f"{name}.dcm" not in rows:
            text += f"{name}.dcm,P,benign,,\n"
    (folder / "table.csv").write_text(text)
    run = make.program(
        "beam_jobs.tfrecords", "--dataset=table", f"--data_dir={folder}", "--sizes=16x12",
        "--recipe=plain", f"--output_dir={folder}-out", *arguments,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    with pathlib.Path(f"{folder}-out/table/16x12/plain/sources.csv").open() as file:
        return run, {row["path"][:-4]: row for row in csv.DictReader(file)}


KINDS = {
    "standard": {"StudyInstanceUID": "1.9", "ImageLaterality": "L", "PatientAge": "058Y", **view()},
    "raw": {"StudyInstanceUID": "1.9", "ImageLaterality": "L", **view(), **RAW},
    "raw_alone": {"StudyInstanceUID": "1.9", "ImageLaterality": "R", **view(), **RAW},
    "magnified": {"StudyInstanceUID": "1.9", "ImageLaterality": "L", **view("R-102D6")},
    "chest": {"Modality": "DX", "BodyPartExamined": "CHEST", "SOPClassUID": "1.2.3"},
    "ct": {"Modality": "CT", "SOPClassUID": CTImageStorage},
    "copy": {"Modality": "OT", "SOPClassUID": SecondaryCaptureImageStorage},
}


def test_what_is_no_standard_mammogram_is_left_out_and_counted(tmp_path):
    run, rows = convert(tmp_path, files=KINDS)
    assert [rows[name]["age"] for name in ("standard", "raw")] == ["58", ""]
    reasons = {name: rows[name]["reason"] for name in KINDS}
    assert reasons == {
        "standard": "",
        "raw": "special_views=exclude: raw twin of a presentation image",
        "raw_alone": "",
        "magnified": "special_views=exclude: magnification",
        "chest": "not a mammogram by its header: chest; --any_modality to insist",
        "ct": "not a mammogram by its header: CT; --any_modality to insist",
        "copy": "",
    }
    assert "1 image left out by special_views=exclude: magnification" in run.stdout
    assert [rows["magnified"][key] for key in ("modality", "intent", "kind", "side", "view")] == [
        "MG", "presentation", "magnification", "left", "CC",
    ]  # fmt: skip
    make.program("beam_jobs.verify", f"{tmp_path}-out/table/16x12/plain").check_returncode()


def test_all_are_kept_on_demand(tmp_path):
    _, rows = convert(tmp_path, "--special_views=keep", "--any_modality", files=KINDS)
    assert {rows[name]["status"] for name in KINDS} == {"written"}


def test_a_table_that_contradicts_its_headers_is_named(tmp_path):
    files = {
        "side": {"ImageLaterality": "R", "patient_id": "plain0"},
        "view": {"ViewPosition": "MLO", "patient_id": "nobody_listed"},
        "series": {"Laterality": "R", "patient_id": "A"},
        "same": {"ImageLaterality": "LEFT", "ViewPosition": "cc", "patient_id": "A"},
    }
    rows = "".join(f"{name}.dcm,A,benign,left,CC\n" for name in files)
    run, found = convert(tmp_path, files=files, rows=rows)
    another = "patient: the header names another"
    assert found["side"]["discrepancies"] == f"side: left, the header says right; {another}"
    assert found["view"]["discrepancies"] == f"view: CC, the header says MLO; {another}"
    assert found["series"]["discrepancies"] == "side: left, the header says right"
    assert not found["same"]["discrepancies"]
    assert "disagree (2 patient, 2 side, 1 view)" in run.stderr
    again, _ = convert(tmp_path, files=files, rows=rows)  # headers come from the cache now
    assert "disagree (2 patient, 2 side, 1 view)" in again.stderr
    assert "nobody_listed" not in pathlib.Path(f"{tmp_path}-out/table/headers.csv").read_text()


def test_patients_of_a_pseudonymous_table_are_not_compared():
    images = [SourceRow(name, name, "left", "CC", "benign", path=name) for name in "ab"]
    for header, differing in (("?", ""), ("b", "patient: the header names another")):
        found = header_policies.describe(images[:1], {"a": Identity("1", header)}, patients=True)
        assert found[0].discrepancies == differing


@pytest.mark.parametrize("kind", ["magnification", "contrast subtraction"])
def test_a_special_view_has_no_twin(kind):
    images = [SourceRow(name, "p", "left", "CC", "", path=name, split="fold0") for name in "ab"]
    identities = {"a": Identity("1", "", kind=kind), "b": Identity("2", "", intent="processing")}
    described = header_policies.describe(images, identities, patients=False)
    found = header_policies.leave_out(
        described, identities, special_views="exclude", any_modality=False
    )
    assert [image.excluded for image in found] == [f"special_views=exclude: {kind}", ""]
