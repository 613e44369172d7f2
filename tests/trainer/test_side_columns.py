"""Columns beside the pixels: taken, learned too, not stated, refused, from records on."""

import csv
import dataclasses
import json
import types

import keras
import numpy as np
import pytest

from flags import column_config
from flags.training_config import TrainingConfig
from records.errors import CallerError
from records.image_size import ImageSize
from tests import make
from trainer.commands import train
from trainer.data import dataset, input_pipeline, side_columns
from trainer.data.side_columns import Names, Numbers
from trainer.heat_maps.heat_map import HeatMapper
from trainer.inference import finished_model
from trainer.metrics import predictions
from trainer.model import augmentation, auxiliary, network, own_backbone, side_inputs
from trainer.training import learn

SIZE = ImageSize(64, 48)
BOTH = {"age": Numbers(60.0, 100.0), "view": Names(("CC", "MLO"))}


def rows():
    """Images of `make.images`; age and density are not stated of some."""
    return [
        dataclasses.replace(
            row,
            age="" if number % 7 == 0 else str(40 + number % 30),
            density="" if number % 5 == 0 else "AB"[number // 2 % 2],
            subtlety=str(1 + number % 3),
        )
        for number, row in enumerate(make.images(60))
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make.convert(tmp_path_factory.mktemp("columns"), rows())


@pytest.fixture(scope="module")
def finished(folder, tmp_path_factory):
    keras.utils.clear_session()
    for _ in range(32):  # the next name of Keras's own would be dense_32, that of a hidden layer
        keras.layers.Dense(1)
    return train.train(
        TrainingConfig(
            **make.TINY,
            dataset_dir=str(folder),
            run_dir=str(tmp_path_factory.mktemp("run") / "run"),
            side_inputs="age,view,subtlety",
            allow_reader_columns=True,
            also_predict="density:0.5",
            augment="flip",
            phase1_epochs=0,
            phase2_epochs=2,
            batch_size=8,
        )
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"side_inputs": "agee"},
            r"--side_inputs: a record has no column 'agee'; did you mean age",
        ),
        ({"side_inputs": "patient_id"}, r"a record has no column 'patient_id'"),
        ({"side_inputs": "age,age"}, r"--side_inputs=age,age names a column twice"),
        (
            {"side_inputs": "view,subtlety,mass_shape"},
            r"subtlety, mass_shape is what a reader found",
        ),
        ({"side_inputs": "view", "also_predict": "view"}, r"=view is a side input too"),
        ({"also_predict": "density:0"}, r"--also_predict=density:0 is not column:weight"),
        ({"also_predict": "density:much"}, r"--also_predict=density:much is not column:weight"),
        ({"also_predict": "age"}, r"--also_predict=age is a number"),
    ],
)
def test_flags_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(CallerError, match=message):
        TrainingConfig(**changes)


def test_columns_a_reader_wrote_are_those_of_lesions():
    assert set(column_config.READER) == {
        *("pathology", "abnormality", "assessment", "subtlety", "mass_shape", "mass_margins"),
        *("calc_type", "calc_distribution", "abnormalities"),
    }
    given = TrainingConfig(side_inputs="assessment", allow_reader_columns=True)
    assert column_config.side_columns(given) == ("assessment",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"side_inputs": "pathology", "allow_reader_columns": True}, r"=pathology is what the net"),
        ({"also_predict": "pathology"}, r"--also_predict=pathology is what the network is to tell"),
        ({"side_inputs": "kind"}, r"--side_inputs=kind: .* have 0 values of it \(0 of \d+ images"),
        ({"side_inputs": "view", "xla": True}, r"--xla compiles no columns of names"),
        ({"also_predict": "modality"}, r"--also_predict=modality: .* at least 2 are needed"),
    ],
)
def test_columns_that_tell_nothing_or_all_are_refused(folder, changes, message):
    with pytest.raises(CallerError, match=message):
        dataset.open_data(TrainingConfig(dataset_dir=str(folder), **changes))


