"""The verb explain on a small run: pictures, the pointing game, the sanity check, channels."""

from __future__ import annotations

import csv
import json
import pathlib
import shutil

import cv2
import keras
import numpy as np
import pytest
from scipy import stats

from flags.training_config import TrainingConfig
from records.errors import CallerError
from tests import make
from trainer.commands import explain, train
from trainer.heat_maps import explained_images, feature_maps, overlay, sanity
from trainer.heat_maps.heat_map import HeatMapper
from trainer.metrics.predictions import Prediction

FOLD = {"minutes": 1.0, "splits": {}, "metrics": {}}


@pytest.fixture(scope="module")
def run_dir(records_dir, tmp_path_factory) -> pathlib.Path:
    """A run whose images have lesions: bright squares in malignant ones, as the tables say."""
    root = tmp_path_factory.mktemp("explained")
    records = root / "records"
    shutil.copytree(records_dir, records)
    with (records / "sources.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        row["lesions"] = "35,45,15" if row["pathology"] == "malignant" else ""
    with (records / "sources.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    config = TrainingConfig(
        dataset_dir=str(records),
        run_dir=str(root / "run"),
        **make.TINY,
        phase1_epochs=1,
        phase2_epochs=0,
    )
    return train.train(config)


def ask(run_dir: pathlib.Path, *arguments: str, **options: object) -> int:
    return explain.run(explain.Config(run=str(run_dir), arguments=arguments, **options))


@pytest.fixture(scope="module")
def images_dir(records_dir) -> pathlib.Path:
    return records_dir.parents[3] / "images"


def records_of(run_dir: pathlib.Path) -> str:
    """Where the records lie."""
    return json.loads((run_dir / "config.json").read_text())["dataset_dir"]


def test_the_run_says_how_its_images_were_prepared(run_dir):
    description = json.loads((run_dir / "run.json").read_text())
    assert description["preparation"]["recipe"] == "resize:pad"
    assert description["preparation"]["size"] == "64x48"


@pytest.mark.parametrize("kind", ["cross_validate", "ensemble"])
def test_several_networks_explain_by_their_mean(run_dir, images_dir, tmp_path, capfd, kind):
    other = shutil.copytree(run_dir, tmp_path / "other")
    model = keras.models.load_model(run_dir / "model.keras", compile=False)
    model.layers[-1].bias.assign_add([1.0])
    model.save(other / "model.keras")
    folder = shutil.copytree(run_dir, tmp_path / kind, ignore=shutil.ignore_patterns("*.keras"))
    networks = [str(run_dir), str(other)]
    parts = (
        {"members": networks}
        if kind == "ensemble"
        else {"folds": [{"run": network, **FOLD} for network in networks]}
    )
    for name, change in (("config", {"kind": kind}), ("run", parts)):
        content = json.loads((folder / f"{name}.json").read_text())
        (folder / f"{name}.json").write_text(json.dumps({**content, **change}))
    image = str(images_dir / "image001.pgm")
    found = []
    for one in (run_dir, other, folder):
        assert ask(one, image, output_dir=str(tmp_path / f"maps_{one.name}")) == 0
        found.append(float(capfd.readouterr().out.rpartition("malignant ")[2].partition(":")[0]))
    assert found[2] == pytest.approx((found[0] + found[1]) / 2, abs=0.011)
    assert found[1] - found[0] > 0.05
    with pytest.raises(CallerError, match=r"averages 2 networks, --sanity are of one: give --run="):
        ask(folder, image, sanity=True, output_dir=str(tmp_path / "no"))
    if kind == "cross_validate":
        with pytest.raises(
            CallerError, match=r"the images of --split are of one: .* or name image"
        ):
            ask(folder, output_dir=str(tmp_path / "no"))
    else:
        assert ask(folder, worst=1, output_dir=str(tmp_path / "worst")) == 0


def test_images_of_ones_own(run_dir, images_dir, tmp_path, capfd):
    bad = tmp_path / "bad.dcm"
    bad.write_bytes(b"nothing")
    paths = [str(images_dir / "image001.pgm"), str(bad), str(images_dir / "image002.pgm")]
    assert ask(run_dir, *paths, output_dir=str(tmp_path / "out")) == 1
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["001-image001.png", "002-image002.png"]
    for name in names:
        picture = cv2.imread(str(tmp_path / "out" / name))
        assert picture is not None
        assert picture.std() > 10
    said = capfd.readouterr()
    assert f"{bad}: not_an_image: 7 bytes" in said.err
    assert said.out.count("probability of malignant 0.") == 2


def test_worst_images_of_the_split(run_dir, tmp_path, capfd):
    assert ask(run_dir, worst=3, method="hirescam", output_dir=str(tmp_path)) == 0
    with (run_dir / "predictions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    wrong = {row["image_id"]: abs(int(row["label"]) - float(row["probability"])) for row in rows}
    worst = sorted(wrong, key=lambda name: (-wrong[name], name))[:3]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{number:03d}-{name}.png" for number, name in enumerate(worst, start=1)
    ]
    lines = capfd.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines if ".png" in line] == worst


