"""Tests of a hospital's own sheet: Excel, joined by headers; EMBED's table; names in clear."""

from __future__ import annotations

import csv
import datetime
import io
import pathlib
import shlex

import numpy as np
import openpyxl
import pydicom
import pytest

from beam_jobs.sources import header_list, table
from beam_jobs.sources.source_options import SourceOptions
from flags.table_columns import parse_values
from records.errors import CallerError
from records.user_paths import Prefix
from tests import make

PIXELS = np.arange(48, dtype=np.uint16).reshape(8, 6)
HEAD = ["Patient-ID", "Untersuchungsdatum", "Seite", "Projektion", "Befund", "BIRADS", "Größe"]


def values_of(*texts: str) -> dict[tuple[str, str], str]:
    return {(key, found): meant for key, found, meant in parse_values(texts)}


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def read(tmp_path, notes):
    def read(**options):
        return table.read(tmp_path, SourceOptions(note=notes.append, **options))

    return read


@pytest.fixture
def hospital(tmp_path) -> pathlib.Path:
    """Two patients, one of them seen twice, four views each time, under names that say nothing."""
    number = 0
    for patient, date in (("0017", "20230105"), ("0017", "20240105"), ("0018", "20230210")):
        for side in "LR":
            for view in ("CC", "MLO"):
                make.write_dicom(
                    tmp_path / "images" / f"IM{number:03d}",
                    PIXELS + number,
                    patient_id=patient,
                    StudyInstanceUID=f"1.2.{patient}.{date}",
                    SOPInstanceUID=f"1.3.{number}",
                    StudyDate=date,
                    AccessionNumber=f"A{patient}{date}",
                    ImageLaterality=side,
                    ViewPosition=view,
                )
                number += 1
    return tmp_path


def write_workbook(folder: pathlib.Path, *rows: list[object]) -> None:
    book = openpyxl.Workbook()
    for row in (["Mammographie"], HEAD, *rows):
        book.active.append(row)
    book.save(folder / "liste.xlsx")


def test_a_workbook_joined_by_headers(hospital, read, notes):
    """Numbers that lost their zeros, Excel's dates, German sides, small letters."""
    write_workbook(
        hospital,
        [17, datetime.datetime(2023, 1, 5), "rechts", "cc", "bösartig", "BI-RADS 4C", 1.5],
        [17, datetime.datetime(2024, 1, 5), "li", "MLO", "nein", "BIRADS 2", None],
        [18, datetime.datetime(2023, 2, 10), "L", "L-MLO", "JA", 5, None],
        [99, datetime.datetime(2023, 2, 10), "L", "CC", "ja", 5, None],
    )
    images = read(match="header", columns={"pathology": "Befund"})
    got = [(f.path, f.side, f.view, f.pathology, f.assessment) for f in images]
    assert got == [
        ("images/IM002", "right", "CC", "malignant", "4c"),
        ("images/IM005", "left", "MLO", "no cancer", "2"),
        ("images/IM009", "left", "MLO", "malignant", "5"),
        ("", "left", "CC", "malignant", "5"),
    ]
    for file, row in zip(got[:3], ("0017", "0017", "0018"), strict=True):
        assert pydicom.dcmread(hospital / file[0]).PatientID == row
    assert "9 of 12 DICOM files fit no row of the table; left out" in notes
    assert any("taken for granted: " in line and "side rechts = right" in line for line in notes)
    assert any("patient_id = Patient-ID, side = Seite" in line for line in notes)


def test_a_csv_of_excel_by_accession_number(hospital, read):
    """Windows-1252, semicolons, decimal commas; a row without a view is of both views."""
    text = "Accession Number;Seite;Befund;Größe\r\nA001820230210;R;1;1,5\r\n"
    (hospital / "liste.csv").write_bytes(text.encode("cp1252"))
    images = read(match="header", columns={"pathology": "Befund"})
    assert [(f.path, f.patient_id, f.view) for f in images] == [
        ("images/IM010", "0018", "CC"),
        ("images/IM011", "0018", "MLO"),
    ]


def test_ids_that_pandas_made_decimals_are_joined(hospital, read):
    text = "PatientID,laterality,view,pathology\n17.0,L,CC,benign\n0.0,L,CC,benign\n"
    (hospital / "liste.csv").write_text(text)
    make.write_dicom(hospital / "nobody", PIXELS, patient_id="", ImageLaterality="L")
    images = read(match="header")
    assert [image.path for image in images] == ["images/IM000", "images/IM004", ""]


