"""Targets of every kind, and choices of images, from records to report."""

import csv
import dataclasses
import json
import pathlib
import shutil
import struct

import keras
import numpy as np
import pytest
from sklearn import metrics as reference

from flags.targets import TARGETS
from flags.training_config import TrainingConfig
from records.errors import CallerError
from tests import make
from trainer.commands import summary, train
from trainer.data import dataset, input_pipeline, records_folder
from trainer.metrics import compute, predictions, typed_json


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    """60 images less a rejected, a missing and an excluded one; pathologies, densities, grades."""
    return make.records(tmp_path_factory.mktemp("targets"), size="40x32").directory


@pytest.fixture(scope="module")
def rows(folder) -> dict[str, dict[str, str]]:
    with (folder / "sources.csv").open(newline="") as file:
        return {row["image_id"]: row for row in csv.DictReader(file) if row["status"] == "written"}


def config(folder, run_dir, **options) -> TrainingConfig:
    fixed = {
        **make.TINY,
        "phase1_epochs": 1,
        "phase2_epochs": 0,
    }
    return TrainingConfig(
        dataset_dir=str(folder), run_dir=str(run_dir), **{**fixed, "batch_size": 4, **options}
    )


def names_of(batches) -> list[str]:
    return [
        name.decode() for *_, row, _, _ in batches.as_numpy_iterator() for name in row["image_id"]
    ]


def damage_a_record(folder: pathlib.Path, split: str) -> str:
    """Changes a byte within the second record of the last shard of a split."""
    shard = sorted(folder.glob(f"*-{split}.tfrecord-*"))[-1]
    content = bytearray(shard.read_bytes())
    (length,) = struct.unpack("<Q", content[:8])
    content[12 + length + 4 + 500] ^= 1  # heads have 12 bytes, feet 4
    shard.write_bytes(content)
    return shard.name


def test_density_from_records_to_report(folder, rows, tmp_path):
    """Ordinal, over-sampled, with weights, of some images: every file says the same."""
    options = {"target": "density", "where": "side != 'left' or density == 1 or view == 'CC'"}
    weights = "1:2:1:0.5"
    run = train.train(
        config(folder, tmp_path / "run", sampling="over", class_weights=weights, **options)
    )
    wanted = {
        name: row
        for name, row in rows.items()
        if row["side"] != "left" or row["density"] == "1" or row["view"] == "CC"
    }
    test = {name: row for name, row in wanted.items() if row["split"] == "test"}
    images = predictions.read(run / "predictions.csv")
    assert {image.image_id: str(1 + image.label) for image in images} == {
        name: row["density"] for name, row in test.items()
    }
    model = keras.models.load_model(run / "model.keras", compile=False)
    assert model.output_shape == (None, 3)
    table = list(csv.reader((run / "predictions.csv").open()))
    assert table[0][:4] == ["image_id", "patient_id", "label", "probability"]
    assert table[0][-4:] == [f"probability_{k}" for k in range(4)]
    for image in images:
        assert sum(image.probabilities) == pytest.approx(1)
        assert image.probability == pytest.approx(1 - image.probabilities[0])
    scores = json.loads((run / "metrics.json").read_text())
    answers = [int((1 - np.cumsum(image.probabilities) > 0.5).sum()) for image in images]
    labels = [image.label for image in images]
    assert scores["accuracy"]["value"] == pytest.approx(reference.accuracy_score(labels, answers))
    assert scores["predicts_one_class"] == (len(set(answers)) == 1)
    described = json.loads((run / "run.json").read_text())
    assert described["predicts_one_class"] == scores["predicts_one_class"]
    assert described["class_weights"] == [1, 2, 1, 0.5]
    parts = described["splits"]
    assert sum(part["images"] for part in parts.values()) == len(wanted)
    assert sum(part["filtered"] for part in parts.values()) == len(rows) - len(wanted)
    assert parts["train"]["epoch"] == 4 * max(parts["train"]["labels"].values())
    history = list(csv.DictReader((run / "history.csv").open()))
    assert set(history[0]) >= {"loss", "val_loss", "accuracy", "val_auc"}
    report = (run / "report.html").read_text()
    for words in ("density A, density B, density C or density D?", "Quadratic weighted kappa"):
        assert words in report
    assert "side != &#39;left&#39; or density == 1" in report
    assert ("calls every image the same" in report) == scores["predicts_one_class"]


