"""Tests of the conversion's flags and configuration."""

from __future__ import annotations

import dataclasses
import json
import pathlib

import pytest
from absl import flags

from flags import datasets
from flags.conversion_config import ConversionConfig
from records.errors import CallerError
from records.image_size import ImageSize


def make(**changes) -> ConversionConfig:
    plain = {
        "dataset": "cbis_ddsm",
        "data_dir": pathlib.Path("d"),
        "output_dir": pathlib.Path("o"),
        "sizes": (ImageSize(64, 32),),
    }
    return ConversionConfig(**{**plain, **changes})


@pytest.fixture
def parse(parse_flags, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: ConversionConfig.from_flags(parse_flags(ConversionConfig, *arguments))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": "cbis"}, r"--dataset=cbis is not one of .*; did you mean cbis_ddsm\?"),
        ({"recipes": ("plain", "papers")}, r"--recipe=papers: .*; did you mean paper\?"),
        ({"label_policy": "any"}, r"--label_policy=any is not one of any_malignant, paper"),
        ({"split_policy": "patients"}, r"--split_policy=patients .* did you mean patient\?"),
        ({"leak_policy": "drop"}, r"--leak_policy=drop is not one of"),
        (
            {"dataset": "mini_mias"},
            r"--split_policy=official: mini_mias has no official test set; "
            r"use --split_policy=patient",
        ),
        ({"sizes": ()}, r"--sizes is empty; give at least one, for example 512x512"),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else None,
)
def test_refused(changes, message):
    with pytest.raises(CallerError, match=message):
        make(**changes)


def test_defaults(parse):
    config = parse()
    assert config.dataset == "phantom"
    assert config.data_dir == pathlib.Path("data/phantom")
    assert config.sizes == (ImageSize(512, 512),)
    assert config.recipes == ("paper",)
    assert config.split_policy == "official"
    # what the flags say by default is what the class says by default
    for field in dataclasses.fields(ConversionConfig):
        if field.default is not dataclasses.MISSING:
            assert getattr(config, field.name) == field.default, field.name


@pytest.mark.parametrize("name", datasets.DATASETS)
def test_the_official_split_is_used_where_there_is_one(name, parse):
    official = datasets.DATASETS[name].official_split
    assert parse(f"--dataset={name}").split_policy == ("official" if official else "patient")


def test_all_flags(parse):
    config = parse(
        "--dataset=mini_mias", "--data_dir=x", "--output_dir=y",
        "--sizes=2048x1376,512x512,512x512",
        "--recipe=plain", "--recipe=paper", "--recipe=plain", "--label_policy=paper",
        "--leak_policy=keep", "--folds=5", "--test_fraction=0.3", "--split_seed=7",
        "--images_per_shard=3", "--max_pixels=99", "--max_rejected=0.5", "--phantom_images=8",
        "--phantom_size=3000x700", "--overwrite", "--window=2", "--frame=3", "--decoder=tfio",
    )  # fmt: skip
    assert config == ConversionConfig(
        dataset="mini_mias",
        data_dir=pathlib.Path("x"),
        output_dir=pathlib.Path("y"),
        sizes=(ImageSize(2048, 1376), ImageSize(512, 512)),
        recipes=("plain", "paper"),
        label_policy="paper",
        split_policy="patient",  # mini-MIAS has no official one
        leak_policy="keep",
        folds=5,
        test_fraction=0.3,
        split_seed=7,
        images_per_shard=3,
        max_pixels=99,
        window="2",
        frame=3,
        decoder="tfio",
        max_rejected=0.5,
        phantom_images=8,
        phantom_size=ImageSize(3000, 700),
        overwrite=True,
    )


def test_the_set_that_lies_there_is_taken(parse, tmp_path):
    (tmp_path / "data" / "mini_mias").mkdir(parents=True)
    assert parse().dataset == "mini_mias"
    (tmp_path / "data" / "phantom").mkdir()
    assert parse().dataset == "mini_mias"
    (tmp_path / "data" / "cbis_ddsm").mkdir()
    with pytest.raises(CallerError, match="data/ holds cbis_ddsm and mini_mias; choose with --da"):
        parse()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data_dir=x"], r"--data_dir=x without --dataset; add --dataset=cbis_ddsm\|mini_mias"),
        (["--dataset=embed"], "--dataset=embed is not one of cbis_ddsm, mini_mias"),
        (["--sizes=512"], "size '512' is not HEIGHTxWIDTH"),
        (["--sizes="], "--sizes is empty"),
        (["--phantom_size=9"], "size '9' is not"),
        (["--phantom_size=2048x700"], "2048x700 is less than 2049x640"),
        (["--window=last"], "--window=last is not one of none, first, INDEX; an index counts"),
        (["--window=-1"], "--window=-1 is not one of none, first, INDEX"),
        (["--window=INDEX"], "--window=INDEX is not one of"),
        (["--decoder=gdcm"], "--decoder=gdcm is not one of auto, pydicom, tfio"),
        (["--dataset=mini_mias", "--split_policy=official"], "has no official test set"),
        (["--test_fraction=0.01"], "--test_fraction=0.01 is less than 0.05; give 0 for no test"),
    ],
)
def test_refused_flags(arguments, message, parse):
    with pytest.raises(CallerError, match=message):
        parse(*arguments)


@pytest.mark.parametrize(
    "argument",
    [
        "--frame=-1",
        "--folds=1",
        "--folds=x",
        "--test_fraction=0.6",
        "--images_per_shard=0",
        "--max_rejected=2",
    ],
)
def test_numbers_out_of_range(argument, parse):
    name = argument.split("=")[0].strip("-")
    with pytest.raises((CallerError, flags.IllegalFlagValueError), match=name):
        parse(argument)


def test_json_says_what_decides_the_records():
    one = make().identity()
    json.dumps(one)
    assert one == make(data_dir=pathlib.Path("z"), overwrite=True, max_rejected=1.0).identity()
    assert one != make(folds=5).identity()
    assert one != make(label_policy="paper").identity()
    assert one["dataset"] == "cbis_ddsm"
    assert not {"phantom_images", "window", "frame", "decoder"} & one.keys()
    assert make(decoder="pydicom").identity() == one  # the same pixels
    assert make(decoder="tfio").identity()["decoder"] == "tfio"
    assert make(window="first", frame=2).identity() == {**one, "window": "first", "frame": 2}
    assert (
        make(phantom_images=9, phantom_size=ImageSize(3000, 700)).identity()["phantom_images"] == 9
    )


def test_absl_flags_stay_clean(parse_flags):
    before = set(flags.FLAGS)
    parse_flags(ConversionConfig)
    assert set(flags.FLAGS) == before