def test_a_patient_is_one_however_the_number_is_written(tmp_path, read, notes):
    rows = [["path", "patient_id", "pathology"], ["a", "007", "benign"], ["b", 7, "benign"]]
    rows += [["c", "7.0", "benign"], ["d", "0070", "benign"]]
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(tmp_path / "t.xlsx")
    assert [image.patient_id for image in read()] == ["007", "007", "007", "0070"]
    assert len(notes) == 1
    assert notes[0].startswith("warning: 1 patient whose number is written in several ways")


def test_a_header_of_merged_cells_is_named(tmp_path, read):
    (tmp_path / "t.csv").write_text("Patient,,Image,,Label\na,b,c,d,e\n")
    with pytest.raises(CallerError, match=r"2 columns without a name, .* a header is one row"):
        read()


def test_a_row_that_fits_two_examinations_is_not_used(hospital, read):
    (hospital / "liste.csv").write_text("patient_id,side,pathology\n0017,left,benign\n")
    images = read(match="header")
    assert {image.excluded for image in images} == {
        "match=header: several examinations fit; state study_date or accession"
    }
    (hospital / "liste.csv").write_text("patient_id,study_date,pathology\n17,05.01.23,benign\n")
    assert [image.excluded for image in read(match="header")] == [""] * 4
    (hospital / "liste.csv").write_text("patient_id,study_date,pathology\n17,1/5/23,benign\n")
    with pytest.raises(CallerError, match=r"line 2: study_date '1/5/23' is not like 2024-01-31"):
        read(match="header")


def test_every_unknown_value_of_every_column_in_one_line(tmp_path, read):
    text = 'path,patient_id,side,pathology\na,1,left,o.B.\nb,2,bds.,benign\nc,3,R,"gut, klein"\n'
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(CallerError) as caught:
        read(values=values_of("side:x=left"))
    assert "line 2: pathology 'o.B.' is not one of" in str(caught.value)
    line = str(caught.value).partition("map it by ")[2].partition(" (nothing")[0]
    (flag,) = shlex.split(line)
    (texts,) = csv.reader([flag.removeprefix("--values=")])
    assert texts == [
        "side:x=left",
        "pathology:o.B.=...",
        "side:bds.=...",
        "pathology:gut, klein=...",
    ]
    filled = [one.replace("side:bds.=...", "side:bds.=").replace("...", "benign") for one in texts]
    assert [image.side for image in read(values=values_of(*filled))] == ["left", "", "right"]
    mapping = tmp_path / "mapping.txt"
    rows = [one.replace("=", ":").split(":") for one in filled]
    mapping.write_text("key;found;meant\n" + "".join(";".join(row) + "\n" for row in rows))
    assert values_of(f"@{mapping}") == values_of(*filled)


EMBED = """\
,empi_anon,acc_anon,anon_dicom_path,ImageLateralityFinal,ViewPosition,side,asses,tissueden
0,10,7,/mnt/NAS2/mammo/anon_dicom/c1/1.dcm,L,MLO,L,S,2.0
1,10,7,/mnt/NAS2/mammo/anon_dicom/c1/2.dcm,R,CC,L,S,2.0
2,11,8,/mnt/NAS2/mammo/anon_dicom/c1/3.dcm,R,CC,B,N,3.0
3,11,8,/mnt/NAS2/mammo/anon_dicom/c1/3.dcm,R,CC,B,N,3.0
4,12,9,/mnt/NAS2/mammo/anon_dicom/c1/4.dcm,R,,,A,
"""


def test_embeds_own_table(tmp_path, read):
    """Columns of Jeong et al., Radiology: Artificial Intelligence 5(1), 2023, as distributed."""
    (tmp_path / "EMBED.csv").write_text(EMBED)
    make.write_dicom(tmp_path / "images" / "c1" / "1.dcm", PIXELS)
    images = read(path_prefix=Prefix.parse("/mnt/NAS2/mammo/anon_dicom=images"))
    got = [(f.patient_id, f.image_id, f.side, f.view, f.assessment, f.excluded) for f in images]
    other = "table: all its findings are of the other breast"
    assert got == [
        ("10", "images/c1/1.dcm", "left", "MLO", "4", ""),
        ("10", "images/c1/2.dcm", "right", "CC", "", other),
        ("11", "images/c1/3.dcm", "right", "CC", "1", ""),
        ("12", "images/c1/4.dcm", "right", "", "0", ""),
    ]
    assert images[0].path == "images/c1/1.dcm"
    with pytest.raises(CallerError, match=r"--path_prefix=/data=images: no path of .* begins with"):
        read(path_prefix=Prefix.parse("/data=images"))
    with pytest.raises(CallerError, match=r"line 2: path '/mnt/.*--path_prefix=OLD=NEW"):
        read()


