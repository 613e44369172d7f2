"""Exported models, run by their own runtimes, against what the run's Keras model said."""

import csv
import dataclasses
import hashlib
import json
import pathlib
import shutil
import sys
import zipfile
from collections.abc import Collection

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf

from flags.training_config import TrainingConfig
from records import version
from records.errors import CallerError
from records.image_size import ImageSize
from tests import make
from tests.make import SIZE
from trainer.commands import export, train
from trainer.exports import check, formats
from trainer.model import network

FOLD = {"minutes": 1.0, "splits": {}, "metrics": {}}

OPTIONS = {**make.TINY, "hidden": "8"}
ALL = ("saved_model", "onnx", "litert")


def wake(model: keras.Model, images: np.ndarray) -> None:
    """Fits batch statistics to images: with those of new layers every image gets one answer."""
    for layer in (*model.layers, *model.get_layer("base").layers):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(images, training=True)


@pytest.fixture(scope="module")
def run_dir(records_dir, test_images, tmp_path_factory) -> pathlib.Path:
    """A run that tells images apart."""
    config = TrainingConfig(
        dataset_dir=str(records_dir),
        run_dir=str(tmp_path_factory.mktemp("export") / "run"),
        phase1_epochs=1,
        phase2_epochs=0,
        **OPTIONS,
    )
    directory = train.train(config)
    keras.utils.set_random_seed(1)
    model, _ = network.build(config, SIZE)
    wake(model, np.stack(list(test_images.values())))
    model.save(directory / "model.keras")
    return train.train(config)  # evaluates the model that is there


@pytest.fixture(scope="module")
def exported(run_dir):
    """What the command leaves, and what it says."""
    done = make.program("trainer", "export", f"--run={run_dir}", cwd=run_dir.parent)
    assert done.returncode == 0, done.stderr
    return run_dir / "export", done


@pytest.fixture(scope="module")
def test_images(records_dir) -> dict[str, np.ndarray]:
    """Pixels of the test images, read from the records by name."""
    images = {}
    for shard in sorted(records_dir.glob("*-test.tfrecord-*")):
        for record in tf.data.TFRecordDataset(str(shard)).as_numpy_iterator():
            features = tf.train.Example.FromString(record).features.feature
            pixels = np.frombuffer(features["image"].bytes_list.value[0], "<u2")
            name = features["image_id"].bytes_list.value[0].decode()
            images[name] = pixels.reshape(SIZE.height, SIZE.width, 1)
    return images


def said(run_dir: pathlib.Path) -> dict[str, float]:
    with (run_dir / "predictions.csv").open(newline="") as file:
        return {row["image_id"]: float(row["probability"]) for row in csv.DictReader(file)}


def ask_saved_model(path, pixels):
    loaded = tf.saved_model.load(str(path / "saved_model"))
    return loaded.signatures["serving_default"](pixels=tf.constant(pixels))["probability"].numpy()


def ask_onnx(path, pixels):
    session = onnxruntime.InferenceSession(str(path / "model.onnx"))
    return session.run(["probability"], {"pixels": pixels})[0]


def ask_litert(path, pixels):
    interpreter = tf.lite.Interpreter(str(path / "model.tflite"))
    (given,), (answer,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(given["index"], pixels.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], pixels)
    interpreter.invoke()
    return interpreter.get_tensor(answer["index"])


@pytest.mark.parametrize("ask", [ask_saved_model, ask_onnx, ask_litert])
def test_stored_pixels_in_the_runs_probabilities_out(run_dir, exported, test_images, ask):
    expected = said(run_dir)
    assert set(expected) == set(test_images)
    assert np.ptp(list(expected.values())) > 0.02  # else anything would agree
    pixels = np.stack([test_images[name] for name in expected])
    assert pixels.dtype == np.uint16
    assert pixels.max() > np.iinfo(np.int16).max
    answers = ask(exported[0], pixels)
    np.testing.assert_allclose(answers[:, 0], list(expected.values()), rtol=0, atol=1e-4)