def test_a_split_on_the_images_it_was_made_from(run_dir, images_dir, monkeypatch, tmp_path, capfd):
    """Each is laid out on its own file, as decoded by OpenCV; one that is gone is told."""
    folder = tmp_path / "images"
    shutil.copytree(images_dir, folder)
    drawn = {}
    monkeypatch.setattr(
        overlay, "write", lambda path, image, heat, **_: drawn.update({path.name: (image, heat)})
    )
    options = {"worst": 3, "data_dir": str(folder), "output_dir": str(tmp_path / "out")}
    assert ask(run_dir, **options) == 0
    with (run_dir / "predictions.csv").open(newline="") as stream:
        places = {row["image_id"]: row for row in csv.DictReader(stream)}
    with (pathlib.Path(records_of(run_dir)) / "sources.csv").open(newline="") as stream:
        paths = {row["image_id"]: row["path"] for row in csv.DictReader(stream)}
    assert len(drawn) == 3
    for name, (image, heat) in drawn.items():
        image_id = name.removesuffix(".png").split("-", 1)[1]
        assert image_id in places
        stored = cv2.imread(str(folder / paths[image_id]), cv2.IMREAD_UNCHANGED)
        assert image.shape == heat.shape == stored.shape
        assert np.corrcoef(image.ravel(), stored.ravel())[0, 1] > 0.9999
    (folder / paths[image_id]).unlink()
    assert ask(run_dir, **options) == 1
    assert f"{folder / paths[image_id]}: unreadable" in capfd.readouterr().err


def test_worst_of_several_classes():
    fractions = {"a": (0.2, 0.5, 0.3), "b": (0.7, 0.2, 0.1), "c": (0.1, 0.1, 0.8)}
    predicted = [Prediction(name, name, 1, probabilities=row) for name, row in fractions.items()]
    chosen = explained_images.choose_worst(predicted, 2)
    assert [image.image_id for image in chosen] == ["c", "b"]


def test_pointing(run_dir, images_dir, tmp_path, capfd):
    code = ask(run_dir, pointing=True, data_dir=str(images_dir), output_dir=str(tmp_path))
    content = json.loads((tmp_path / "pointing.json").read_text())
    skipped = capfd.readouterr().err.count("no_breast_found")
    assert code == (skipped > 0)
    with (run_dir / "predictions.csv").open(newline="") as stream:
        malignant = sum(row["label"] == "1" for row in csv.DictReader(stream))
    assert content["images"] == malignant - skipped > 0
    assert content["labels"]["benign"]["hit_rate"]["value"] is None
    assert content["hit_rate"]["value"] == np.mean([play["hit"] for play in content["plays"]])


def test_pointing_without_images_or_places(run_dir, records_dir, tmp_path):
    with pytest.raises(CallerError, match=r"does not hold image\d+\.pgm"):
        ask(run_dir, pointing=True, data_dir=str(tmp_path), output_dir=str(tmp_path / "out"))
    with pytest.raises(CallerError, match="knows no place of a lesion"):
        ask(
            run_dir,
            pointing=True,
            data_dir=str(tmp_path),
            output_dir=str(tmp_path / "out"),
            dataset_dir=str(records_dir),
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pointing": True}, "--pointing needs --data_dir"),
        ({"pointing": True, "data_dir": ".", "arguments": ("a.dcm",)}, "plays the images of"),
        ({"sanity": True, "layer": "conv1"}, "--sanity and --layer do not go together"),
    ],
)
def test_questions_that_make_no_sense(options, message):
    with pytest.raises(CallerError, match=message):
        explain.Config(run=".", **options)


def test_no_such_run(tmp_path):
    with pytest.raises(CallerError, match=r"holds no config\.json"):
        ask(tmp_path)


def test_sanity(run_dir, images_dir, tmp_path, capfd):
    """Maps of a network that learned something change once it has forgotten it."""
    paths = [str(images_dir / f"image{number:03d}.pgm") for number in range(4)]
    assert ask(run_dir, *paths, sanity=True, output_dir=str(tmp_path)) == 0
    content = json.loads((tmp_path / "sanity.json").read_text())
    assert [step["randomised"] for step in content["steps"]] == [
        "the last layer",
        "the whole head",
        "25 % of the base",
        "50 % of the base",
        "75 % of the base",
        "100 % of the base",
    ]
    assert "rank correlation of 4 maps" in capfd.readouterr().out