def test_a_column_of_texts_is_refused():
    images = [{"kind": f"text {number}"} for number in range(31)]
    with pytest.raises(CallerError, match=r"have 31 values of it, at most 30"):
        side_columns.state(images, ["kind"], flag="side_inputs")


def test_several_devices_learn_no_other_column(folder):
    given = TrainingConfig(dataset_dir=str(folder), also_predict="view", strategy="mirrored")
    devices = types.SimpleNamespace(num_replicas_in_sync=2)
    with pytest.raises(CallerError, match=r"is learned on one device, --strategy=mirrored has 2"):
        learn._make_run(given, dataset.open_data(given), folder, devices)


def test_a_mean_of_views_is_refused(tmp_path):
    folder = make.convert(tmp_path, rows(), unit="breast")
    with pytest.raises(CallerError, match=r"--side_inputs: a mean of views .* --views=concat, att"):
        dataset.open_data(TrainingConfig(dataset_dir=str(folder), side_inputs="age"))


def test_batches_hold_the_values_of_the_records(folder):
    given = TrainingConfig(dataset_dir=str(folder), side_inputs="age,view", also_predict="density")
    data = dataset.open_data(given)
    stated = [float(row["age"]) for row in data.train.images if row["age"]]
    assert data.side["age"].mean == pytest.approx(np.mean(stated))
    assert data.side["age"].variance == pytest.approx(np.var(stated))
    by_id = {row["image_id"]: row for row in data.validation.images}
    split = data.validation
    evaluated = input_pipeline.evaluation_batches(split, data.target, SIZE, batch_size=4)
    described = input_pipeline.described_batches(split, data.target, SIZE, batch_size=4)
    for (inputs, _), (_, _, metadata, *_) in zip(evaluated, described, strict=True):
        for place, name in enumerate(metadata["image_id"].numpy()):
            row = by_id[name.decode()]
            age, view, density = (
                inputs[key].numpy()[place, 0] for key in ("side_age", "side_view", "also_density")
            )
            np.testing.assert_equal(age, np.float32(row["age"] or "nan"))
            assert view.decode() == row["view"]
            assert density == ["A", "B"].index(row["density"]) if row["density"] else density == -1


def encode(*texts):
    """What the last layer gets of rows (age, view)."""
    image = keras.Input((4, 4, 1), dtype="uint16", name="pixels")
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1.0)(image))
    plain = keras.Model(image, keras.layers.Dense(1, name="probability")(flat))
    model = side_inputs.join(plain, BOTH)
    given = [dict(zip(BOTH, row, strict=True)) for row in texts]
    pixels = keras.ops.zeros((len(texts), 4, 4, 1), "uint16")
    inputs = side_inputs.complete(model, pixels, given)
    seen = keras.Model(model.input, model.get_layer("with_side").output)
    return model, seen, inputs


def test_values_are_standardised_and_what_is_not_stated_has_an_indicator():
    _, seen, inputs = encode(("70", "MLO"), ("60", "CC"), ("", ""), ("55", "XCCL"))
    np.testing.assert_allclose(
        seen.predict(inputs, verbose=0)[:, 16:],
        [[1, 0, 0, 0, 1], [0, 0, 0, 1, 0], [0, 1, 1, 0, 0], [-0.5, 0, 1, 0, 0]],
        atol=1e-6,
    )


def test_a_tenth_of_the_values_is_hidden_in_training():
    _, seen, inputs = encode(*[("70", "MLO")] * 2000)
    said = keras.ops.convert_to_numpy(seen(inputs, training=True))[:, 16:]
    for known, unknown in ((0, 1), (4, 2)):
        np.testing.assert_allclose(said[:, known], 1 - said[:, unknown], atol=1e-6)
        assert 0.07 < said[:, unknown].mean() < 0.13