@pytest.mark.parametrize(
    ("rows_of", "names", "lines"),
    [
        (
            [(0, (0.6, 0.3, 0.1)), (1, (0.5, 0.2, 0.3)), (2, (0.4, 0.3, 0.3))],
            ("normal", "benign", "malignant"),
            [
                "warning: the model predicts one class for every image: all images are normal",
                "warning: the model is not shown to be better than guessing: its AUC has no",
                "test mean AUC of the classes 0.583 (95 % ",
            ],
        ),
        (
            [(0, (0.9, 0.1)), (1, (0.2, 0.8))],
            ("a", "b"),
            ["warning: the model is not shown to be better than", "test AUC 1.000 (no interval, "],
        ),
        (
            [(0, (0.4, 0.6)), (1, (0.2, 0.8))],
            ("a", "b"),
            [
                "warning: the model predicts one class for every image: all images are b",
                "warning: the model is not shown to be better than guessing: its AUC has no",
                "test AUC 1",
            ],
        ),
    ],
    ids=["three classes", "two answers", "one answer"],
)
def test_the_console_says_when_one_class_is_predicted(tmp_path, capsys, rows_of, names, lines):
    images = [
        predictions.Prediction(
            f"f{n}",
            f"p{n}",
            label,
            probabilities=row,
        )
        for n, (label, row) in enumerate(rows_of)
    ]
    scores = typed_json.to_json(compute.score(images, split="test", label_names=names))
    (tmp_path / "metrics.json").write_text(json.dumps(scores))
    summary.print_scores(tmp_path)
    said = capsys.readouterr().out.splitlines()
    assert len(said) == len(lines) + 1  # the last one names the report
    for line, beginning in zip(said, lines, strict=False):
        assert line.startswith(beginning.split(" (")[0])


def test_damaged_records_are_skipped_counted_and_named(folder, rows, tmp_path):
    """Three classes; a record of a training fold and one of the test split are damaged."""
    copy = shutil.copytree(folder, tmp_path / "copy")
    shards = [damage_a_record(copy, split) for split in ("fold2", "test")]
    options = {"target": "three_class", "class_weights": "none"}
    found = rf"{shards[0]} record 2 \(from byte \d+\), {shards[1]} record 2 \(from byte \d+\) is"
    with pytest.raises(CallerError, match=found):
        train.train(config(copy, tmp_path / "run", **options))
    run = train.train(config(copy, tmp_path / "run", skip_damaged=True, **options))
    described = json.loads((run / "run.json").read_text())
    assert [words.split(" (")[0] for words in described["damaged_records"]] == [
        f"{shards[0]} record 2",
        f"{shards[1]} record 2",
    ]
    lost = {name: part["damaged"] for name, part in described["splits"].items()}
    assert lost == {"train": 1, "validation": 0, "test": 1}
    there = [row for row in rows.values() if row["split"] == "test"]
    images = predictions.read(run / "predictions.csv")
    assert len(images) == len(there) - 1
    for image in images:
        assert image.label == ("normal", "benign", "malignant").index(
            rows[image.image_id]["pathology"]
        )
    assert f"Skipped, with the images in them: {shards[0]}" in (run / "report.html").read_text()


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        ("", lambda row: True),
        ("view == 'CC'", lambda row: row["view"] == "CC"),
        ("'mass' in abnormality", lambda row: "mass" in row["abnormality"].split("+")),
        (
            "abnormalities == 2 or side != 'left'",
            lambda r: r["abnormalities"] == "2" or r["side"] != "left",
        ),
    ],
)
def test_the_images_that_meet_a_condition_are_read(folder, rows, condition, wanted):
    opened = records_folder.open_records(folder, condition=condition)
    target = TARGETS["three_class"]
    split = dataset.select(opened, "train", ["fold0", "fold1", "fold2", "fold3"], target)
    batches = input_pipeline.described_batches(split, target, opened.size, batch_size=4)
    expected = [n for n, row in rows.items() if row["split"] != "test" and wanted(row)]
    assert sorted(names_of(batches)) == sorted(expected)
    assert split.filtered == sum(row["split"] != "test" for row in rows.values()) - len(expected)