def test_what_is_said_of_the_files_is_so(run_dir, exported):
    folder, done = exported
    described = json.loads((folder / "export.json").read_text())
    model = (run_dir / "model.keras").read_bytes()
    assert described["model_sha256"] == hashlib.sha256(model).hexdigest()
    assert described["program"] == version.describe()
    assert described["input"]["shape"] == [None, SIZE.height, SIZE.width, 1]
    assert list(described["formats"]) == list(ALL)
    for one in described["formats"].values():
        for name, digest in one["sha256"].items():
            assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
        assert one["bytes"] == sum((folder / name).stat().st_size for name in one["sha256"])
        assert one["largest_difference"] <= 1e-4
        assert one["checked_on"]["images"] == 16
        assert one["checked_on"]["source"] == "test images of the run"
        assert f"{one['file']}: " in done.stdout
    opsets = {o.domain: o.version for o in onnx.load(folder / "model.onnx").opset_import}
    assert described["formats"]["onnx"]["opset"] == opsets[""] == 17
    assert len(done.stderr.splitlines()) < 5, done.stderr
    names = {path.name for path in folder.iterdir()}
    assert names == {"saved_model", "model.onnx", "model.tflite", "export.json", "model_card.md"}
    card = (folder / "model_card.md").read_text()
    assert "opset 17" in card
    assert described["model_sha256"] in card


def read_saved_model(folder):
    return json.loads((folder / "saved_model" / "assets.extra" / "metadata.json").read_text())


def read_onnx(folder):
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    found = session.get_modelmeta().custom_metadata_map
    return {key: json.loads(value) for key, value in found.items()}


def read_litert(folder):
    with zipfile.ZipFile(folder / "model.tflite") as archive:
        return json.loads(archive.read("metadata.json"))


@pytest.mark.parametrize("read", [read_saved_model, read_onnx, read_litert])
def test_a_file_carries_what_its_user_needs(run_dir, exported, read):
    found = read(exported[0])
    assert found == json.loads((exported[0] / "export.json").read_text())["about"]
    calibration = json.loads((run_dir / "calibration.json").read_text())
    described = json.loads((run_dir / "run.json").read_text())
    assert found["classes"] == ["benign", "malignant"]
    assert found["recipe"] == "plain"
    assert found["preparation"] == described["preparation"]
    assert found["calibration"] == [calibration]
    assert found["thresholds"] == [calibration["threshold"]]
    assert found["notice"].startswith("Research use only")
    assert str(run_dir) not in json.dumps(found)


@pytest.mark.parametrize("kind", ["cross_validate", "ensemble"])
def test_several_networks_are_written_as_their_mean(run_dir, test_images, tmp_path, kind):
    shutil.copytree(run_dir, tmp_path / "other", ignore=shutil.ignore_patterns("export"))
    other = keras.models.load_model(run_dir / "model.keras", compile=False)
    other.layers[-1].bias.assign_add([1.0])
    other.save(tmp_path / "other" / "model.keras")
    folder = shutil.copytree(run_dir, tmp_path / kind, ignore=shutil.ignore_patterns("*.keras"))
    shutil.rmtree(folder / "export", ignore_errors=True)
    for name, change in (
        ("config.json", {"kind": kind}),
        (
            "run.json",
            {"members": [str(run_dir), "../other"]}
            if kind == "ensemble"
            else {"folds": [{"run": one, **FOLD} for one in (str(run_dir), "../other")]},
        ),
    ):
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**content, **change}))
    assert export.run(export.Config(run=str(folder), formats=("saved_model",))) == 0
    pixels = np.stack(list(test_images.values()))
    own = ask_saved_model_of(run_dir, pixels), ask_saved_model_of(tmp_path / "other", pixels)
    assert np.abs(own[0] - own[1]).min() > 0.05
    found = ask_saved_model(folder / "export", pixels)
    np.testing.assert_allclose(found, np.mean(own, axis=0), rtol=0, atol=1e-5)
    assert read_saved_model(folder / "export")["networks"] == 2
    names = {path.name for path in (folder / "export").iterdir()}
    assert names == {"saved_model", "export.json", "model_card.md"}


def ask_saved_model_of(run_dir, pixels):
    return keras.models.load_model(run_dir / "model.keras", compile=False).predict(pixels)


def test_litert_takes_no_operations_of_tensorflow(exported):
    interpreter = tf.lite.Interpreter(str(exported[0] / "model.tflite"))
    names = {detail["op_name"] for detail in interpreter._get_ops_details()}
    assert "CONV_2D" in names
    assert not [name for name in names if name.startswith("Flex")]


