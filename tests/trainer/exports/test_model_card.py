"""The model card of runs whose files are written by hand, so every number's place is known."""

import hashlib
import json
import pathlib
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from records.errors import CallerError
from tests import make
from trainer.exports import card_scores, model_card


def figure(value, low=None, high=None):
    return {"value": value, "low": low, "high": high}


SPLIT = {"images": 138, "patients": 59, "left_out": 3, "filtered": 0, "damaged": 1, "epoch": 138}
RUN = {
    "size": "512x384",
    "recipe": "paper",
    "data_fingerprint": "f9ee5d",
    "policies": {
        "label_policy": "any_malignant",
        "split_policy": "official",
        "leak_policy": "drop_from_train",
    },
    "kind": "binary",
    "splits": {
        "train": {**SPLIT, "folds": ["fold1"], "labels": {"benign": 80, "malignant": 58}},
        "test": {**SPLIT, "folds": ["test"], "labels": {"benign": 54, "malignant": 40}},
    },
}
SCORES = {
    "split": "test",
    "images": 94,
    "patients": 34,
    "labels": {"benign": 54, "malignant": 40},
    "threshold": 0.5,
    "majority_baseline": 0.5745,
    "auc": {**figure(0.875, 0.773, 0.954), "delong": {"low": 0.801, "high": 0.949, "se": 0.038}},
    "accuracy": figure(0.798, 0.682, 0.904),
    "precision": {"value": None, "not_defined_because": "no image is called malignant"},
    "confusion_matrix": [[53, 1], [19, 21]],
    "interval": "95 % percentile bootstrap over patients",
    "predicts_one_class": False,
}
EVALUATED = {
    **SCORES,
    "brier": figure(0.21, 0.18, 0.25),
    "calibrated": {"brier": figure(0.17, 0.14, 0.2)},
    "chosen_threshold": {"thresholds": [0.3125], "recall": figure(0.775, 0.6, 0.9)},
    "levels": {
        "breast": {
            "note": "a breast is malignant if any of its images is",
            "mean": {"groups": 47, "patients": 34, "auc": figure(0.911, 0.8, 0.98)},
            "max": {"not_defined_because": "no reason to"},
        },
        "patient": {"not_defined_because": "3 of 94 images do not state their side"},
    },
    "subgroups": {
        "view": [{"value": "CC", "images": 47, "patients": 34, "auc": figure(0.86, 0.7, 0.96)}],
        "density": [
            {
                "value": "4|<b>",
                "images": 3,
                "patients": 2,
                "auc": {"value": None, "not_defined_because": "no image is malignant"},
            }
        ],
    },
}
CALIBRATION = {"used": "temperature", "images": 48, "patients": 20, "temperature": 1.7}
CALIBRATION |= {"isotonic": None, "threshold": {"value": 0.3125}}


@pytest.fixture
def write_run(tmp_path):
    """`write_run(**contents of files)` -> the text of the run's card."""

    def write(**files) -> str:
        files = {"config": {"kind": "train", "base": "vgg19", "head": "gap"}, **files}
        make.write_described(tmp_path, **files.pop("run", RUN))
        for name, content in files.items():
            (tmp_path / f"{name}.json").write_text(json.dumps(content))
        (tmp_path / "model.keras").write_bytes(b"")
        return model_card.write(tmp_path, tmp_path).read_text()

    return write


