"""Tests of the phantom sample: what is on disk, and that it is what the docstrings promise."""

import csv
import dataclasses
import hashlib

import numpy as np
import pydicom
import pytest
import scipy.signal

from beam_jobs import image_list
from beam_jobs.sources import phantom, phantom_image
from beam_jobs.sources.phantom_image import Sample
from flags.conversion_config import ConversionConfig
from records.image_size import ImageSize

SAMPLE = Sample(images=9, height=2100, width=700, seed=3)
TABLES = [
    f"{kind}_case_description_{split}_set.csv"
    for kind in ("mass", "calc")
    for split in ("train", "test")
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    directory = tmp_path_factory.mktemp("phantom") / "sample"
    phantom.make(directory, SAMPLE, workers=1)
    return directory


@pytest.fixture(scope="module")
def images(folder):
    """The images of the sample by folder name: (data set, pixels in 0..1, bright on dark)."""
    found = {}
    for path in sorted(folder.glob("*/*/*/1-1.dcm")):
        dataset = pydicom.dcmread(path)
        pixels = dataset.pixel_array / (2**dataset.BitsStored - 1)
        if dataset.PhotometricInterpretation == "MONOCHROME1":
            pixels = 1 - pixels
        found[path.parents[2].name] = dataset, pixels
    return found


def read_table(path):
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines))


def read_rows(folder):
    return [(name, row) for name in TABLES for row in read_table(folder / name)]


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_bytes_do_not_depend_on_workers(folder, tmp_path):
    phantom.make(tmp_path / "sample", SAMPLE, workers=2)
    assert digests(tmp_path / "sample") == digests(folder)


def test_seed_changes_every_image(folder):
    images = phantom.plan(dataclasses.replace(SAMPLE, seed=4))
    assert images != phantom.plan(SAMPLE)


def test_images_are_dicom_of_full_size(images):
    assert len(images) == SAMPLE.images
    for name, (dataset, pixels) in images.items():
        _, _, number, side, view = name.split("_")
        assert dataset.Modality == "MG"
        assert dataset.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
        assert dataset.BitsAllocated == 16
        assert dataset.BitsStored in (12, 14, 16)
        assert dataset.HighBit == dataset.BitsStored - 1
        assert (dataset.ImageLaterality, dataset.ViewPosition) == (side[0], view)
        assert dataset.PatientID == name
        assert number.isdigit()
        assert "ynthetic" in dataset.Manufacturer
        assert dataset.StudyInstanceUID.is_valid
        assert dataset.StudyInstanceUID.startswith("2.25.")
        assert not any("Date" in element.name for element in dataset)
        assert pixels.shape[0] > 2048
        assert pixels.shape[0] >= SAMPLE.height
        assert pixels.shape[1] >= SAMPLE.width


def test_every_uid_is_used_once(images):
    for level in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        assert len({getattr(dataset, level) for dataset, _ in images.values()}) == len(images)


def test_both_photometric_interpretations_are_dark_outside_the_breast(images):
    seen = set()
    for dataset, pixels in images.values():
        seen.add(dataset.PhotometricInterpretation)
        away = pixels[900:1200, -8:] if dataset.ImageLaterality == "L" else pixels[900:1200, :8]
        assert away.mean() < 0.12
    assert seen == {"MONOCHROME1", "MONOCHROME2"}


def test_chest_wall_is_on_the_side_of_the_breast(images):
    sides = set()
    for dataset, pixels in images.values():
        sides.add(dataset.ImageLaterality)
        middle = pixels.shape[1] // 2
        left, right = pixels[:, :middle].mean(), pixels[:, middle:].mean()
        assert (left > right) == (dataset.ImageLaterality == "L")
    assert sides == {"L", "R"}


def test_tables_and_images_agree(folder, images):
    rows = read_rows(folder)
    assert {row["image file path"].split("/")[0] for _, row in rows} == set(images)
    for name, row in rows:
        kind, _, _, split, _ = name.split("_")
        image, study, series, last = row["image file path"].split("/")
        dataset, _ = images[image]
        where = f"{kind.capitalize()}-{'Training' if split == 'train' else 'Test'}"
        side, view = row["left or right breast"], row["image view"]
        assert image == f"{where}_{row['patient_id']}_{side}_{view}"
        assert (study, series) == (dataset.StudyInstanceUID, dataset.SeriesInstanceUID)
        assert last == "000000.dcm"
        assert row["pathology"] in ("BENIGN", "BENIGN_WITHOUT_CALLBACK", "MALIGNANT")
        assert row["assessment"] in "2345"
        assert row["subtlety"] in "345"
        quoted = "ROI mask file path" if kind == "mass" else "cropped image file path"
        assert [column for column, cell in row.items() if cell.endswith("\n")] == [quoted]


@pytest.mark.parametrize("name", TABLES)
def test_tables_have_the_official_form(folder, official_tables, name):
    official = read_table(official_tables / name)
    ours = (folder / name).read_bytes()
    assert ours.partition(b"\n")[0] == (official_tables / name).read_bytes().partition(b"\n")[0]
    for column in ("assessment", "pathology", "subtlety", "image view", "abnormality type"):
        words = {row[column] for row in official}
        assert {row[column] for row in read_table(folder / name)} <= words


