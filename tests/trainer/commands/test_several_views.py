"""A run of breasts end to end: trained, evaluated, reported, compared, predicted, explained."""

import csv
import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score, roc_auc_score

from flags.training_config import TrainingConfig
from records.errors import CallerError, OutOfTime
from tests import make
from trainer.commands import compare, ensemble, evaluate, explain, export, predict, train
from trainer.metrics import predictions
from trainer.metrics.predictions import Prediction, two_classes

ALONE = {2: "image003", 15: "image014"}
"""Images left out, and the ones of the other view of the same breasts, which stand alone."""


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Of breasts, 30 less than 60 images; one in training and one in the test set lacks a view."""
    rows = [row for number, row in enumerate(make.images(60)) if number not in ALONE]
    root = tmp_path_factory.mktemp("breasts")
    return make.convert(root, rows, unit="breast")


@pytest.fixture(scope="module")
def run(records):
    """Two epochs of training in two calls, evaluated."""
    config = TrainingConfig(
        **make.TINY,
        dataset_dir=str(records),
        run_dir=str(records.parents[3] / "run"),
        augment="flip",
        tta="flip",
        hidden="8",
        batch_size=8,
        phase2_epochs=2,
        max_minutes=1e-9,
    )
    with pytest.raises(OutOfTime):
        train.train(config, with_test=False)
    directory = train.train(dataclasses.replace(config, max_minutes=0), with_test=False)
    assert [row["epoch"] for row in table(directory / "history.csv")] == ["1", "2"]
    spread(directory / "model.keras")
    evaluate.run(evaluate.Config(run=str(directory)))
    return directory


def spread(path):
    """Gives a network's normalisations the statistics of noise: two epochs leave it constant."""
    model = keras.models.load_model(path, compile=False)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    noise = np.random.default_rng(0).integers(0, 30000, (8, 2, 64, 48, 1), dtype=np.uint16)
    noise[::2, :, 20:40, 14:34] += 25000
    model({"pixels": noise, "views_present": np.ones((8, 2), bool)}, training=True)
    model.save(path)


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_breast_of_the_test_set_gets_an_answer(run, records):
    rows = {row["image_id"]: row for row in table(run / "predictions.csv")}
    wanted = {r["image_id"]: r for r in table(records / "units.csv") if r["split"] == "test"}
    assert rows.keys() == wanted.keys()
    assert {name: row["image_ids"] for name, row in rows.items()} == {
        name: row["image_ids"] for name, row in wanted.items()
    }
    assert ";image014" in {row["image_ids"] for row in rows.values()}
    described = json.loads((run / "run.json").read_text())
    assert (described["unit"], described["views"]) == ("breast", ["CC", "MLO"])
    assert described["joined_by"] == "mean"
    scores = json.loads((run / "metrics.json").read_text())
    labels = [int(row["label"]) for row in rows.values()]
    given = [float(row["probability"]) for row in rows.values()]
    assert scores["auc"]["value"] == pytest.approx(roc_auc_score(labels, given))
    assert len(set(given)) == len(given)
    assert (scores["unit"], scores["images"]) == ("breast", len(rows))
    assert list(scores["levels"]) == ["patient"]
    page = (run / "report.html").read_text()
    assert f"{len(rows)} breasts of" in page
    assert "whether a breast is benign or malignant" in page
    assert len(list((run / "images").glob("*.png"))) >= 4  # records and heat maps


def test_evaluating_again_gives_the_same(run):
    before = (run / "predictions.csv").read_text()
    evaluate.run(evaluate.Config(run=str(run), tta="translate"))
    assert (run / "predictions.csv").read_text() != before
    evaluate.run(evaluate.Config(run=str(run)))
    after = predictions.read(run / "predictions.csv")
    for one, two in zip(after, table_of(before, run), strict=True):
        assert one.probability == pytest.approx(two.probability, abs=1e-6)


def table_of(text, run):
    path = run / "before.csv"
    path.write_text(text)
    read = predictions.read(path)
    path.unlink()
    return read


def ask(run, output_dir, rows, **how):
    """Predicts images by a table of theirs; returns predictions.json with the exit code."""
    path = output_dir.parent / f"{output_dir.name}.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["path", "exam", "side", "view"])
        writer.writeheader()
        writer.writerows(rows)
    config = predict.Config(run=str(run), images=str(path), output_dir=str(output_dir), **how)
    code = predict.run(config)
    return {**json.loads((output_dir / "predictions.json").read_text()), "code": code}


def own_images(records, numbers):
    images = records.parents[2] / ".." / "images"
    return [
        {
            "path": str(images.resolve() / row.path),
            "exam": row.patient_id,
            "side": row.side,
            "view": row.view,
        }
        for number, row in enumerate(make.images(60))
        if number in numbers
    ]