@pytest.mark.parametrize("kind", ["under", "over"])
@pytest.mark.parametrize("cache", [True, False], ids=["memory", "disk"])
def test_an_epoch_has_as_many_images_of_each_class(folder, kind, cache):
    opened = records_folder.open_records(folder)
    target = TARGETS["pathology"]  # normal images are left out
    split = dataset.select(opened, "train", ["fold1", "fold2", "fold3"], target)
    split = dataclasses.replace(split, sampling=kind)
    counts = np.bincount(split.labels)
    assert counts[0] > counts[1] > 0
    wanted = counts.min() if kind == "under" else counts.max()
    options = {"batch_size": 4, "seed": 3, "cache": cache}
    size = opened.size

    def epochs(first, last):
        batches = input_pipeline.training_batches(
            split, target, size, first_epoch=first, last_epoch=last, **options
        ).as_numpy_iterator()
        images = [
            (float(image.mean()), int(label))
            for batch, labels in batches
            for image, (label,) in zip(batch, labels, strict=True)
        ]
        return [images[start : start + 2 * wanted] for start in range(0, len(images), 2 * wanted)]

    whole = epochs(0, 3)
    assert [np.bincount([label for _, label in images]).tolist() for images in whole] == [
        [wanted, wanted]
    ] * 3
    assert sorted(whole[0]) != sorted(whole[1])  # other images are drawn
    assert epochs(2, 3) == whole[2:]
    distinct = {mean for mean, label in whole[0] if label == (0 if kind == "under" else 1)}
    assert len(distinct) == counts.min()


def test_grades_that_no_image_has_are_dropped(folder):
    opened = records_folder.open_records(folder)
    assessment = dataset.drop_unused_grades(opened, TARGETS["assessment"])
    assert assessment.names == ("BI-RADS 1", "BI-RADS 2", "BI-RADS 3", "BI-RADS 4", "BI-RADS 5")
    assert assessment.kind == "ordinal"
    assert assessment.label_of("5") == 4
    assert assessment.label_of("0") is None
    two = records_folder.open_records(folder, condition="density in (1, 4)")
    density = dataset.drop_unused_grades(two, TARGETS["density"])
    assert (density.names, density.kind) == (("density A", "density D"), "binary")
    assert dataset.drop_unused_grades(opened, TARGETS["three_class"]) is TARGETS["three_class"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "tissue"}, r"the images have 0 of fatty, .* their density is '\d', "),
        (
            {"where": "view == 'XCCL'"},
            r"none of 57 images meets --where=view == 'XCCL'; their view",
        ),
        (
            {"target": "three_class", "where": "pathology != 'normal'"},
            r"the train images .* none that is normal \(their pathology is 'benign', 'malignant'\)",
        ),
        ({"target": "density", "class_weights": "1:2"}, r"2 weights, the images have 4 classes"),
        ({"fold": 4}, r"--fold=4: .* has folds 0 to 3"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_what_the_images_cannot_answer_is_refused(folder, tmp_path, options, message):
    with pytest.raises(CallerError, match=message):
        train.train(config(folder, tmp_path / "run", **options))
    assert not (tmp_path / "run").exists()
