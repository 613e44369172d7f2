"""Tests of which images are the input, and which of them show the same breast."""

import dataclasses
import os

import pytest

from beam_jobs.imaging.dicom_file import NOBODY, Origin
from records.errors import CallerError
from records.user_paths import Prefix
from trainer.inference import inputs
from trainer.inference.exams import Exams, Place
from trainer.inference.inputs import InputImage


@pytest.fixture
def folder(tmp_path):
    for name in (
        "b/2.PNG",
        "b/1.dcm",
        "a/c/x.tiff",
        "notes.txt",
        ".hidden.png",
        "heat_maps/0001.png",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (tmp_path / "a" / "IM0001").write_bytes(b"\0" * 128 + b"DICM")
    (tmp_path / "a" / "IM0002").write_bytes(b"\0" * 127 + b"DICM")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "empty").mkdir()
    return tmp_path


def names(images, folder):
    return [image.path.relative_to(folder).as_posix() for image in images]


def test_folders_are_searched_to_the_bottom(folder):
    """Known suffixes and DICOM of any name, in order of name, but for heat maps of ours."""
    found = inputs.find([str(folder)])
    assert names(found, folder) == ["a/IM0001", "a/c/x.tiff", "b/1.dcm", "b/2.PNG"]


def test_a_image_is_an_input_once_and_files_are_taken_whatever_they_are(folder):
    arguments = [folder / "notes.txt", folder / "b", folder / "b" / ".." / "b" / "1.dcm"]
    found = inputs.find(list(map(str, arguments)))
    assert names(found, folder) == ["notes.txt", "b/1.dcm", "b/2.PNG"]


def test_a_table_tells_what_files_do_not(folder):
    table = folder / "images.csv"
    table.write_text("path,exam,side,view\nb/1.dcm,anna,LEFT,cc\nb/2.PNG,,,\n")
    one, two = inputs.find([], table=str(table))
    assert (one.exam, one.side, one.view) == ("anna", "left", "CC")
    assert (two.exam, two.side, two.view) == ("", "", "")
    both = inputs.find([str(folder / "b")], table=str(table))
    assert both == [one, two]
    assert names([one, two], folder) == ["b/1.dcm", "b/2.PNG"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image\nx.png\n", r"has columns 'image', wanted path and any of exam, side, view$"),
        (
            "path,side\nb/1.dcm,L\nb/../b/1.dcm,R\n",
            r"line 3: .*1.dcm stands above with another exam",
        ),
        ("", r"has columns '', wanted path"),
        ("path,side\nb/1.dcm,middle\n", r"line 2: side 'middle' is not one of left, right$"),
        ("path\nb/1.dcm\nb/9.dcm\n", r"line 3: .*b/9.dcm is not there; paths are relative"),
        ("path,side\nb/1.dcm,left,CC\n", r"line 2 has more cells than the header$"),
        ("path,side\n,left\n", r"line 2: its path is empty$"),
        ('path\n"x\n', r"is not a CSV table"),
    ],
)
def test_a_table_that_is_not_usable(folder, text, message):
    table = folder / "images.csv"
    table.write_text(text)
    with pytest.raises(CallerError, match=rf"^--images=\S*images.csv.*{message}"):
        inputs.find([], table=str(table))


@pytest.mark.parametrize(
    ("arguments", "table", "message"),
    [
        ([], None, r"predict needs images: python -m trainer"),
        (["nowhere.dcm"], None, r"nowhere.dcm is not there; give images or folders of images$"),
        (["empty"], None, r"empty holds no image; wanted DICOM files, or others that end in .pgm"),
        ([], "nowhere.csv", r"--images=nowhere.csv can't be read: No such file or directory$"),
    ],
)
def test_nothing_to_ask_about(folder, monkeypatch, arguments, table, message):
    monkeypatch.chdir(folder)
    with pytest.raises(CallerError, match=message):
        inputs.find(arguments, table=table)


def header(patient: str, study: str = "", side: str = "", view: str = "", date: str = ""):
    known = {"patient_id": patient, "study_uid": study, "side": side, "view": view}
    return dataclasses.replace(NOBODY, **known), Origin(study_date=date)


UNKNOWN = (NOBODY, Origin())