def rows_of(text: str) -> dict[str, str]:
    """Lines of tables by their first cell."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return {line.split(" | ")[0][2:]: line for line in lines}


def test_numbers_stand_where_they_belong(write_run):
    text = write_run(metrics=EVALUATED, calibration=CALIBRATION)
    rows = rows_of(text)
    assert rows["AUC"] == "| AUC | 0.875 (0.773 to 0.954) |"
    assert rows["AUC, interval by DeLong's method"].endswith("| 0.875 (0.801 to 0.949) |")
    assert rows["precision"] == "| precision | not defined: no image is called malignant |"
    assert rows["train (fold1)"] == "| train (fold1) | 138 | 59 | 80 | 58 | 4 |"
    assert rows["malignant"] == "| malignant | 19 | 21 |"
    assert "| breast | mean of its images | 47 | 0.911 (0.800 to 0.980) | not measured |" in text
    assert "| breast | max of its images |  | not defined: no reason to |" in text
    assert "| patient | mean of its images |  | not defined: 3 of 94 images do not state" in text
    assert "\n\na breast is malignant if any of its images is.\n" in text
    assert rows["view"].startswith("| view | CC | 47 | 34 | 0.860 (0.700 to 0.960) | not measured")
    assert rows["density"].startswith(
        r"| density | 4\|&lt;b> | 3 | 2 | not defined: no image is ma"
    )
    assert "Threshold chosen on validation: 0.3125" in text
    assert "Calibration: temperature, fitted on 48 validation images of 20 patients" in text
    assert "| Brier score | 0.210 (0.180 to 0.250) | 0.170 (0.140 to 0.200) |" in text
    assert "43 % of the evaluated images are malignant" in text
    for said in ("CC BY 3.0", "Lee et al.", "f9ee5d", "1,082,529", "0.8625, 1.1897", "0.575"):
        assert said in text
    assert "Research use only, not for diagnosis" in text
    assert (
        "Not measured: sensitivity (recall), specificity, F1, balanced accuracy, Matthews" in text
    )


def test_what_is_absent_is_not_measured(write_run):
    text = write_run(metrics=SCORES)
    for line in (
        "Threshold chosen on validation: not measured",
        "their calibration was not measured",
        "### Breasts and patients\n\nnot measured",
        "### Subgroups\n\nnot measured",
        "epochs: not measured",
        f"SHA-256 of model.keras: {hashlib.sha256(b'').hexdigest()}",  # of the run, with no export
        "Evaluated not measured by not measured.",
        "Subgroups (by view, density, ...) were not measured.",
    ):
        assert line in text
    assert "None" not in text
    assert "nan" not in re.sub(r"[a-z]+nan[a-z]*|nan[a-z]+", "", text.lower())


def test_a_run_that_was_not_evaluated(write_run):
    text = write_run()
    assert "Not measured: the run was not evaluated." in text
    assert "It has not been evaluated on any image." in text
    assert "AUC" not in text.split("## Limits")[0].split("## Scores")[1]


def test_several_classes(write_run):
    names = ["A", "B", "C"]
    split = {**SPLIT, "folds": ["test"], "labels": dict.fromkeys(names, 5)}
    run = {**RUN, "label_names": names, "kind": "ordinal", "target": "density"}
    scores = {
        **SCORES,
        "labels": dict.fromkeys(names, 5),
        "confusion_matrix": [[5, 0, 0], [0, 4, 1], [0, 0, 5]],
        "kappa": figure(0.95, 0.9, 1.0),
    }
    text = write_run(run={**run, "splits": {"train": split, "test": split}}, metrics=scores)
    assert "the probabilities that the grade is above A, above B" in text
    assert rows_of(text)["quadratic weighted kappa"].endswith("0.950 (0.900 to 1.000) |")
    assert rows_of(text)["B"] == "| B | 0 | 4 | 1 |"
    assert "Screening finds" not in text


def test_what_must_be_warned_of(write_run):
    run = {
        **RUN,
        "synthetic": True,
        "weights_warning": "this run starts from RANDOM weights",
        "absent_classes": ["D"],
        "damaged_records": ["a", "b"],
        "where": "view == 'CC'",
        "test_time_augmentation": "flip",
        "policies": {**RUN["policies"], "split_policy": "image"},
    }
    scores = {
        **SCORES,
        "predicts_one_class": True,
        "auc": figure(0.55, 0.45, 0.65),
        "accuracy": figure(0.6, 0.5, 0.7),
    }
    text = write_run(run=run, metrics=scores).split("## Limits")[1]
    for warning in (
        "synthetic phantoms",
        "RANDOM weights",
        "No image was D",
        "2 damaged records",
        "view == 'CC'",
        "--tta=flip",
        "patients of the validation images were trained on",
        "predicts one class for every image",
        "AUC includes 0.5",
        "accuracy includes 0.575",
    ):
        assert warning in text
    fine = {**SCORES, "subgroups": EVALUATED["subgroups"]}
    quiet = write_run(metrics=fine).split("## Limits")[1].split("## How to run")[0]
    for warning in ("phantom", "includes", "one class for", "damaged", "not measured"):
        assert warning not in quiet


def test_no_folder_of_the_machine_is_told(write_run):
    config = {
        "kind": "train",
        "base": "vgg19",
        "head": "gap",
        "alpha": 0.35,
        "weights": "/home/somebody/x.weights.h5",
        "init_from": "/home/somebody/runs/first",
        "dataset_dir": "/home/somebody/data",
        "run_dir": "/home/somebody/runs/second",
    }
    run = {
        **RUN,
        "dataset_dir": "/home/somebody/data",
        "weights": "all of /home/somebody/runs/first (ImageNet -> mini_mias pathology)",
        "chain": ["ImageNet", "mini_mias pathology"],
    }
    text = write_run(config=config, run=run, metrics=SCORES)
    assert "somebody" not in text
    assert "`--alpha=0.35`, `--weights=x.weights.h5`" in text
    assert "`--init_from=first`" in text
    assert "the first first: ImageNet, mini_mias pathology." in text


def test_the_preparation_in_full(write_run):
    steps = "resize:pad,gaussian:kernel=11:sigma=0.5,hist_eq:whole,minmax"
    preparation = {"recipe": steps, "size": "512x384", "max_pixels": 10**6}
    text = write_run(run={**RUN, "preparation": preparation})
    assert f"recipe `paper`, in full `{steps}`" in text
    assert "shape [images, 512, 384, 1], 0 black to 65535 white" in text


def test_a_damaged_file_is_named(write_run, tmp_path):
    write_run(metrics=SCORES)
    (tmp_path / "metrics.json").write_text('{"images": ')
    with pytest.raises(CallerError, match=r"metrics.json is damaged"):
        model_card.write(tmp_path, tmp_path)


def test_the_card_alone_needs_no_tensorflow(write_run, tmp_path):
    write_run(metrics=SCORES)
    program = (
        "import sys; sys.modules.update(tensorflow=None, keras=None)\n"
        "from trainer.commands import export\n"
        f"export.run(export.Config(run={str(tmp_path)!r}, formats=('card',)))"
    )
    root = pathlib.Path(__file__).parents[3]
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"model card: {tmp_path / 'export' / 'model_card.md'}\n"
    assert [path.name for path in (tmp_path / "export").iterdir()] == ["model_card.md"]


@given(st.lists(st.lists(st.text(), min_size=3, max_size=3), max_size=4))
def test_no_text_breaks_a_table(rows):
    lines = card_scores.tabulate(("a", "b", "c"), rows).split("\n")
    assert len(lines) == 2 + len(rows)
    for line in lines:
        assert len(line.splitlines()) == 1
        assert len(re.findall(r"(?<!\\)\|", line)) == 4
        assert "<" not in line
