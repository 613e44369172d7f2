"""predictions.csv: what is written is read back, and what is wrong is refused by name."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from records import schema
from records.errors import CallerError
from trainer.metrics import predictions
from trainer.metrics.predictions import Prediction, two_classes

FIRST = "image_id,patient_id,label,probability,split"
EARLIER = ",".join([FIRST, *schema.TITLES])
HEADER = f"{EARLIER},calibrated,threshold"
EMPTY = "," * len(schema.TITLES)
STATED = {
    "side": "left",
    "view": "CC",
    "abnormality": "calcification+mass",
    "density": "3",
    "assessment": "4",
}
IMAGE = Prediction(
    "P_1_LEFT_CC",
    "P_1",
    1,
    probabilities=two_classes(0.1 + 0.2),
    split="test",
    columns=STATED,
    calibrated_probabilities=two_classes(0.25),
    threshold=0.5,
)


def test_reads_back_what_it_wrote(tmp_path: pathlib.Path) -> None:
    images = [IMAGE, Prediction('a,"b"', "Müller ü", 0, probabilities=two_classes(5e-324))]
    predictions.write(tmp_path / "predictions.csv", images)
    assert predictions.read(tmp_path / "predictions.csv") == images


@given(probability=st.floats(0, 1), image_id=st.text("a,\"'\t\r\n é<;#", min_size=1))
def test_reads_back_any_text_and_number(
    tmp_path_factory: pytest.TempPathFactory, probability: float, image_id: str
) -> None:
    path = tmp_path_factory.mktemp("any") / "predictions.csv"
    predictions.write(path, [Prediction(image_id, "p", 0, probabilities=two_classes(probability))])
    assert predictions.read(path) == [
        Prediction(image_id, "p", 0, probabilities=two_classes(probability))
    ]


def test_text_of_the_file(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "predictions.csv"
    predictions.write(path, [IMAGE])
    stated = ",".join(STATED.get(key, "") for key in schema.TITLES)
    assert path.read_bytes().decode() == (
        f"{HEADER}\nP_1_LEFT_CC,P_1,1,0.30000000000000004,test,{stated},0.25,0.5\n"
    )


def test_columns_keep_their_order() -> None:
    known = f"{FIRST},side,view,abnormality,density,assessment,calibrated,threshold".split(",")
    assert [name for name in predictions.COLUMNS if name in known] == known
    assert dict.fromkeys(schema.TITLES, "") | STATED == IMAGE.columns


def test_numpy_scalars_are_written_as_plain_numbers(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "predictions.csv"
    predictions.write(
        path, [Prediction("f", "p", np.int64(1), probabilities=two_classes(np.float32(0.5)))]
    )  # type: ignore[arg-type]
    assert path.read_text().splitlines()[1] == f"f,p,1,0.5,{EMPTY},,"


def test_no_images_is_a_header_alone(tmp_path: pathlib.Path) -> None:
    predictions.write(tmp_path / "predictions.csv", [])
    assert predictions.read(tmp_path / "predictions.csv") == []


def test_a_name_that_is_no_unicode_stands_as_an_escape(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "predictions.csv"
    predictions.write(path, [Prediction("\udcfc", "p", 0, probabilities=two_classes(0.5))])
    assert [image.image_id for image in predictions.read(path)] == [r"\udcfc"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        pytest.param("f,p,2,0.5,;,,", r"record 2: image 'f' has label '2', wanted 0 or 1", id="2"),
        pytest.param("f,p,,0.5,;,,", r"record 2: image 'f' has label '', wanted", id="no label"),
        pytest.param("f,p,1,nan,;,,", r"record 2: image 'f' has probability nan", id="nan"),
        pytest.param("f,p,1,inf,;,,", r"probability inf, wanted 0 to 1", id="inf"),
        pytest.param("f,p,1,1.0001,;,,", r"probability 1.0001, wanted 0 to 1", id="above"),
        pytest.param("f,p,1,-0.1,;,,", r"probability -0.1, wanted 0 to 1", id="below"),
        pytest.param("f,p,1,high,;,,", r"probability 'high', wanted a number", id="text"),
        pytest.param("f,,1,0.5,;,,", r"record 2: image 'f' has no patient id", id="no patient"),
        pytest.param(",p,1,0.5,;,,", r"record 2: a prediction has no image id", id="no image"),
        pytest.param("f,p,1,0.5", r"record 2: 4 columns, wanted", id="short"),
        pytest.param("g,q,1,0.5,;,,", r"record 2: image 'g' stands in record 1", id="twice"),
        pytest.param("f,p,1,0.5,;,1.5,", r"image 'f' has calibrated 1.5, wanted 0", id="1.5"),
        pytest.param("f,p,1,0.5,;,,nan", r"image 'f' has threshold nan, wanted 0", id="nan t"),
        pytest.param("f,p,1,0.5,;,,low", r"threshold 'low', wanted a number", id="text t"),
    ],
)
def test_refuses_a_record(tmp_path: pathlib.Path, row: str, message: str) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text(f"{HEADER}\ng,q,0,0.25,{EMPTY},,\n{row.replace(';', EMPTY)}\n")
    with pytest.raises(CallerError, match=f"predictions.csv.*{message}") as caught:
        predictions.read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "has header '', wanted 'image_id,", id="empty"),
        pytest.param(b"image,patient\n", "has header 'image,patient', wanted", id="other header"),
        pytest.param(b"\xff\xfe\n", "is not a CSV file in UTF-8", id="not UTF-8"),
        pytest.param(HEADER.encode() + b'\n"f,p,1', "is not a CSV file", id="truncated"),
    ],
)
def test_refuses_a_file(tmp_path: pathlib.Path, content: bytes, message: str) -> None:
    path = tmp_path / "predictions.csv"
    path.write_bytes(content)
    with pytest.raises(CallerError, match=message):
        predictions.read(path)


def test_refuses_a_missing_file(tmp_path: pathlib.Path) -> None:
    with pytest.raises(CallerError, match=r"none\.csv does not exist; python -m trainer evaluate"):
        predictions.read(tmp_path / "none.csv")


GRADED = Prediction(
    "f", "p", 2, columns={"density": "3"}, probabilities=(0.25, 0.25, 0.1 + 0.2, 0.2)
)


def test_the_probability_of_each_class_stands_in_columns_of_its_own(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "predictions.csv"
    predictions.write(path, [GRADED])
    assert path.read_text() == (
        f"{HEADER},probability_0,probability_1,probability_2,probability_3\n"
        f"f,p,2,0.75,,{','.join(GRADED.columns.values())},,,0.25,0.25,0.30000000000000004,0.2\n"
    )
    assert predictions.read(path) == [GRADED]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("f,p,2", "f,p,4", r"record 1: image 'f' has label '4', wanted 0 to 3"),
        ("0.30000000000000004", "nan", r"image 'f' has probability nan, wanted 0 to 1; if it is"),
        ("0.30000000000000004", "much", r"image 'f' has probability 'much', wanted a number"),
        (",0.2\n", "\n", r"record 1: [0-9]+ columns, wanted"),
        ("probability_2", "probability_x", r"has header 'image_id.*probability_x"),
    ],
)
def test_refuses_a_record_of_several_classes(
    tmp_path: pathlib.Path, old: str, new: str, message: str
) -> None:
    path = tmp_path / "predictions.csv"
    predictions.write(path, [GRADED])
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(CallerError, match=message):
        predictions.read(path)


def test_refuses_a_label_that_is_no_class() -> None:
    with pytest.raises(CallerError, match="image 'f' has label 3, wanted 0 to 2"):
        Prediction("f", "p", 3, probabilities=(0.5, 0.25, 0.25))


CALIBRATED = Prediction(
    "g",
    "q",
    0,
    probabilities=(0.25, 0.5, 0.25),
    calibrated_probabilities=(0.5, 0.125, 0.375),
)


def test_calibrated_probabilities_follow_in_columns_of_their_own(tmp_path: pathlib.Path) -> None:
    """Of pooled folds some may have been calibrated and others not."""
    path = tmp_path / "predictions.csv"
    images = [CALIBRATED, Prediction("f", "p", 2, probabilities=(0.25, 0.25, 0.5))]
    predictions.write(path, images)
    classes = ",".join(f"{name}_{k}" for name in ("probability", "calibrated") for k in range(3))
    assert path.read_text() == (
        f"{HEADER},{classes}\n"
        f"g,q,0,0.75,{EMPTY},0.5,,0.25,0.5,0.25,0.5,0.125,0.375\n"
        f"f,p,2,0.75,{EMPTY},,,0.25,0.25,0.5,,,\n"
    )
    assert predictions.read(path) == images


@pytest.mark.parametrize("classes", ["", ",probability_0,probability_1,probability_2"])
def test_reads_files_from_before_there_was_calibration(
    tmp_path: pathlib.Path, classes: str
) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text(
        f"{EARLIER}{classes}\nf,p,1,0.5,test,left{EMPTY[1:]}{classes and ',0.5,0.25,0.25'}\n"
    )
    (image,) = predictions.read(path)
    assert (image.calibrated, image.threshold, image.calibrated_probabilities) == (None, None, ())
    assert (image.split, image.columns["side"]) == ("test", "left")
    assert image.probabilities == ((0.5, 0.25, 0.25) if classes else (0.5, 0.5))


def test_reads_files_from_before_a_record_had_a_column(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text(f"{FIRST},side,density,calibrated,threshold\nf,p,1,0.5,test,left,3,,\n")
    (image,) = predictions.read(path)
    assert image.columns == dict.fromkeys(schema.TITLES, "") | {"side": "left", "density": "3"}


@pytest.mark.parametrize(
    "columns",
    ["probability_0", "probability_0,probability_1", "calibrated_0,calibrated_1,calibrated_2"],
)
def test_refuses_columns_of_classes_that_make_no_sense(
    tmp_path: pathlib.Path, columns: str
) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text(f"{HEADER},{columns}\n")
    with pytest.raises(CallerError, match=r"has header .*, wanted 'image_id,"):
        predictions.read(path)


def test_refuses_part_of_the_calibrated_probabilities() -> None:
    with pytest.raises(CallerError, match="image 'f' has 2 calibrated probabilities, wanted 3 or"):
        dataclasses.replace(CALIBRATED, image_id="f", calibrated_probabilities=(0.5, 0.5))