def test_exams_are_numbered_without_a_name(tmp_path):
    exams = Exams()
    image = InputImage(tmp_path / "1.dcm")

    def place(*given: str, **more: str) -> Place:
        return exams.place(image, *header(*given, **more))

    assert place("Anna", "1.2", "left", "CC") == Place(1, "left", "CC", "study")
    assert place("Bert", "1.3", "left", "CC") == Place(2, "left", "CC", "study")
    assert place("Anna", "1.2", "right", "MLO") == Place(1, "right", "MLO", "study")
    # a year later
    assert place("Anna", "1.4", "left", "CC") == Place(3, "left", "CC", "study")
    alone = dataclasses.replace(NOBODY, side="right")
    assert exams.place(image, alone, Origin()) == Place(None, "right", "")


def test_an_examination_is_a_study_else_a_patient_on_a_date(tmp_path):
    exams = Exams()
    image = InputImage(tmp_path / "1.dcm")

    def exam(*given: str, **more: str) -> int | None:
        return exams.place(image, *header(*given, **more)).exam

    assert exam("", "1.2") == exam("Anna", "1.2") == exam("", "1.2") == 1  # emptied in one file
    assert exam("Bert", "1.2") == 2  # a UID that a program wrote for all
    assert exam("Anna", date="20230110") == exam("Anna", date="20230110") == 3
    assert exam("Anna", date="20240110") == 4
    assert exam("Anna") is None


@pytest.mark.parametrize(
    "patient", ["", "ANON", "anonymous", "Anonymized", "0000", "UNKNOWN", "no name", "REMOVED", "-"]
)
def test_what_is_no_patient_stands_alone(patient, tmp_path):
    exams, image = Exams(), InputImage(tmp_path / "1.dcm")
    assert exams.place(image, *header(patient, date="20230110")) == Place(None, "", "")
    assert exams.place(image, *header("ANON17", date="20230110")).exam == 1


def test_the_table_goes_before_the_header(tmp_path):
    exams = Exams()
    told = InputImage(tmp_path / "1.pgm", exam="e", side="right", view="MLO")
    assert exams.place(told, *header("Anna", "1.2", "left", "CC")) == Place(
        1, "right", "MLO", "table"
    )
    assert exams.place(told, *UNKNOWN) == Place(1, "right", "MLO", "table")
    # a name of the table is no PatientID
    assert exams.place(InputImage(tmp_path / "2.pgm"), *header("e", "1.2")) == Place(
        2, "", "", "study"
    )


def test_names_of_cbis_ddsm_tell_patient_side_and_view(tmp_path):
    exams = Exams()
    left = InputImage(tmp_path / "Calc-Test_P_00038_LEFT_CC" / "1.2" / "1.3" / "1-1.dcm")
    right = InputImage(tmp_path / "Mass-Training_P_00038_RIGHT_MLO_1.png")
    other = InputImage(tmp_path / "P_00039_LEFT_CC.png")
    of_header = header("Mass-Test_P_00039_LEFT_MLO", study="its own")
    assert exams.place(left, *UNKNOWN) == Place(1, "left", "CC", "name")
    assert exams.place(right, *UNKNOWN) == Place(1, "right", "MLO", "name")
    assert exams.place(other, *UNKNOWN) == Place(2, "left", "CC", "name")
    assert exams.place(InputImage(tmp_path / "1-1.dcm"), *of_header) == Place(
        2, "left", "MLO", "name"
    )
    # a header that names a patient is believed, not the folder
    assert exams.place(left, *header("Anna", "1.2")) == Place(3, "", "", "study")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_a_table_as_a_spreadsheet_saves_it(encoding, folder):
    """Semicolons, a sep= line, columns of the user's own, backslashes, absolute paths."""
    table = folder / "images.csv"
    lines = f"sep=;\r\npath;exam;side;Größe\r\n.\\b\\1.dcm;ä;R;1,5\r\n{folder}/b/2.PNG;;li;\r\n"
    table.write_bytes(lines.encode(encoding))
    found = inputs.find([], table=str(table))
    assert [(image.exam, image.side) for image in found] == [("ä", "right"), ("", "left")]
    table.write_text("path;side\nD:\\old\\b\\1.dcm;L\nD:\\old\\b\\1.dcm;L\n")
    prefix = Prefix.parse(f"D:\\old={folder}")
    (only,) = inputs.find([], table=str(table), prefix=prefix)
    assert only == InputImage(folder / "b" / "1.dcm", side="left")


def test_a_table_from_the_field(shared_cases):
    table = shared_cases / "user_text" / "semi.csv"
    with pytest.raises(CallerError, match=r"line 2: .*a.dcm is not there"):
        inputs.find([], table=str(table))