def brightness_network() -> keras.Model:
    """Learned that light at a place speaks for the class; its other channels are noise."""
    image = keras.Input((64, 48, 3))
    base = keras.Model(
        image, keras.layers.Conv2D(16, 5, padding="same", activation="relu")(image), name="base"
    )
    pixels = keras.Input((64, 48, 1), dtype="uint16")
    grey = keras.layers.Rescaling(1 / 65535)(pixels)
    values = base(keras.layers.Concatenate()([grey] * 3))
    values = keras.layers.GlobalAveragePooling2D()(values)
    model = keras.Model(pixels, keras.layers.Dense(1, activation="sigmoid")(values))
    kernel = np.random.default_rng(2).normal(size=(5, 5, 3, 16))
    kernel[:, :, :, 0] = 1
    base.layers[-1].kernel.assign(kernel)
    model.layers[-1].kernel.assign([[5.0], *[[0.0]] * 15])
    return model


def test_randomising_changes_maps_and_is_undone():
    model = brightness_network()
    images = np.random.default_rng(0).integers(0, 65536, (2, 64, 48, 1), np.uint16)
    weights = model.get_weights()
    before = HeatMapper(model, "binary").draw(images)
    found = sanity.check(model, "binary", images, method="gradcam")
    assert [step["randomised"] for step in found["steps"]] == [
        "the last layer",
        "100 % of the base",
    ]
    assert all(abs(step["rank_correlation"]) < 0.6 for step in found["steps"])
    for was, now in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(was, now)
    np.testing.assert_array_equal(HeatMapper(model, "binary").draw(images), before)


def test_maps_that_do_not_depend_on_weights_stay():
    """Equal weights dealt anew are the same weights: the correlation is 1."""
    model = brightness_network()
    model.layers[-1].kernel.assign(np.ones((16, 1)))
    model.get_layer("base").layers[-1].kernel.assign(np.ones((5, 5, 3, 16)))
    images = np.random.default_rng(0).integers(0, 65536, (2, 64, 48, 1), np.uint16)
    found = sanity.check(model, "binary", images, method="gradcam")
    assert [step["rank_correlation"] for step in found["steps"]] == pytest.approx([1, 1])


def test_rank_correlation_against_scipy():
    generator = np.random.default_rng(0)
    before = generator.random((3, 5, 6), np.float32)
    after = before + generator.random((3, 5, 6), np.float32)
    after[2] = 0
    found = sanity.compare(before, after)
    ranks = [
        stats.pearsonr(stats.rankdata(a), stats.rankdata(b)).statistic
        for a, b in zip(before[:2], after[:2], strict=True)
    ]
    assert found["images"] == 2
    assert found["rank_correlation"] == pytest.approx(np.mean(ranks))
    none = sanity.compare(before[2:], after[2:])
    assert none["rank_correlation"] is None
    assert none["not_defined_because"]


def test_channels_of_a_layer(run_dir, images_dir, tmp_path):
    image = str(images_dir / "image001.pgm")
    assert ask(run_dir, image, layer="relu1", output_dir=str(tmp_path)) == 0
    (path,) = tmp_path.iterdir()
    assert path.name == "001-image001-relu1.png"
    assert cv2.imread(str(path)) is not None
    with pytest.raises(CallerError, match=r"--layer=rel1 .*mean relu1"):
        ask(run_dir, image, layer="rel1", output_dir=str(tmp_path / "out"))


def test_a_layer_answers_as_it_does_in_the_network(run_dir):
    """The first convolution by hand: the base's own layers on what stands before it."""
    model = keras.models.load_model(run_dir / "model.keras", compile=False)
    images = np.random.default_rng(0).integers(0, 65536, (2, 64, 48, 1), np.uint16)
    seen = images.astype(np.float32) / 65535
    kernel = np.asarray(model.get_layer("base").get_layer("conv1").kernel)
    scaled = np.pad(2 * np.repeat(seen, 3, axis=3) - 1, ((0, 0), (0, 1), (0, 1), (0, 0)))
    wanted = np.zeros((2, 32, 24, kernel.shape[3]), np.float32)
    for row in range(3):
        for column in range(3):
            part = scaled[:, row : row + 64 : 2, column : column + 48 : 2]
            wanted += part @ kernel[row, column]
    answered = np.asarray(feature_maps.watch(model, "conv1")(images))
    np.testing.assert_allclose(answered, wanted, atol=1e-4)
    grey = np.asarray(feature_maps.watch(model, "to_unit_range")(images))
    np.testing.assert_allclose(grey, seen, atol=1e-6)
