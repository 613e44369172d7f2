import re
import shutil

import pytest

from flags import targets
from records.errors import CallerError
from tests import make
from trainer.data import dataset, records_folder
from trainer.metrics import typed_json

TARGET = targets.TARGETS["pathology"]


@pytest.fixture
def copy(records_dir, tmp_path):
    return shutil.copytree(records_dir, tmp_path / "copy")


def test_counts_agree_with_the_tables(records_dir, listed):
    opened = records_folder.open_records(records_dir)
    split = dataset.select(opened, "test", ["test"], TARGET)
    rows = [row for row in listed.values() if row["split"] == "test"]
    assert len(split.images) == len(rows) == 18
    assert typed_json.to_json(split.describe(TARGET.names)) == {
        "folds": ["test"],
        "images": 18,
        "patients": len({row["patient_id"] for row in rows}),
        "labels": {
            "benign": sum(row["pathology"] == "benign" for row in rows),
            "malignant": sum(row["pathology"] == "malignant" for row in rows),
        },
        "left_out": 0,
        "filtered": 0,
        "damaged": 0,
        "epoch": 18,
    }


def test_another_schema_version_is_refused(copy):
    make.edit_json(copy / "manifest.json", schema_version="1.0.0")
    with pytest.raises(CallerError, match=r"has schema version 1\.0\.0.*convert the images again"):
        records_folder.open_records(copy)


def test_a_cut_shard_is_refused(copy):
    shard = next(copy.glob("*.tfrecord-*"))
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(CallerError, match=rf"{shard.name} is \d+ bytes, manifest.json says"):
        records_folder.open_records(copy)


def test_a_lost_shard_is_refused(copy):
    shard = next(copy.glob("*.tfrecord-*"))
    shard.unlink()
    with pytest.raises(CallerError, match=rf"{shard.name} is missing"):
        records_folder.open_records(copy)


def test_an_unfinished_conversion_is_refused(copy):
    (copy / "manifest.json").unlink()
    with pytest.raises(CallerError, match=r"not finished: run the same command again"):
        records_folder.open_records(copy)


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(CallerError, match=r"holds no manifest.json"):
        records_folder.open_records(tmp_path)
    with pytest.raises(CallerError, match=r"is not a folder"):
        records_folder.open_records(tmp_path / "nowhere")


def test_an_empty_split_is_refused(records_dir):
    opened = records_folder.open_records(records_dir)
    with pytest.raises(CallerError, match=r"the validation images \(fold9\) hold 0 with a label"):
        dataset.select(opened, "validation", ["fold9"], TARGET)


@pytest.mark.parametrize(
    ("name", "flag"),
    [("test", "--test_fraction"), ("validation", "--fold"), ("fold9", "--test_fold")],
)
def test_a_split_of_too_few_images_names_the_flag_that_changes_it(name, flag, records_dir):
    opened = records_folder.open_records(records_dir)
    with pytest.raises(CallerError, match=r"hold 0 with") as error:
        dataset.select(opened, name, ["fold9"], TARGET)
    assert re.findall(r"--\w+", str(error.value)) == [flag, "--target"]


def test_the_only_folder_is_found_and_a_choice_is_listed(records_dir, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CallerError, match=r"no records under data/tfrecords; make some"):
        records_folder.find_directory(None)
    first = tmp_path / "data/tfrecords/cbis_ddsm/64x48/plain"
    shutil.copytree(records_dir, first)
    assert records_folder.find_directory(None).resolve() == first
    assert records_folder.find_directory("data/tfrecords").resolve() == first
    assert records_folder.find_directory(str(first)) == first
    shutil.copytree(records_dir, first.parent / "paper")
    with pytest.raises(CallerError, match=r"holds 2 sets.*--dataset_dir=.*paper --dataset_dir="):
        records_folder.find_directory(None)