def test_images_of_ones_own_are_predicted_by_breast(run, records, tmp_path, capsys):
    rows = own_images(records, [14, 16, 18, 17, 19])
    rows[1], rows[4] = rows[4], rows[1]  # views of a breast need not stand together
    told = ask(run, tmp_path / "out", rows)
    answers = predictions.read(run / "predictions.csv")
    wanted = {name: one for one in answers for name in one.image_ids.split(";")}
    assert told["code"] == 0
    for image in told["images"]:
        one = wanted[image["image"].split("/")[-1].removesuffix(".pgm")]
        assert image["probability"] == pytest.approx(one.probability, abs=1e-5)
        assert image["calibrated"] == pytest.approx(one.calibrated, abs=1e-5)
    assert [len(breast["images"]) for breast in told["breasts"]] == [1, 2, 2]
    (alone,) = (image for image in told["images"] if "image014" in image["image"])
    assert "its breast was predicted without CC" in alone["warnings"]
    said = capsys.readouterr().out
    assert "one answer of 2 images (" in said
    assert len(list((tmp_path / "out" / "heat_maps").glob("*.png"))) == 5


def test_one_image_a_view_is_taken_and_others_are_named(run, records, tmp_path, capsys):
    first, second = own_images(records, [16, 17])
    another = tmp_path / "another.pgm"
    make.write_pgm(another, make.draw(make.images(1)[0], 99))
    strange = tmp_path / "strange.pgm"
    make.write_pgm(strange, make.draw(make.images(1)[0], 98))
    rows = [first, second, {**first, "path": str(another)}]
    rows.append({**first, "path": str(strange), "view": "XCCL"})
    told = ask(run, tmp_path / "out", rows, heat_maps=False)
    by_name = {image["image"].split("/")[-1]: image for image in told["images"]}
    assert by_name["another.pgm"]["unused"].startswith("another image of its view")
    assert by_name["another.pgm"]["probability"] is None
    assert by_name["strange.pgm"]["unused"] == "view XCCL is none of CC, MLO"
    assert len(told["breasts"][0]["images"]) == 2
    assert told["code"] == 0
    assert "2 of 4 images predicted" in capsys.readouterr().out
    told = ask(run, tmp_path / "alone", rows[3:], heat_maps=False)
    assert told["images"][0]["error"].startswith("view XCCL is none of CC, MLO; --images can")
    told = ask(run, tmp_path / "unknown", [{"path": str(strange)}], heat_maps=False)
    wanted = "its view is not known; give a table with path, side, view by --images=FILE.csv"
    assert told["images"][0]["error"] == wanted
    assert told["code"] == 1


def test_dicom_headers_tell_which_images_are_of_a_breast(run, tmp_path):
    for number, (study, side, view) in enumerate(
        [("1.2.3", "L", "CC"), ("1.2.4", "L", "CC"), ("1.2.3", "L", "MLO"), ("1.2.3", "R", "CC")]
    ):
        make.write_dicom(
            tmp_path / "exam" / f"{number}.dcm",
            make.draw(make.images(1)[0], number),
            bits_stored=8,
            StudyInstanceUID=study,
            ImageLaterality=side,
            ViewPosition=view,
            SOPInstanceUID=f"1.2.3.{number}",
        )
    config = predict.Config(
        run=str(run),
        arguments=(str(tmp_path / "exam"),),
        output_dir=str(tmp_path / "out"),
        predict_unlike=True,
        heat_maps=False,
    )
    predict.run(config)
    told = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert [(breast["side"], breast["views"]) for breast in told["breasts"]] == [
        ("left", ["CC", "MLO"]),
        ("left", ["CC"]),
        ("right", ["CC"]),
    ]


def test_examinations_are_not_put_together_of_images(run, tmp_path):
    directory = shutil.copytree(run, tmp_path / "exams")
    make.edit_json(directory / "run.json", unit="exam")
    with pytest.raises(CallerError, match=r"predicts whole examinations.*--unit=breast or image"):
        predict.run(predict.Config(run=str(directory), arguments=(str(directory),)))


def test_heat_maps_lie_side_by_side(run, tmp_path, capsys):
    config = explain.Config(run=str(run), worst=2, output_dir=str(tmp_path / "maps"))
    assert explain.run(config) == 0
    assert len(list((tmp_path / "maps").glob("*.png"))) == 2
    for wanted in ({"layer": "pool"}, {"sanity": True}, {"arguments": ("a.png",)}):
        with pytest.raises(CallerError, match="looks at all views of a breast"):
            explain.run(dataclasses.replace(config, **wanted))