def test_paths_as_windows_writes_them(tmp_path, read):
    for name in ("a/1.dcm", "a\u0308.dcm"):  # the second decomposed, as macOS keeps it
        make.write_dicom(tmp_path / name, PIXELS)
    lines = ["path,patient_id,pathology", "a\\1.dcm,p,benign", "\u00e4.dcm,q,benign"]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    assert [image.path for image in read()] == ["a/1.dcm", "a\u0308.dcm"]
    (tmp_path / "t.csv").write_text(f"path,patient_id,pathology\n{tmp_path}/a/1.dcm,p,benign\n")
    assert [image.path for image in read()] == ["a/1.dcm"]
    (tmp_path / "t.csv").write_text("path,patient_id,pathology\nX:\\y\\a\\1.dcm,p,benign\n")
    assert [image.path for image in read(path_prefix=Prefix.parse("X:\\y="))] == ["a/1.dcm"]


def test_a_row_typed_twice_is_no_second_lesion(tmp_path, read, notes):
    text = "path,patient_id,pathology,lesion\na,p,benign,1\na,p,benign,1\na,p,benign,2\n"
    (tmp_path / "t.csv").write_text(text)
    assert [image.abnormalities for image in read()] == [2]
    assert notes == ["left out: 1 row of the table, the same as another in every cell"]


def test_contradictions_are_counted(tmp_path, read, notes):
    text = "path,patient_id,pathology,assessment\na,p,normal,1\na,p,malignant,2\nb,p,benign,2\n"
    (tmp_path / "t.csv").write_text(text)
    read()
    assert [line.partition(":")[0] for line in notes] == ["warning", "warning"]
    assert "1 image with a row that says normal beside one of a lesion" in notes[0]
    assert "1 row with malignant beside BI-RADS 1 or 2" in notes[1]


@pytest.mark.parametrize(
    ("patient", "named"),
    [("Muster^Erika", 1), ("Müller, Anna", 1), ("Anna Müller", 1), ("P_00001", 0), ("4711", 0)],
)
def test_names_in_clear(patient, named, tmp_path, read, notes):
    (tmp_path / "t.csv").write_text(f'path,patient_id,pathology\na,"{patient}",benign\n')
    read()
    assert len(notes) == named
    assert all("--hash_patients" in line and patient not in line for line in notes)
    notes.clear()
    read(hashed=True)
    assert notes == []


@pytest.mark.parametrize(
    ("patient", "of_view"),
    [("Mass-Test_P_00173_LEFT_CC", 1), ("17_rmlo", 0), ("17 mlo", 1), ("P_00173", 0), ("cc", 0)],
)
def test_ids_of_views(patient, of_view, tmp_path, read, notes):
    (tmp_path / "t.csv").write_text(f"path,patient_id,pathology\na,{patient},benign\n")
    read()
    assert len(notes) == of_view
    assert all("1 of 1 patient ids end in a view" in line for line in notes)


def test_the_inventory_is_what_headers_say(hospital):
    run = make.program("beam_jobs.inventory", hospital)
    assert run.returncode == 0, run.stderr
    rows = list(csv.DictReader(io.StringIO(run.stdout)))
    assert tuple(rows[0]) == header_list.COLUMNS
    assert len(rows) == 12
    for row in rows:
        header = pydicom.dcmread(hospital / row["path"])
        assert row["patient_id"] == header.PatientID
        assert row["study_uid"] == header.StudyInstanceUID
        assert row["sop_uid"] == header.SOPInstanceUID
        assert row["accession"] == header.AccessionNumber
        assert row["study_date"] == header.StudyDate
        assert row["side"][0].upper() == header.ImageLaterality
        assert row["view"] == header.ViewPosition
        assert (row["rows"], row["columns"]) == ("8", "6")
    make.one_line(make.program("beam_jobs.inventory"), "no folder is named")
    make.one_line(make.program("beam_jobs.inventory", hospital / "no"), "is not a folder")


def test_an_inventory_with_labels_is_a_table(hospital, read):
    headers = header_list.list_headers(hospital, table.data_files.list_files(hospital))
    with (hospital / "t.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [*header_list.COLUMNS, "pathology"])
        writer.writeheader()
        writer.writerows({**header.columns(), "pathology": "benign"} for header in headers)
    images = read()
    assert len({image.path for image in images}) == 12
    assert {(image.side, image.view) for image in images} == {
        (side, view) for side in ("left", "right") for view in ("CC", "MLO")
    }


def test_a_table_from_the_field(shared_cases):
    images = table.read(shared_cases / "user_text" / "sep_line", SourceOptions())
    assert [image.pathology for image in images] == ["malignant", "benign", "malignant", "benign"]
