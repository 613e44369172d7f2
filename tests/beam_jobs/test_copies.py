"""Tests of copies: one image under several names is one image, two women are not one."""

from __future__ import annotations

import dataclasses
import pathlib
import shutil

import numpy as np
import pytest
from pydicom.uid import ExplicitVRBigEndian

from beam_jobs import copies
from beam_jobs.sources.source_row import SourceRow
from tests import make

PIXELS = np.arange(48, dtype=np.uint16).reshape(8, 6)


def listed(folder: pathlib.Path, *names: str, **more: str) -> list[SourceRow]:
    return [
        SourceRow(
            name,
            "p",
            "left",
            "CC",
            "benign",
            path=name,
            bytes=(folder / name).stat().st_size if (folder / name).is_file() else 0,
            **more,
        )
        for name in names
    ]


def reasons(folder: pathlib.Path, images: list[SourceRow]) -> list[str]:
    return [image.excluded for image in copies.leave_out(images, folder, max_pixels=1000)]


def test_copies_are_one_image(tmp_path):
    """Equal files; the same object in another transfer syntax; not what only looks alike."""
    make.write_dicom(tmp_path / "1-1.dcm", PIXELS)
    shutil.copy(tmp_path / "1-1.dcm", tmp_path / "1-1 (1).dcm")
    make.write_dicom(tmp_path / "big.dcm", PIXELS, syntax=ExplicitVRBigEndian, PatientID="")
    make.write_dicom(tmp_path / "uid.dcm", PIXELS + 1)  # a program that writes one UID for all
    make.write_dicom(tmp_path / "other.dcm", PIXELS, SOPInstanceUID="1.2.3")
    make.write_pgm(tmp_path / "a.pgm", PIXELS.astype(np.uint8))
    shutil.copy(tmp_path / "a.pgm", tmp_path / "a - Copy.pgm")
    names = ["1-1.dcm", "1-1 (1).dcm", "big.dcm", "uid.dcm", "other.dcm", "a.pgm", "a - Copy.pgm"]
    images = copies.leave_out(listed(tmp_path, *names, "gone.dcm"), tmp_path, max_pixels=1000)
    left_out = {image.image_id for image in images if image.excluded}
    assert left_out == {"1-1 (1).dcm", "big.dcm", "a - Copy.pgm"}
    assert {image.excluded for image in images} == {
        "",
        "copy: the same image is listed under another name",
    }
    assert images[0].copies == "1-1.dcm;1-1 (1).dcm;big.dcm"


@pytest.mark.parametrize(("key", "value"), [("patient_id", "q"), ("pathology", "malignant")])
def test_copies_that_contradict_each_other_are_all_left_out(key, value, tmp_path):
    make.write_dicom(tmp_path / "1.dcm", PIXELS)
    shutil.copy(tmp_path / "1.dcm", tmp_path / "2.dcm")
    one, two = listed(tmp_path, "1.dcm", "2.dcm")
    assert (
        reasons(tmp_path, [one, dataclasses.replace(two, **{key: value})])
        == [f"copy: the same image is listed under several names that disagree in {key}"] * 2
    )


def test_two_women_with_one_id_are_two_images(shared_cases):
    folder = shared_cases / "two_women_one_id"
    assert reasons(folder, listed(folder, "w1.dcm", "w2.dcm")) == ["", ""]