def test_other_programs_open_model_keras_itself(run, tmp_path):
    config = export.Config(run=str(run), output_dir=str(tmp_path))
    with pytest.raises(CallerError, match=r"takes several views together, .*--formats=card"):
        export.run(config)
    assert export.run(dataclasses.replace(config, formats=("card",))) == 0
    card = (tmp_path / "model_card.md").read_text()
    assert "In: CC, MLO of one breast, as far as they are there" in card
    assert '.predict({"pixels": pixels, "views_present": there})' in card


def test_the_mean_of_several_networks(run, records, tmp_path):
    shutil.copytree(run, tmp_path / "copy")
    runs = (str(run), str(tmp_path / "copy"))
    directory = ensemble.average(
        ensemble.Config(arguments=runs, output_dir=str(tmp_path / "ensemble"))
    )
    for one, two in zip(
        *(predictions.read(path / "predictions.csv") for path in (directory, run)), strict=True
    ):
        assert one.probability == pytest.approx(two.probability, abs=1e-6)
    assert json.loads((directory / "run.json").read_text())["views"] == ["CC", "MLO"]
    told = ask(directory, tmp_path / "out", own_images(records, [16, 17]), heat_maps=False)
    assert len(told["breasts"][0]["images"]) == 2


def single(run, *, leave_out=(), twist=()):
    """Predictions of a run of images of the same breasts, worse than those of `run`."""
    draw = np.random.default_rng(0)
    return [
        Prediction(
            name,
            breast.patient_id,
            breast.label if name not in twist else 1 - breast.label,
            split="test",
            columns={"side": breast.columns["side"], "view": view},
            probabilities=two_classes(float(draw.uniform(0.05, 0.95))),
        )
        for breast in predictions.read(run / "predictions.csv")
        for name, view in zip(breast.image_ids.split(";"), ("CC", "MLO"), strict=True)
        if name and name not in leave_out
    ]


def described(run):
    content = json.loads((run / "run.json").read_text())
    kept = ("dataset", "target", "label_names", "kind", "policies", "data_fingerprint")
    return {key: content[key] for key in kept if key in content}


def test_a_run_of_images_is_compared_by_the_mean_of_views(run, tmp_path, capsys):
    images = single(run, leave_out=("image016", "image017"), twist=("image034",))
    one = make.write_run(tmp_path / "single", images, **described(run))
    output_dir = tmp_path / "page"
    config = compare.Config(arguments=(str(one), str(run)), output_dir=str(output_dir))
    assert compare.run(config) == 0
    content = json.loads((output_dir / "comparison.json").read_text())
    assert content["unit"] == "breast"
    assert [entry["name"] for entry in content["runs"]] == ["single, mean of views", "run"]
    (made,) = content["comparisons"]
    # by hand: SciPy, scikit-learn
    of_breast = {}
    for image in images:
        key = image.patient_id, image.columns["side"]
        of_breast.setdefault(key, []).append(image)
    mean = {
        key: (max(one.label for one in group), np.mean([one.probability for one in group]))
        for key, group in of_breast.items()
    }
    answers = predictions.read(run / "predictions.csv")
    two = {(one.patient_id, one.columns["side"]): one for one in answers}
    both = [key for key in two if key in mean and mean[key][0] == two[key].label]
    assert made["not_shared"] == [0, 1]
    assert made["labels_differ"] == sum(mean[k][0] != two[k].label for k in mean if k in two)
    assert made["images"] == len(both)
    labels = np.array([two[key].label for key in both])
    a = np.array([mean[key][1] for key in both])
    b = np.array([two[key].probability for key in both])
    found = made["metrics"]["auc"]
    assert found["baseline"] == pytest.approx(roc_auc_score(labels, a))
    assert found["run"] == pytest.approx(roc_auc_score(labels, b))
    assert made["metrics"]["accuracy"]["run"] == pytest.approx(accuracy_score(labels, b > 0.5))
    right = (a > 0.5) == labels, (b > 0.5) == labels
    alone = int((right[0] & ~right[1]).sum()), int((~right[0] & right[1]).sum())
    if sum(alone):
        p = stats.binomtest(alone[0], sum(alone)).pvalue
        assert made["mcnemar"]["p"] == pytest.approx(p)
    said = capsys.readouterr().out
    assert f"the only common {len(both)} breasts" in said
    assert (
        "(0 more of single, mean of views, 1 more of run, 1 left out whose labels differ)" in said
    )


def test_views_on_records_of_images(made_records, tmp_path):
    config = TrainingConfig(
        **make.TINY,
        dataset_dir=str(made_records.directory),
        views="concat",
        run_dir=str(tmp_path / "run"),
    )
    with pytest.raises(CallerError, match=r"^--views=concat: .* convert with --unit=breast"):
        train.train(config)
