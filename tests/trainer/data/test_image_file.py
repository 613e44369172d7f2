"""An image file becomes the pixels that its record holds, to the last bit."""

from __future__ import annotations

import csv
import json
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf

from beam_jobs.imaging.unusable import UnusableImage
from flags import recipe_spec
from records import folder
from records.errors import CallerError
from records.image_size import ImageSize
from records.preprocessing import Preparation
from tests import make
from trainer.data import image_file
from trainer.metrics import typed_json

RECIPES = ("paper", "best_practice", "clean,crop,orient:left:by=side,resize:crop,clahe,minmax")


def convert(root: pathlib.Path, data_dir: pathlib.Path, *arguments: str) -> None:
    """Runs the Beam job as a user does."""
    run = make.program(
        *("beam_jobs.tfrecords", f"--data_dir={data_dir}", f"--output_dir={root}"),
        *("--split_policy=patient", "--folds=2", "--test_fraction=0", *arguments),
    )
    assert run.returncode == 0, run.stderr


def images_of(directory: pathlib.Path) -> dict[str, np.ndarray]:
    """Reads every record with TensorFlow's own reader."""
    height, width = map(int, directory.parent.name.split("x"))
    images = {}
    for shard in directory.glob("*.tfrecord-*"):
        for record in tf.data.TFRecordDataset(str(shard)).as_numpy_iterator():
            features = tf.train.Example.FromString(record).features.feature
            pixels = np.frombuffer(features["image"].bytes_list.value[0], "<u2")
            images[features["image_id"].bytes_list.value[0].decode()] = pixels.reshape(
                height, width, 1
            )
    return images


def check(directory: pathlib.Path, data_dir: pathlib.Path, *, told: bool = True) -> int:
    """Compares all records with what their images become here; returns how many there are."""
    manifest = folder.read_manifest(directory)
    preparation = Preparation.from_manifest(manifest)
    images = images_of(directory)
    with (directory / "sources.csv").open(newline="") as stream:
        rows = {row["image_id"]: row for row in csv.DictReader(stream)}
    for name, pixels in images.items():
        row = rows[name]
        known = {key: row[key] for key in ("view", "side")} if told else {}
        image = image_file.prepare(data_dir / row["path"], preparation, **known)
        np.testing.assert_array_equal(image.record, pixels)
        assert (image.view, image.side) == (row["view"], row["side"])
    return len(images)


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, pathlib.Path]:
    """Ten phantom images, and their records by three recipes."""
    root = tmp_path_factory.mktemp("phantoms")
    convert(
        root / "out",
        root / "images",
        *("--dataset=phantom", "--phantom_images=10", "--phantom_size=2049x640"),
        *("--sizes=64x48", *(f"--recipe={name}" for name in RECIPES)),
    )
    return root / "images", root / "out" / "phantom" / "64x48"


@pytest.mark.parametrize("told", [True, False], ids=["told", "from the header"])
@pytest.mark.parametrize("name", RECIPES)
def test_phantoms_become_their_records(name, told, phantoms):
    data_dir, out = phantoms
    assert check(out / recipe_spec.folder_name(name), data_dir, told=told) == 10


def test_window_and_frame_are_those_of_the_conversion(tmp_path, write_dicom):
    stored = np.random.default_rng(0).integers(0, 4096, (8, 2, 40, 30), dtype=np.uint16)
    for number, frames in enumerate(stored):
        write_dicom(
            tmp_path / "images" / f"{number}.dcm",
            frames,
            bits_stored=12,
            photometric="MONOCHROME1",
            WindowCenter=["1000", "2000"],
            WindowWidth=["900", "1500"],
            ViewPosition="CC",
            ImageLaterality="R",
        )
    rows = [f"{n}.dcm,p{n},{('benign', 'malignant')[n % 2]},CC,right\n" for n in range(8)]
    (tmp_path / "images" / "t.csv").write_text(
        "path,patient_id,pathology,view,side\n" + "".join(rows)
    )
    convert(
        tmp_path / "out",
        tmp_path / "images",
        *("--dataset=table", "--sizes=20x31", "--recipe=plain", "--window=1", "--frame=1"),
    )
    directory = tmp_path / "out" / "table" / "20x31" / "plain"
    assert json.loads((directory / "manifest.json").read_text())["window"] == "1"
    assert check(directory, tmp_path / "images", told=False) == 8


def test_real_images_become_their_records(mini_mias_folder, tmp_path):
    kept = tmp_path / "images"
    kept.mkdir()
    for name in ("Info.txt", *(f"mdb{number:03d}.pgm" for number in range(1, 13))):
        (found,) = mini_mias_folder.rglob(name)
        shutil.copy(found, kept)
    convert(
        tmp_path / "out",
        kept,
        *("--dataset=mini_mias", "--sizes=128x96", "--recipe=paper", "--recipe=best_practice"),
    )
    for name in ("paper", "best_practice"):
        assert check(tmp_path / "out" / "mini_mias" / "128x96" / name, kept) == 12


def write_image(path: pathlib.Path) -> pathlib.Path:
    pixels = np.random.default_rng(1).integers(0, 256, (60, 40), dtype=np.uint8)
    path.write_bytes(b"P5 40 60 255\n" + pixels.tobytes())
    return path


@pytest.mark.parametrize(
    ("steps", "told", "reason"),
    [
        ("pectoral,resize", {"side": "left"}, "view_unknown: the recipe's pectoral needs the view"),
        ("orient:by=side,resize", {"view": "CC"}, "side_unknown: the recipe's orient needs the s"),
    ],
    ids=["view", "side"],
)
def test_a_image_that_lacks_what_the_recipe_needs(steps, told, reason, tmp_path):
    path = write_image(tmp_path / "image.pgm")
    preparation = Preparation(steps, ImageSize(20, 20), max_pixels=10**6)
    with pytest.raises(UnusableImage, match=reason):
        image_file.prepare(path, preparation, **told)


def test_a_image_that_is_not_there(tmp_path):
    preparation = Preparation("resize:pad", ImageSize(20, 20), max_pixels=10**6)
    with pytest.raises(UnusableImage, match="unreadable: No such file"):
        image_file.prepare(tmp_path / "gone.dcm", preparation)


def test_the_run_says_how_its_images_were_prepared(made_records, tmp_path, caplog):
    manifest = folder.read_manifest(made_records.directory)
    preparation = Preparation.from_manifest(manifest)
    stated = typed_json.to_json(preparation)
    make.write_described(tmp_path, preparation=stated)
    assert image_file.read_preparation(tmp_path) == preparation
    assert not caplog.records
    stated["versions"] = {**stated["versions"], "numpy": "0.1"}
    make.write_described(tmp_path, preparation=stated)
    assert image_file.read_preparation(tmp_path).recipe == "resize:pad"
    assert "numpy 0.1 prepared the images" in caplog.text


def test_an_older_run_takes_it_from_its_records(made_records, tmp_path):
    manifest = folder.read_manifest(made_records.directory)
    run = {
        "dataset_dir": str(made_records.directory),
        "data_fingerprint": manifest.data_fingerprint,
    }
    make.write_described(tmp_path, **run)
    assert image_file.read_preparation(tmp_path) == Preparation.from_manifest(manifest)
    make.write_described(tmp_path, **{**run, "data_fingerprint": "another"})
    with pytest.raises(CallerError, match="does not state how its images were prepared"):
        image_file.read_preparation(tmp_path)


def test_no_run(tmp_path):
    with pytest.raises(CallerError, match=r"holds no run\.json"):
        image_file.read_preparation(tmp_path)