@pytest.mark.parametrize(
    ("kind", "scale"), [("mass", phantom.MASS_WORDS), ("calc", phantom.CALC_WORDS)], ids=str
)
def test_lesion_words_are_official(official_tables, kind, scale):
    rows = [r for n in TABLES if n.startswith(kind) for r in read_table(official_tables / n)]
    _, first, second = phantom.COLUMNS[kind]
    assert {word for _, (word, _) in scale} <= {row[first] for row in rows}
    assert {word for _, (_, word) in scale} <= {row[second] for row in rows}


def test_default_plan_is_balanced_and_split_by_patient():
    images = phantom.plan(Sample())
    train = {image.patient for image in images if image.split == "Training"}
    test = {image.patient for image in images if image.split == "Test"}
    assert not train & test
    assert 0.25 < len(test) / len(train | test) < 0.35
    malignant = [image.lesions[0].pathology == "MALIGNANT" for image in images]
    assert 0.4 < np.mean(malignant) < 0.5
    assert 0.5 < np.mean([image.kind == "mass" for image in images]) < 0.7
    assert 0.2 < np.mean([image.inverted for image in images]) < 0.3
    assert {image.bits for image in images} == {12, 14, 16}
    assert {image.density for image in images} == {1, 2, 3, 4}
    assert len({image.folder for image in images}) == len(images) == 280


def test_texture_follows_the_power_law():
    """Welch's average of windowed squares against the straight line of slope -3."""
    noise = phantom_image.texture((1100, 900), np.random.default_rng(1))
    assert noise.shape == (1100, 900)
    assert noise.dtype == np.float32
    n = 256
    window = np.outer(scipy.signal.windows.hann(n), scipy.signal.windows.hann(n))
    power = np.zeros((n, n))
    for top in range(0, 1100 - n, n // 2):
        for left in range(0, 900 - n, n // 2):
            square = noise[top : top + n, left : left + n]
            power += np.abs(np.fft.fft2((square - square.mean()) * window)) ** 2
    frequency = np.hypot(np.fft.fftfreq(n)[:, None], np.fft.fftfreq(n)[None, :])
    edges = np.geomspace(4 / n, 0.4, 12)
    ring = np.digitize(frequency, edges)
    radial = [power[ring == i].mean() for i in range(1, len(edges))]
    slope = np.polyfit(np.log(np.sqrt(edges[1:] * edges[:-1])), np.log(radial), 1)[0]
    assert 2.6 < -slope < 3.4


@pytest.mark.parametrize("workers", [1, 2])
def test_interrupted_make_leaves_nothing_and_can_be_repeated(tmp_path, workers):
    sample = Sample(images=4, height=2049, width=640)
    directory = tmp_path / "sample"

    def interrupt(done, total):
        assert (done, total) == (1, 4)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        phantom.make(directory, sample, workers=workers, report=interrupt)
    assert list(tmp_path.iterdir()) == []
    calls = []
    phantom.make(directory, sample, workers=1, report=lambda *call: calls.append(call))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert list(tmp_path.iterdir()) == [directory]


def test_same_sample_is_not_made_again(folder):
    phantom.make(folder, SAMPLE, report=lambda *_: pytest.fail("drew an image"))


def test_another_sample_is_refused(folder):
    with pytest.raises(ValueError, match=r"holds another phantom sample.*delete the folder"):
        phantom.make(folder, dataclasses.replace(SAMPLE, seed=5))


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("dear")
    with pytest.raises(ValueError, match=r"not a phantom folder \(no phantom.json\)"):
        phantom.make(tmp_path, SAMPLE)


def test_circles_are_where_lesions_are_drawn():
    """A lesion of twice the contrast, on the same grain: all that changes lies about its circle."""
    images = [
        image for image in phantom.plan(SAMPLE) if image.kind == "mass" and len(image.lesions) == 1
    ]
    assert {image.side for image in images} == {"LEFT", "RIGHT"}
    for image in images:
        ((column, row, radius),) = phantom_image.circles(image, SAMPLE)
        (lesion,) = image.lesions
        bold = dataclasses.replace(lesion, contrast=1.5 * lesion.contrast)
        change = phantom_image.draw(dataclasses.replace(image, lesions=(bold,)), SAMPLE)
        change = np.abs(change - phantom_image.draw(image, SAMPLE))
        rows, columns = np.nonzero(change > 0.5 * change.max())
        inside = np.hypot(columns - column, rows - row) < 1.6 * radius
        assert inside.mean() > 0.95
        assert radius == round(lesion.radius)


def test_images_as_listed_have_their_circles(folder):
    config = ConversionConfig(
        dataset="phantom",
        data_dir=folder,
        output_dir=folder,
        sizes=(ImageSize(8, 8),),
        split_policy="patient",
        folds=2,
        test_fraction=0,
    )
    listed = image_list.list_images(config, cache=None, report=lambda done, of: None)
    wanted = {image.folder: phantom_image.circles(image, SAMPLE) for image in phantom.plan(SAMPLE)}
    assert len(listed) == 9
    for image in listed:
        circles = [tuple(map(int, text.split(","))) for text in image.lesions.split(";")]
        assert circles == wanted[image.copies]


def test_what_another_call_is_writing_stays(tmp_path):
    others = [tmp_path / ".phantom.part", tmp_path / ".phantom.0123456789ab.tmp"]
    for other in others:
        other.mkdir()
    phantom.make(tmp_path / "phantom", Sample(images=4, height=2049, width=640), workers=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".phantom.0123456789ab.tmp",
        ".phantom.part",
        "phantom",
    ]