def describe_another(folder: pathlib.Path, copy: pathlib.Path, formats: Collection[str]) -> None:
    """Writes the export.json of a folder elsewhere, as that of another model and some formats."""
    content = json.loads((folder / "export.json").read_text())
    content["formats"] = {name: content["formats"][name] for name in formats}
    (copy / "export.json").write_text(json.dumps({**content, "model_sha256": "0"}))


def test_nothing_is_written_over(run_dir, exported, tmp_path):
    again = export.Config(run=str(run_dir), formats=("onnx",))
    with pytest.raises(CallerError, match=r"model.onnx is there already; --overwrite to replace"):
        export.run(again)
    describe_another(exported[0], tmp_path, ())
    elsewhere = dataclasses.replace(again, output_dir=str(tmp_path))
    with pytest.raises(CallerError, match=r"export.json describes another model; give another --o"):
        export.run(elsewhere)
    assert [path.name for path in tmp_path.iterdir()] == ["export.json"]
    (tmp_path / "model.onnx").write_text("somebody's")
    with pytest.raises(CallerError, match=r"model.onnx is there already; remove it, or give anot"):
        export.run(dataclasses.replace(elsewhere, overwrite=True))
    assert (tmp_path / "model.onnx").read_text() == "somebody's"


def test_overwrite_replaces_what_export_json_lists(run_dir, exported, tmp_path):
    """Of another model everything that it lists; what somebody put there stays."""
    (tmp_path / "notes.txt").write_text("somebody's")
    (tmp_path / "model.tflite").write_text("old")
    (tmp_path / "saved_model").mkdir()
    (tmp_path / "saved_model" / "saved_model.pb").write_text("old")
    describe_another(exported[0], tmp_path, ("litert", "saved_model"))
    config = export.Config(
        run=str(run_dir), output_dir=str(tmp_path), formats=("saved_model",), overwrite=True
    )
    for _ in range(2):  # then of the same model
        assert export.run(config) == 0
        assert not (tmp_path / "model.tflite").exists()
        assert (tmp_path / "saved_model" / "saved_model.pb").read_bytes() != b"old"
        assert list(json.loads((tmp_path / "export.json").read_text())["formats"]) == [
            "saved_model"
        ]
    assert (tmp_path / "notes.txt").read_text() == "somebody's"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--run=RUN", "--formats=onx"], ["--formats=onx is not one of", "did you mean onnx?"]),
        (["--run=RUN", "--formats="], ["--formats= is not one of saved_model, onnx, litert"]),
        (["--run=RUN", "onnx"], ["'onnx' is not a flag"]),
        (["--run=nowhere"], ["--run=nowhere is not a folder; give that of a finished run"]),
        (["--run=unfinished"], ["--run=unfinished holds no model.keras"]),
        (["--run=folds"], ["--run=folds/fold0 holds no model.keras", "command that began it"]),
        (["--run=damaged"], ["config.json is damaged"]),
        (["--run=RUN", "--output_dir=a_file"], ["a_file can't be written", "another --output_dir"]),
        ([], ["--run=RUN is missing"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_callers_mistake_is_one_line(run_dir, tmp_path, arguments, words):
    for name, kind in (("unfinished", "train"), ("folds", "cross_validate")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps({"kind": kind}))
        fold = {"run": "fold0", **FOLD}
        make.write_described(tmp_path / name, folds=[fold] if name == "folds" else None)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "config.json").write_text("{")
    (tmp_path / "a_file").write_text("")
    arguments = [argument.replace("RUN", str(run_dir)) for argument in arguments]
    make.one_line(make.program("trainer", "export", *arguments, cwd=tmp_path), *words)


def test_a_package_that_can_not_be_loaded(monkeypatch, tmp_path):
    (tmp_path / "tf2onnx.py").write_text("raise ImportError('no tf2onnx here')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tf2onnx", raising=False)
    with pytest.raises(CallerError) as error:
        formats.check_packages("onnx")
    assert str(error.value) == (
        "--formats=onnx needs tf2onnx, which can't be loaded (no tf2onnx here); "
        "pip install -c constraints.txt -e '.[export]', or leave onnx out of --formats"
    )


def test_what_can_not_be_converted_is_one_line(tmp_path):
    (tmp_path / "model.keras").write_bytes(b"no network")
    with pytest.raises(CallerError, match=r"^--formats=litert: this network can't be converted \("):
        formats.write("litert", tmp_path / "model.keras", tmp_path / "model.tflite")
    assert not (tmp_path / "model.tflite").exists()


def test_a_network_too_large_for_one_file(monkeypatch, tmp_path):
    small = dataclasses.replace(formats.FORMATS["onnx"], largest=100)
    monkeypatch.setitem(formats.FORMATS, "onnx", small)
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(20)])  # 480 bytes
    with pytest.raises(ValueError, match=r"GB of weights, one file holds"):
        formats.convert("onnx", model, tmp_path / "model.onnx")


