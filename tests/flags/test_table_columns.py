"""Tests of what --columns and --values say."""

from __future__ import annotations

import pathlib

import pytest

from flags.conversion_config import ConversionConfig
from flags.table_columns import parse_columns, parse_values
from records.errors import CallerError
from records.image_size import ImageSize


def test_columns():
    assert parse_columns(["path=image", "patient_id=", "view=a=b"]) == (
        ("path", "image"),
        ("patient_id", ""),
        ("view", "a=b"),
    )


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["path"], r"--columns: 'path' is not key=column, such as path=file_name"),
        (["pth=x"], r"--columns=pth is not known; did you mean path\?"),
        (["path=x", "path=y"], "--columns names path twice"),
    ],
)
def test_bad_columns(texts, message):
    with pytest.raises(CallerError, match=message):
        parse_columns(texts)


def test_values():
    assert parse_values(["pathology:1=malignant", "view:a=b:c=CC", "density:="]) == (
        ("pathology", "1", "malignant"),
        ("view", "a=b:c", "CC"),
        ("density", "", ""),
    )


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["1=malignant"], r"'1=malignant' is not key:found=meant, such as pathology:1=malignant"),
        (["pathology:1"], r"'pathology:1' is not key:found=meant"),
        (["label:1=benign"], "--values=label is not one of"),
        (["side:L=left", "side:L=right"], "--values has side:L twice; keep one"),
    ],
)
def test_bad_values(texts, message):
    with pytest.raises(CallerError, match=message):
        parse_values(texts)


@pytest.fixture
def parse(parse_flags, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: ConversionConfig.from_flags(parse_flags(ConversionConfig, *arguments))


def test_the_table_is_split_officially_if_it_says_how(parse):
    config = parse("--dataset=table", "--columns=path=file,split=part", "--values=split:0=train")
    assert config.split_policy == "official"
    assert config.columns == (("path", "file"), ("split", "part"))
    assert config.values == (("split", "0", "train"),)
    assert parse("--dataset=table").split_policy == "patient"
    assert parse("--dataset=table", "--columns=split=").split_policy == "patient"
    with pytest.raises(CallerError, match=r"table has no official test set; name its column by"):
        parse("--dataset=table", "--split_policy=official")


@pytest.mark.parametrize("flag", ["--table=x.csv", "--columns=path=x", "--values=side:L=left"])
def test_other_data_sets_have_tables_of_their_own(flag, parse):
    with pytest.raises(CallerError, match=r"are for --dataset=table, not cmmd"):
        parse("--dataset=cmmd", flag)


def test_what_decides_the_records():
    plain = {
        "data_dir": pathlib.Path("d"),
        "output_dir": pathlib.Path("o"),
        "sizes": (ImageSize(64, 32),),
        "split_policy": "patient",
    }
    config = ConversionConfig(
        dataset="table", table="x.csv", columns=(("path", "file"),), **plain
    ).identity()
    assert config["columns"] == [["path", "file"]]
    assert not {"table", "values"} & config.keys()
    assert (
        not {"table", "columns", "values"}
        & ConversionConfig(dataset="cmmd", **plain).identity().keys()
    )
