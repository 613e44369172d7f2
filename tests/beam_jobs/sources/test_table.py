"""Tests of any table of images: mapping, merging, and all that is refused."""

from __future__ import annotations

import math
import pathlib

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from beam_jobs.sources import table, table_rows
from beam_jobs.sources.source_options import SourceOptions
from records.errors import CallerError

OWN = """\
path,patient_id,side,view,pathology,density
a/1.dcm,p1,left,CC,benign,2
a/2.dcm,p1,right,MLO,malignant,
b/3.dcm,p2,,,normal,3
"""


def read(folder: pathlib.Path, *, columns=(), values=(), name=None, label_policy="any_malignant"):
    return table.read(
        folder,
        SourceOptions(
            table=name, columns=dict(columns), values=dict(values), label_policy=label_policy
        ),
    )


@pytest.fixture
def write(tmp_path):
    """`write(text, name="images.csv")`: the data folder, with three images in it."""

    def write(text: str | bytes, name: str = "images.csv") -> pathlib.Path:
        for image in ("a/1.dcm", "a/2.dcm", "c/4.dcm"):
            path = tmp_path / image
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"image")
        data = text if isinstance(text, bytes) else text.encode()
        (tmp_path / name).write_bytes(data)
        return tmp_path

    return write


def test_own_names(write):
    images = read(write(OWN))
    assert [(f.image_id, f.patient_id, f.side, f.view, f.pathology, f.density) for f in images] == [
        ("a/1.dcm", "p1", "left", "CC", "benign", "2"),
        ("a/2.dcm", "p1", "right", "MLO", "malignant", ""),
        ("b/3.dcm", "p2", "", "", "normal", "3"),
    ]
    # listed but missing; present but not listed
    assert [image.path for image in images] == ["a/1.dcm", "a/2.dcm", ""]
    assert images[0].bytes == len(b"image")
    assert [image.abnormalities for image in images] == [1, 1, 0]


def test_values_of_targets_are_taken_in_any_case(write):
    text = OWN.replace("density", "density,abnormality").replace("benign,2", "benign,c,Mass")
    images = read(write(text.replace("nant,", "nant,,x").replace("normal,3", "normal,4,y")))
    assert [(i.density, i.abnormality) for i in images] == [("C", "mass"), ("", "x"), ("4", "y")]
    images = read(write(OWN), values={("density", "2"): "d", ("density", "3"): "own"})
    assert [image.density for image in images] == ["D", "", "own"]


def test_mapped_names_and_values(write):
    folder = write(
        "file;pid;Seite;Befund;part;BI-RADS;path\n"
        "./a/1.dcm;7;L;1;0;4a;nonsense\n"
        "a/2.dcm;7;R;0;0;;nonsense\n"
        "b/3.dcm;8;R;;1;2;nonsense\n"
    )
    images = read(
        folder,
        columns={
            "path": "file",
            "patient_id": "pid",
            "side": "Seite",
            "pathology": "Befund",
            "split": "part",
            "assessment": "BI-RADS",
        },
        values={
            ("side", "L"): "left",
            ("side", "R"): "right",
            ("pathology", "0"): "benign",
            ("pathology", "1"): "malignant",
            ("pathology", ""): "",
            ("split", "0"): "train",
            ("split", "1"): "test",
        },
    )
    got = [(f.path, f.side, f.pathology, f.assessment, f.official_split) for f in images]
    assert got == [
        ("a/1.dcm", "left", "malignant", "4a", "train"),
        ("a/2.dcm", "right", "benign", "", "train"),
        ("", "right", "", "2", "test"),
    ]


def test_a_split_is_never_taken_unless_named(write):
    folder = write("path,patient_id,pathology,split\na/1.dcm,p,benign,test\n")
    assert read(folder)[0].official_split == ""
    assert read(folder, columns={"split": "split"})[0].official_split == "test"


def test_rows_of_a_image_are_its_lesions(write):
    text = (
        "image_id,path,patient_id,pathology,abnormality,assessment\n"
        "f1,a/1.dcm,p1,benign,mass,2\n"
        "f2,a/2.dcm,p2,benign,,3\n"
        "f1,a/1.dcm,p1,malignant,calcification,5\n"
    )
    first, second = read(write(text))
    assert (first.image_id, first.pathology, first.abnormality) == (
        "f1",
        "malignant",
        "mass+calcification",
    )
    assert (first.assessment, first.abnormalities, first.excluded) == ("5", 2, "")
    assert (second.image_id, second.abnormalities) == ("f2", 1)
    published = read(write(text), label_policy="paper")
    assert [bool(image.excluded) for image in published] == [True, False]


def test_graded_images_need_no_pathology(write):
    images = read(write("path,patient_id,assessment\na/1.dcm,p1,4\nb/3.dcm,p2,1\n"))
    assert [(f.pathology, f.assessment, f.abnormalities) for f in images] == [
        ("", "4", 0),
        ("", "1", 0),
    ]
    with pytest.raises(
        CallerError, match=r"line 2: assessment is empty; map it by --values=assessment:= "
    ):
        read(write("path,patient_id,assessment\na/1.dcm,p1,\n"))


def test_every_image_its_own_patient_only_if_said(write):
    folder = write("path,pathology\na/1.dcm,benign\na/2.dcm,benign\n")
    with pytest.raises(
        CallerError,
        match=r"images.csv has no column 'patient_id'; its header is path, pathology; say which by "
        r"--columns=patient_id=COLUMN, or --columns=patient_id= if every image is of another",
    ):
        read(folder)
    images = read(folder, columns={"patient_id": ""})
    assert [image.patient_id for image in images] == ["a/1.dcm", "a/2.dcm"]


