"""An image file becomes the pixels that its record holds, to the last bit."""

from __future__ import annotations

import csv
import dataclasses
import json
import pathlib
import shutil

import cv2
import imagecodecs
import numpy as np
import pytest
import tensorflow as tf
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless

from beam_jobs.imaging import polarity
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


def check(
    directory: pathlib.Path, data_dir: pathlib.Path, *, told: bool = True, remarks: bool = False
) -> int:
    """Compares all records with what their images become here; returns how many there are."""
    manifest = folder.read_manifest(directory)
    preparation = Preparation.from_manifest(manifest)
    images = images_of(directory)
    with (directory / "sources.csv").open(newline="") as stream:
        rows = {row["image_id"]: row for row in csv.DictReader(stream)}
    for name, pixels in images.items():
        row = rows[name]
        known = {key: row[key] for key in ("view", "side")} if told else {}
        known |= {"discrepancies": row["discrepancies"]} if remarks else {}
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


@pytest.fixture(scope="module")
def wavelets(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Eight JPEG 2000 images of a bright bar at rows 120-135, columns 40-55, and their table."""
    folder = tmp_path_factory.mktemp("wavelets")
    rows = []
    for number in range(8):
        stored = np.random.default_rng(number).integers(0, 200, (257, 161)).astype(np.uint16)
        stored[120:136, 40:56] = 4000
        stream = imagecodecs.jpeg2k_encode(
            stored, level=0, codecformat="J2K", reversible=True, bitspersample=12
        )
        make.write_dicom(
            folder / f"{number}.dcm",
            stored,
            bits_stored=12,
            syntax=JPEG2000Lossless,
            SOPInstanceUID=f"1.2.{number}",
            PixelData=encapsulate([bytes(stream)]),
            ViewPosition="CC",
            ImageLaterality="R",
        )
        rows.append(f"{number}.dcm,p{number},{('benign', 'malignant')[number % 2]},CC,right\n")
    (folder / "t.csv").write_text("path,patient_id,pathology,view,side\n" + "".join(rows))
    return folder


def test_wavelet_levels_are_those_of_the_conversion(wavelets, tmp_path):
    convert(
        tmp_path,
        wavelets,
        *("--dataset=table", "--sizes=32x20", "--recipe=plain", "--decode_scale=auto"),
    )
    directory = tmp_path / "table" / "32x20" / "plain"
    assert check(directory, wavelets) == 8
    preparation = Preparation.from_manifest(folder.read_manifest(directory))
    assert preparation.decode_at_least == ImageSize(64, 40)
    low = image_file.prepare(wavelets / "0.dcm", preparation)
    whole = image_file.prepare(
        wavelets / "0.dcm", dataclasses.replace(preparation, decode_at_least=None)
    )
    assert not np.array_equal(low.record, whole.record)
    np.testing.assert_array_equal(low.pixels, whole.pixels)  # places are of the whole image
    for image in (low, whole):  # the bar's middle, as the record has it, lies where it was drawn
        weights = image.record[:, :, 0].astype(float) ** 4
        middle = [
            (weights.sum(axis) @ np.arange(n)) / weights.sum() for axis, n in ((0, 20), (1, 32))
        ]
        column, row, _ = image.matrix @ (*middle, 1)
        assert abs(column - 47.5) < 1
        assert abs(row - 127.5) < 1


def test_polarity_and_aspect_are_those_of_the_conversion(tmp_path):
    rows, columns = np.mgrid[:80, :80]
    depth = 1 - ((rows - 40) / 37) ** 2 - (columns / 50) ** 2
    drawn = np.where(depth > 0, 60 + 150 * depth.clip(0) ** 0.5, 1).astype(np.uint8)
    data = tmp_path / "images"
    data.mkdir()
    lines = ["path,patient_id,pathology,view,side,negative,hw"]
    for number in range(8):
        pixels = drawn + np.uint8(number)
        assert cv2.imwrite(str(data / f"{number}.png"), pixels if number % 3 else 255 - pixels)
        lines.append(f"{number}.png,p{number},{number % 2},CC,right,{number % 2},5:4")
    (data / "t.csv").write_text("\n".join(lines))
    flags = ("--dataset=table", "--sizes=40x24", "--recipe=clean,crop,orient:right,resize:pad")
    convert(tmp_path / "a", data, *flags, "--aspect=4:3")
    directory = next((tmp_path / "a").rglob("manifest.json")).parent
    assert check(directory, data) == 8
    convert(tmp_path / "b", data, *flags[:2], "--recipe=plain", "--invert=negative", "--aspect=hw")
    directory = next((tmp_path / "b").rglob("manifest.json")).parent
    preparation = Preparation.from_manifest(folder.read_manifest(directory))
    with pytest.raises(UnusableImage, match="aspect_unknown: column hw of a table stated those"):
        image_file.prepare(data / "0.png", preparation, view="CC", side="right")
    convert(tmp_path / "c", data, *flags[:2], "--recipe=plain", "--invert=negative")
    directory = next((tmp_path / "c").rglob("manifest.json")).parent
    assert check(directory, data, remarks=True) == 8  # by what sources.csv says, not by the pixels


def test_what_to_do_about_a_pale_image_is_said(tmp_path):
    pixels = np.full((60, 40), 255, np.uint8)  # a negative
    pixels[:, 20:] = np.linspace(80, 60, 20)
    assert cv2.imwrite(str(tmp_path / "a.png"), pixels)
    preparation = Preparation("resize:pad", ImageSize(32, 32), 10**6, invert=True)
    found = image_file.prepare(tmp_path / "a.png", preparation, view="CC", side="right").remarks
    assert found == (
        "polarity: inverted by the pixels",
        f"{polarity.PALE}; give the image processed for presentation, if there is one",
    )


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
