"""Tests of the walk through a folder that both programs share."""

import os
import pathlib

import pydicom
import pytest

from beam_jobs.sources import data_files
from records import file_tree
from records.errors import CallerError
from trainer.inference import inputs

DICOM = b"\0" * 128 + b"DICM"


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "data"
    for name in (
        "a/1.DCM",
        "a/IM1",
        "b/2.dcm",
        "b/._2.dcm",
        "b/.DS_Store",
        "b/Thumbs.db",
        "b/desktop.ini",
        "DICOMDIR",
        "__MACOSX/b/2.dcm",
        ".Trash/3.dcm",
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(DICOM)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "4.dcm").write_bytes(DICOM)
    (root / "linked").symlink_to(elsewhere)
    (root / "linked again").symlink_to(elsewhere)
    (root / "loop").symlink_to(root)
    (root / "gone.dcm").symlink_to("nowhere")
    os.mkfifo(root / "pipe.dcm")
    return root


FOUND = ["a/1.DCM", "a/IM1", "b/2.dcm", "linked/4.dcm"]


def test_both_programs_find_the_same(folder):
    """Links are followed, each folder once; what holds no data is passed over."""
    assert [file.path for file in data_files.list_files(folder)] == FOUND
    found = inputs.find([str(folder)])
    assert [image.path.relative_to(folder).as_posix() for image in found] == FOUND


def test_what_cannot_be_read_is_named(folder, monkeypatch, capsys):
    """As root may read all, the system's answer is put in its place."""
    scandir, stat = os.scandir, os.stat

    def refuse_folder(path):
        if str(path).endswith("/b"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    def refuse_file(path, *how, **named):
        if str(path).endswith("IM1"):
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, *how, **named)

    monkeypatch.setattr(os, "scandir", refuse_folder)
    monkeypatch.setattr(os, "stat", refuse_file)
    assert [pathlib.Path(path).name for path, _ in file_tree.walk(str(folder))] == [
        "1.DCM",
        "4.dcm",
    ]
    said = capsys.readouterr().err.splitlines()
    assert said == [
        f"warning: {folder}/{name} can't be read (Permission denied) and is left out"
        for name in ("a/IM1", "b")
    ]
    with pytest.raises(CallerError, match=r"/b can't be read: Permission denied$"):
        list(file_tree.walk(str(folder / "b")))


@pytest.mark.parametrize(
    ("content", "image"),
    [
        (b"\x89PNG\r\n\x1a\n", True),
        (b"\xff\xd8\xff\xe0", True),
        (b"II*\0", True),
        (b"MM\0*", True),
        (b"P5 1 1 255 x", True),
        (b"text", False),
        (b"", False),
    ],
)
def test_suffixes_do_not_decide(content, image, tmp_path):
    (tmp_path / "1.dcm").write_bytes(DICOM)
    (tmp_path / "no suffix").write_bytes(content)
    found = [image.path.name for image in inputs.find([str(tmp_path)])]
    assert found == ["1.dcm", *["no suffix"] * image]


def test_reports_and_notes_are_no_images(tmp_path):
    """DICOM files of a study that hold no image: SR, KO, presentation state, PDF (PS3.4 B.5)."""
    kinds = {
        "MG": pydicom.uid.DigitalMammographyXRayImageStorageForPresentation,
        "SR": pydicom.uid.MammographyCADSRStorage,
        "KO": pydicom.uid.KeyObjectSelectionDocumentStorage,
        "PR": pydicom.uid.GrayscaleSoftcopyPresentationStateStorage,
        "PDF": pydicom.uid.EncapsulatedPDFStorage,
    }
    for name, kind in kinds.items():
        dataset = pydicom.Dataset()
        dataset.SOPClassUID, dataset.SOPInstanceUID = kind, "1.2.3"
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        pydicom.dcmwrite(tmp_path / name, dataset, enforce_file_format=True)
    assert [image.path.name for image in inputs.find([str(tmp_path)])] == ["MG"]