def test_parquet_is_read_as_csv(write, tmp_path):
    folder = write("nothing", "readme.txt")
    columns = {
        "path": ["a/1.dcm", "a/2.dcm", "b/3.dcm"],
        "patient_id": [7, 7, 8],
        "pathology": ["benign", "malignant", "normal"],
        "density": [2.0, None, math.nan],
        "side": pa.array(["left", "right", "left"]).dictionary_encode(),
    }
    parquet.write_table(pa.table(columns), folder / "images.parquet")
    images = read(folder)
    assert [(f.path, f.patient_id, f.pathology, f.density, f.side) for f in images] == [
        ("a/1.dcm", "7", "benign", "2", "left"),
        ("a/2.dcm", "7", "malignant", "", "right"),
        ("", "8", "normal", "", "left"),
    ]
    columns["pathology"][1] = "cancer"
    parquet.write_table(pa.table(columns), folder / "images.parquet")
    with pytest.raises(
        CallerError, match=r"images.parquet row 2: pathology 'cancer' is not one of"
    ):
        read(folder)
    (folder / "images.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(CallerError, match=r"images.parquet is not a Parquet file: "):
        read(folder)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_delimiters_and_quoted_newlines(delimiter, write):
    text = (
        'path,patient_id,pathology,remark\r\na/1.dcm,p1,benign,"one\r\ntwo"\r\na/2.dcm,p1,?,x\r\n'
    )
    folder = write(b"\xef\xbb\xbf" + text.replace(",", delimiter).encode())
    with pytest.raises(CallerError, match=r"images.csv line 4: pathology '\?' is not one of"):
        read(folder)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "left",
            "X",
            r"line 2: side 'X' is not one of left, right; map it by --values=side:X=... .*; "
            r"or leave the column out by --columns=side=",
        ),
        ("benign", "good", "line 2: pathology 'good' is not one of normal, no cancer, benign, mal"),
        ("benign", "", "line 2: pathology is empty; map it by --values=pathology:= "),
        ("CC", "c-c", "line 2: view 'c-c' is not a code such as CC or MLO; map it by"),
        ("p2", "", "line 4: patient_id is empty$"),
        ("a/1", "/a/1", "line 2: path '/a/1.dcm' is not a path below --data_dir"),
        ("a/1", "../a/1", r"line 2: path '\.\./a/1.dcm' is not a path"),
        ("a/1", "b/../../a/1", r"line 2: path 'b/\.\./\.\./a/1.dcm' is not a path"),
        ("a/1", "C:/1", "line 2: path 'C:/1.dcm' is not a path"),
        ("a/1.dcm", "", "line 2: path is empty"),
        ("a/2", "a/1", "line 3: image a/1.dcm has side 'right' here and 'left' above; it can have"),
        ("MLO,", "MLO,,", "line 3: 7 cells under a header of 6; put cells that hold the "),
    ],
)
def test_bad_rows(old, new, message, write):
    assert old in OWN
    with pytest.raises(CallerError, match=f"images.csv {message}"):
        read(write(OWN.replace(old, new, 1)))


def test_all_bad_rows_are_counted(write):
    text = OWN + "".join(f"x/{n}.dcm,p3,left,CC,unknown,1\n" for n in range(9))
    with pytest.raises(CallerError, match=r"line 5: pathology 'unknown' .*; and 8 more: line 6, l"):
        read(write(text))


def test_two_images_of_one_file(write):
    text = "image_id,path,patient_id,pathology\nf1,a/1.dcm,p,benign\nf2,a/1.dcm,p,benign\n"
    with pytest.raises(
        CallerError, match=r"line 3: a/1.dcm is image f2 here and another image abov"
    ):
        read(write(text))


def test_missing_columns(write):
    folder = write(OWN.replace("path,", "file,", 1))
    with pytest.raises(CallerError, match=r"no column 'path'; its header is file, .*; say which "):
        read(folder)
    with pytest.raises(CallerError, match=r"no column 'image'; its header is file, patient_id"):
        read(folder, columns={"path": "image"})
    with pytest.raises(CallerError, match=r"has no label: no column pathology, assessment, abnorm"):
        read(write(OWN), columns={"pathology": ""})


def test_which_table(write, tmp_path):
    folder = write(OWN, "one.csv")
    assert len(read(folder)) == 3
    write(OWN.replace("p2", "p9"), "two.csv")
    with pytest.raises(
        CallerError, match=r"holds 2 CSV, Excel or Parquet files \(one.csv, two.csv\); na"
    ):
        read(folder)
    assert read(folder, name="two.csv")[2].patient_id == "p9"
    with pytest.raises(
        CallerError, match=r"--table: .*three.csv can.t be read .No such file.*; relative"
    ):
        read(folder, name="three.csv")
    for name in ("one.csv", "two.csv"):
        (folder / name).unlink()
    with pytest.raises(
        CallerError, match=r"holds 0 CSV, Excel or Parquet files; name the table by"
    ):
        read(folder)


@pytest.mark.parametrize("text", ["", "path,patient_id,pathology\n"], ids=["empty", "header"])
def test_no_rows(text, write):
    with pytest.raises(CallerError, match=r"images.csv has no rows; a table has a header"):
        read(write(text))


@given(path=st.text(st.sampled_from("ab/.\\: "), max_size=12))
def test_a_path_never_leads_out_of_the_folder(path):
    rows = [("line 2", {"path": path})]
    try:
        table_rows.find_paths(pathlib.Path("t"), rows, {}, data_dir="/data", prefix=None)
    except CallerError:
        return
    checked = rows[0][1]["path"]
    root = pathlib.PurePosixPath("/data")
    assert root in (root / checked).parents
    assert ".." not in checked.split("/")
