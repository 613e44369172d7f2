"""Tests of copies: one image under several names is one image, two women are not one."""

from __future__ import annotations

import dataclasses
import pathlib
import shutil

import numpy as np
import pytest
from pydicom.uid import ExplicitVRBigEndian

from beam_jobs import copies, image_list
from beam_jobs.imaging import dicom_file
from beam_jobs.sources.source_row import SourceRow
from flags.conversion_config import ConversionConfig
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


def leave_out(folder: pathlib.Path, images: list[SourceRow], *, keep: bool = False):
    files = [image.path for image in images if (folder / image.path).is_file()]
    identities = {name: dicom_file.read_identity(folder / name) for name in files}
    return copies.leave_out(images, folder, identities, max_pixels=1000, keep=keep)


def reasons(folder: pathlib.Path, images: list[SourceRow]) -> list[str]:
    return [image.excluded for image in leave_out(folder, images)]


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
    images = leave_out(tmp_path, listed(tmp_path, *names, "gone.dcm"))
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


@pytest.mark.parametrize("policy", ["any_malignant", "paper"])
def test_copies_under_two_published_names(policy, tmp_path):
    """Of another patient: which is right nobody knows, and one may test what the other trained."""
    names = [f"mdb{number:03d}" for number in range(1, 17)]
    (tmp_path / "Info.txt").write_text("".join(f"{name} G NORM\n" for name in names))
    for number, name in enumerate(names):
        make.write_pgm(tmp_path / f"{name}.pgm", PIXELS.astype(np.uint8) + number)
    shutil.copy(tmp_path / "mdb001.pgm", tmp_path / "mdb007.pgm")
    config = ConversionConfig(
        dataset="mini_mias", data_dir=tmp_path, split_policy="patient", label_policy=policy, folds=2
    )
    images = image_list.list_images(config, cache=None, report=lambda *_: None)
    said = "copy: the same image is listed under several names that disagree in patient_id"
    assert [
        image.image_id for image in images if said in (image.excluded, image.discrepancies)
    ] == [
        "mdb001",
        "mdb007",
    ]
    assert all(bool(image.excluded) == (image.split == "") for image in images)
    assert sum(bool(image.split) for image in images) == (16 if policy == "paper" else 14)


def test_two_women_with_one_id_are_two_images(shared_cases):
    folder = shared_cases / "two_women_one_id"
    assert reasons(folder, listed(folder, "w1.dcm", "w2.dcm")) == ["", ""]