KNOWN = {"base": "mobilenet", "input_range": None}
HEADS = {
    "classes": ({"activation": "prelu", "batch_norm": True}, "classes", (0.5, 0.3, 0.2)),
    "ordinal": ({"activation": "leaky_relu", "augment": "paper"}, "ordinal", (0.4, 0.3, 0.2, 0.1)),
    "flatten": (
        {**KNOWN, "alpha": 0.25, "head": "flatten", "input_scaling": "paper"},
        "binary",
        (0.5, 0.5),
    ),
}


@pytest.mark.parametrize("name", HEADS)
def test_all_kinds_of_networks(name, tmp_path):
    options, kind, fractions = HEADS[name]
    keras.utils.set_random_seed(1)
    config = TrainingConfig(**{**OPTIONS, **options})
    model, _ = network.build(config, ImageSize(64, 48), kind=kind, fractions=fractions)
    images = check.make_up_images(ImageSize(64, 48))
    wake(model, images)
    expected = model.predict(images, verbose=0)
    assert expected.shape[1] == {"classes": 3, "ordinal": 3, "binary": 1}[kind]
    assert np.ptp(expected, axis=0).max() > 0.01
    for ask, how in ((ask_onnx, "onnx"), (ask_litert, "litert")):  # this one by a SavedModel
        formats.convert(how, model, tmp_path / formats.FORMATS[how].file)
        np.testing.assert_allclose(ask(tmp_path, images), expected, rtol=0, atol=1e-4)


def reference(expected: np.ndarray) -> check.Reference:
    images = np.zeros((len(expected), 4, 2, 1), np.uint16)
    images[:, 0, 0, 0] = np.arange(len(images))
    return check.Reference(None, images, "images", expected, 1.0)


@pytest.mark.parametrize(("by", "kept"), [(0.9e-4, True), (1.1e-4, False), (np.nan, False)])
def test_how_much_may_differ(by, kept):
    """One image of five differs; each answer is looked up by the image's first pixel."""
    expected = np.linspace(0.1, 0.9, 5)[:, np.newaxis]
    given = expected.copy()
    given[4] += by

    def answer(pixels):
        return given[pixels[:, 0, 0, 0]]

    if kept:
        entry = check.check(answer, reference(expected), what="model.onnx")
        assert entry.largest_difference == pytest.approx(by)
    else:
        with pytest.raises(CallerError, match=r"model.onnx gives other probabilities than model.k"):
            check.check(answer, reference(expected), what="model.onnx")


def test_images_in_one_batch_are_compared_too():
    """A file that takes one image at a time alone is of no use."""
    expected = np.linspace(0.1, 0.9, 5)[:, np.newaxis]

    def answer(pixels):
        return np.repeat(expected[pixels[:1, 0, 0, 0]], len(pixels), axis=0)

    with pytest.raises(CallerError, match="gives other probabilities"):
        check.check(answer, reference(expected), what="model.onnx")


@pytest.mark.parametrize("change", ["gone", "others"])
def test_images_are_made_up_where_the_runs_are_gone(run_dir, tmp_path, change):
    copy = shutil.copytree(run_dir, tmp_path / "run", ignore=shutil.ignore_patterns("export"))
    config = json.loads((copy / "config.json").read_text())
    if change == "gone":
        config["dataset_dir"] = "no/such/folder"
    else:
        config["data_fingerprint"] = "0" * 64
    (copy / "config.json").write_text(json.dumps(config))
    made = check.open_reference(copy, copy / "model.keras")
    assert made.source == "made-up images, because the run's could not be read"  # no path
    assert made.images.shape[1:] == (SIZE.height, SIZE.width, 1)
    assert made.images.dtype == np.uint16
    assert (made.images.min(), made.images.max()) == (0, 65535)
    model = keras.models.load_model(copy / "model.keras", compile=False)
    np.testing.assert_allclose(made.expected, model.predict(made.images, verbose=0), atol=1e-6)