def test_unseen_and_missing_values_are_named():
    columns = side_inputs.columns_of(encode(("1", "CC"))[0])
    assert columns == {"age": None, "view": ("CC", "MLO")}
    assert side_inputs.not_stated(columns, {"age": "70", "view": "CC"}) == []
    assert side_inputs.not_stated(columns, {"view": "AT"}) == [
        "age is not stated",
        "view 'AT' is in no training image",
    ]


def test_the_loss_of_another_column_counts_those_that_state_it_alone():
    plain, _ = network.build(TrainingConfig(**make.TINY), SIZE)
    model = auxiliary.join(plain, {"density": Names(("A", "B", "C"))}, {"density": 0.5})
    layer = model.get_layer("learn_density")
    vectors = np.random.default_rng(0).normal(size=(4, 32)).astype(np.float32)
    classes = np.array([[2], [-1], [0], [-1]], np.float32)
    said = keras.ops.convert_to_numpy(layer.dense(vectors))
    np.testing.assert_array_equal(layer([vectors, classes], training=True), vectors)
    expected = -0.5 * np.log([said[0, 2], said[2, 0]]).mean()
    assert float(layer.losses[0]) == pytest.approx(expected, rel=1e-5)
    layer([vectors, np.full((4, 1), -1, np.float32)], training=True)
    assert float(layer.losses[-1]) == 0
    kept = augmentation.without(model)
    assert kept.input_shape == (None, 64, 48, 1)
    assert "learn_density" not in [one.name for one in kept.layers]


def test_a_run_takes_columns_and_tells_what_else_it_learned(finished):
    about = json.loads((finished / "run.json").read_text())
    assert about["side_inputs"] == ["age", "view", "subtlety"]
    assert about["reader_columns"] == ["subtlety"]
    density = about["also_predicted"]["density"]
    assert density["values"] == ["A", "B"]
    assert 0 <= density["accuracy"] <= 1
    assert density["images"] < about["splits"]["validation"]["images"]
    page = (finished / "report.html").read_text()
    assert "The network was told what a reader found" in page
    assert "also learned: density" in page
    model = own_backbone.load_network(finished / "model.keras")
    assert set(model.input) == {"pixels", "side_age", "side_view", "side_subtlety"}
    pixels = np.random.default_rng(0).integers(0, 65536, (2, 64, 48, 1), dtype=np.uint16)
    assert HeatMapper(model, "binary").draw(pixels).shape == (2, 64, 48)
    with pytest.raises(CallerError, match=r"takes age, view, subtlety beside the pixels, exported"):
        next(
            __import__("trainer.exports.export_run", fromlist=["x"]).export(
                finished, finished, ["onnx"]
            )
        )


def test_new_images_take_their_columns_from_the_table_or_do_without(finished, folder, tmp_path):
    evaluated = {one.image_id: one for one in predictions.read(finished / "predictions.csv")}
    source = {row.image_id: row for row in rows()}
    names = [name for name in evaluated if source[name].age][:2]
    images = folder.parents[3] / "images"
    with (tmp_path / "images.csv").open("w") as file:
        file.write("path,view,age,subtlety\n")
        row = source[names[0]]
        file.write(f"{images / row.path},{row.view},{row.age},{row.subtlety}\n")
        file.write(f"{images / source[names[1]].path},AT,,9\n")
    done = make.program(
        "trainer", "predict", f"--run={finished}", f"--images={tmp_path}/images.csv",
        f"--output_dir={tmp_path}/out", "--predict_unlike", "--any_modality",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with (tmp_path / "out" / "predictions.csv").open() as file:
        first, second = csv.DictReader(file)
    assert float(first["probability"]) == pytest.approx(evaluated[names[0]].probability, abs=1e-5)
    assert "predicted without" not in first["warnings"]
    for part in ("age is not stated", "view 'AT' is in no training image", "subtlety '9' is in no"):
        assert part in second["warnings"]
    run = finished_model.open_run(finished)
    assert run.not_stated({"age": "50", "view": "CC", "subtlety": "1"}) == ()
