"""Images handed to a finished run, from file to predictions.json, against what evaluation said."""

import csv
import json
import os
import pathlib
import re
import shutil
import subprocess

import cv2
import keras
import matplotlib.text
import numpy as np
import pydicom
import pytest
import tensorflow as tf
from scipy.special import expit, logit

from flags.training_config import TrainingConfig
from records.errors import CallerError
from tests import make
from trainer.commands import predict, train
from trainer.heat_maps import overlay
from trainer.inference import finished_model, inputs, predictor

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[3])}
RECIPE = "clean,crop,pectoral,orient:left:by=side,resize:pad,minmax"
"""Needs view and side."""


def convert(data_dir: pathlib.Path, output_dir: pathlib.Path, *arguments: str) -> pathlib.Path:
    """Runs the Beam job as a user does, 64x48 by RECIPE; returns the folder of records."""
    told = [f"--data_dir={data_dir}", f"--output_dir={output_dir}", "--sizes=64x48", "--folds=2"]
    run = make.program("beam_jobs.tfrecords", *told, f"--recipe={RECIPE}", *arguments)
    assert run.returncode == 0, run.stderr
    (manifest,) = output_dir.glob("*/64x48/*/manifest.json")
    return manifest.parent


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> pathlib.Path:
    """Where the phantoms lie that `run` learned from and is evaluated on, DICOM."""
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="module")
def run(images, tmp_path_factory) -> pathlib.Path:
    """A network that learned from images by the Beam job's records."""
    root = tmp_path_factory.mktemp("run")
    size = "--phantom_size=2049x640"
    records = convert(images, root / "out", "--dataset=phantom", "--phantom_images=34", size)
    config = TrainingConfig(
        dataset_dir=str(records),
        run_dir=str(root / "run"),
        **make.TINY,
        phase1_epochs=0,
        phase2_epochs=1,
    )
    return train.train(config)


def ask(run: pathlib.Path, output_dir: pathlib.Path, *images: pathlib.Path, **how) -> dict:
    """Predicts in this process; returns predictions.json with the exit code."""
    config = predict.Config(
        arguments=tuple(map(str, images)),
        run=str(run),
        output_dir=str(output_dir),
        **how,
    )
    code = predict.run(config)
    return {**json.loads((output_dir / "predictions.json").read_text()), "code": code}


def evaluated(run: pathlib.Path) -> dict[str, dict[str, str]]:
    with (run / "predictions.csv").open(newline="") as file:
        return {row["image_id"]: row for row in csv.DictReader(file)}


def file_of(run: pathlib.Path, images: pathlib.Path) -> dict[str, pathlib.Path]:
    directory = json.loads((run / "run.json").read_text())["dataset_dir"]
    with pathlib.Path(directory, "sources.csv").open(newline="") as file:
        return {row["image_id"]: images / row["path"] for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def answers(run, images, tmp_path_factory):
    """The test images' answers, and the folder of the outputs."""
    output_dir = tmp_path_factory.mktemp("answers") / "predictions"
    files = file_of(run, images)
    told = ask(run, output_dir, *(files[name] for name in evaluated(run)))
    return told, output_dir


def test_a_image_is_predicted_as_its_record_was(run, images, answers):
    """Files with nothing but their headers: the probabilities of predictions.csv."""
    told, _ = answers
    assert told["code"] == 0
    wanted = evaluated(run)
    files = file_of(run, images)
    assert len(wanted) == len(told["images"]) >= 6
    for image, (name, row) in zip(told["images"], wanted.items(), strict=True):
        assert image["image"] == str(files[name])
        assert (image["side"], image["view"]) == (row["side"], row["view"])
        assert image["probability"] == pytest.approx(float(row["probability"]), abs=1e-5)
        for key in ("calibrated", "threshold"):
            if row[key]:
                assert image[key] == pytest.approx(float(row[key]), abs=1e-5)
        assert image["class"] == ("benign", "malignant")[image["probability"] > image["threshold"]]
        assert not image["unlike"]
        assert image["error"] == ""


def test_confidence_is_the_calibrated_probability_of_the_class(run, images, tmp_path):
    """By temperature, on the logit (Guo et al. 2017); the class by the threshold of validation."""
    copy = shutil.copytree(run, tmp_path / "run")
    content = {
        **json.loads((copy / "calibration.json").read_text()),
        "used": "temperature",
        "temperature": 2.0,
        "threshold": {"value": 0.9},
    }
    (copy / "calibration.json").write_text(json.dumps(content))
    (image,) = ask(copy, tmp_path / "out", next(images.rglob("*.dcm")))["images"]
    assert image["calibrated"] == pytest.approx(expit(logit(image["probability"]) / 2), rel=1e-6)
    assert (image["threshold"], image["class"]) == (0.9, "benign")
    assert image["confidence"] == pytest.approx(1 - image["calibrated"])


def test_images_of_a_breast_are_averaged(run, answers):
    told, output_dir = answers
    groups: dict[tuple[str, str], list[float]] = {}
    numbers: dict[str, set[int]] = {}
    for image, row in zip(told["images"], evaluated(run).values(), strict=True):
        groups.setdefault((row["patient_id"], row["side"]), []).append(image["probability"])
        numbers.setdefault(row["patient_id"], set()).add(image["exam"])
    assert [len(found) for found in numbers.values()] == [1] * len(numbers)
    assert set.union(*numbers.values()) == set(range(1, len(numbers) + 1))
    assert any(len(images) > 1 for images in groups.values())
    means = [breast["probability"] for breast in told["breasts"]]
    assert means == pytest.approx([np.mean(images) for images in groups.values()])
    with (output_dir / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    of_image = {image: breast for breast in told["breasts"] for image in breast["images"]}
    for row in rows:
        assert float(row["breast_probability"]) == of_image[row["image"]]["probability"]
        assert int(row["breast_images"]) == len(of_image[row["image"]]["images"])


def test_a_copy_counts_once(run, images, tmp_path, capsys):
    """Two copies of one view, one of them with another header, and the other view of its breast."""
    files = list(file_of(run, images).values())
    first, second = files[0], files[1]
    shutil.copy(first, tmp_path / "a.dcm")
    shutil.copy(first, tmp_path / "a (1).dcm")
    edited = pydicom.dcmread(first)
    edited.SeriesDescription = "sent again"
    edited.save_as(tmp_path / "b.dcm")
    shutil.copy(second, tmp_path / "c.dcm")
    told = ask(run, tmp_path / "out", *sorted(tmp_path.glob("*.dcm")), heat_maps=False)
    original = str(tmp_path / "a (1).dcm")
    assert [image["copy_of"] for image in told["images"]] == ["", original, original, ""]
    assert [image["probability"] is None for image in told["images"]] == [False, True, True, False]
    assert not any(original in breast["images"][1:] for breast in told["breasts"])
    assert told["code"] == 0
    said = capsys.readouterr().out
    assert "2 of 4 images are copies of others given; each counts once" in said
    assert "2 of 4 images predicted" in said


def test_two_women_with_one_id_are_never_averaged(run, shared_cases, tmp_path, capsys):
    files = sorted((shared_cases / "two_women_one_id").glob("*.dcm"))
    told = ask(run, tmp_path / "out", *files, heat_maps=False, predict_unlike=True)
    assert [image["exam"] for image in told["images"]] == [None, None]
    assert [image["copy_of"] for image in told["images"]] == ["", ""]
    assert told["breasts"] == []
    assert "2 images stand alone, averaged with no other" in capsys.readouterr().out


def test_special_views_and_raw_twins_are_not_averaged(run, shared_cases, tmp_path, capsys):
    cases = shared_cases / "special_views"
    content = ask(run, tmp_path / "a", cases, predict_unlike=True)
    kinds = {pathlib.Path(row["image"]).stem: row["kind"] for row in content["images"]}
    assert (kinds["cc_mag"], kinds["cc_id"]) == ("magnification", "implant displaced")
    assert {row["breast_images"] for row in content["images"]} == {0, 1}
    assert "1 magnification, 1 raw twin of a presentation image" in capsys.readouterr().out
    content = ask(run, tmp_path / "b", cases, special_views="keep", predict_unlike=True)
    assert {row["breast_images"] for row in content["images"]} == {2, 3}


def test_what_is_no_mammogram_is_refused(run, tmp_path, write_dicom):
    pixels = (np.indices((90, 70)).sum(axis=0) * 25).astype(np.uint16)
    path = write_dicom(tmp_path / "ct.dcm", pixels, bits_stored=12, Modality="CT")
    (row,) = ask(run, tmp_path / "out", path)["images"]
    wanted = "not_a_mammogram: by its header it is CT; --any_modality to insist"
    assert row["error"] == wanted
    (row,) = ask(run, tmp_path / "any", path, any_modality=True)["images"]
    assert wanted not in row["error"]


def test_what_must_be_known_stands_in_every_output(run, answers):
    told, output_dir = answers
    assert told["notice"] == "research use only, not for diagnosis"
    assert told["synthetic"]
    scores = json.loads((run / "metrics.json").read_text())
    assert told["warnings"][0].startswith("the model ")  # one epoch: no better than guessing
    assert any("synthetic phantoms" in warning for warning in told["warnings"])
    assert [told["evaluation"][key] for key in ("auc", "auc_low", "auc_high")] == [
        scores["auc"][key] for key in ("value", "low", "high")
    ]
    with (output_dir / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(told["images"])
    for row in rows:
        assert row["notice"] == told["notice"]
        assert "synthetic phantoms" in row["warnings"]
        assert row["warnings"].startswith(told["warnings"][0])
        assert float(row["run_auc"]) == scores["auc"]["value"]
        assert f"on {scores['images']} images of" in row["run_evaluated"]


def test_an_image_it_learned_from_is_named(run, images, answers, tmp_path):
    """Known by its pixels, whatever the name of the file and of the patient."""
    splits = json.loads((run / "run.json").read_text())["splits"]
    directory = json.loads((run / "run.json").read_text())["dataset_dir"]
    with pathlib.Path(directory, "sources.csv").open(newline="") as file:
        learned = next(r for r in csv.DictReader(file) if r["split"] in splits["train"]["folds"])
    copied = pydicom.dcmread(images / learned["path"])
    copied.SOPInstanceUID += ".1"
    copied.save_as(tmp_path / "copy.dcm")
    (image,) = ask(run, tmp_path / "out", tmp_path / "copy.dcm")["images"]
    assert image["trained_on"]
    assert any("learned from this very image" in warning for warning in image["warnings"])
    assert not any(image["trained_on"] for image in answers[0]["images"])
    page = (tmp_path / "out" / "predictions.html").read_text()
    assert "0 images unlike those it learned from, 1 image it learned from.</p>" in page
    (row,) = re.findall(r'<tr><th scope="row">.*?</tr>', page, re.DOTALL)
    assert "1 with a warning<br> 1 it learned from<br> </td>" in " ".join(row.split())


def test_a_heat_map_lies_beside_its_image(answers):
    """Left the image as it is, right the same under the heat map."""
    told, output_dir = answers
    pictures = sorted(path.name for path in (output_dir / "heat_maps").iterdir())
    assert pictures == [f"{n:04d}.png" for n in range(1, len(told["images"]) + 1)]
    for image in told["images"]:
        picture = cv2.imread(str(output_dir / image["heat_map"]))
        pixels = pydicom.dcmread(image["image"]).pixel_array.astype(np.float32)
        row = (picture[len(picture) // 2] < 250).any(axis=1)
        first, *_ = edges = np.flatnonzero(np.diff(row.astype(int), prepend=0, append=0))
        column = (picture[:, first + 2] < 250).any(axis=1)
        ends = np.flatnonzero(np.diff(column.astype(int), prepend=0, append=0)).reshape(-1, 2)
        top, bottom = max(ends, key=lambda pair: pair[1] - pair[0])  # the title is above
        assert bottom - top > 1000
        left = picture[top:bottom, edges[0] : edges[1]]
        small = cv2.resize(pixels, left.shape[1::-1], interpolation=cv2.INTER_AREA)
        assert (np.ptp(left, axis=2) == 0).all()
        assert np.abs(np.corrcoef(left[:, :, 0].ravel(), small.ravel())[0, 1]) > 0.99


def test_a_heat_map_names_image_prediction_and_use(run, images, tmp_path, monkeypatch):
    said = {}

    def spy(figure, path, **_):
        said[path.name] = [one.get_text() for one in figure.findobj(matplotlib.text.Text)]
        path.write_bytes(b"")

    monkeypatch.setattr(overlay, "save", spy)
    (image,) = ask(run, tmp_path, next(images.rglob("*.dcm")))["images"]
    (texts,) = said.values()
    title = next(text for text in texts if pathlib.Path(image["image"]).name in text)
    assert f"probability of malignant {image['probability']:.3f}" in " ".join(title.split())
    assert "research use only, not for diagnosis" in texts
    assert {"none", "most"} <= set(texts) or any("no evidence for" in text for text in texts)


def test_heat_maps_can_be_left_out_and_old_ones_go(run, images, tmp_path):
    image = next(images.rglob("*.dcm"))
    out = tmp_path / "out"
    assert ask(run, out, image)["images"][0]["heat_map"] == "heat_maps/0001.png"
    again = ask(run, out, image, heat_maps=False, overwrite=True)
    assert again["images"][0]["heat_map"] == ""
    assert not list(out.rglob("*.png"))


def test_a_bad_image_does_not_stop_the_others(run, images, tmp_path, capsys):
    good, cut, cropped = sorted(images.rglob("*.dcm"))[:3]
    folder = tmp_path / "exam"
    folder.mkdir()
    shutil.copy(good, folder / "good.dcm")
    (folder / "cut.dcm").write_bytes(cut.read_bytes()[:9000])
    (folder / "text.png").write_text("no image")
    (folder / "void.pgm").write_bytes(b"")
    lesion = pydicom.dcmread(cropped)
    lesion.SeriesDescription = "cropped images"
    lesion.save_as(folder / "lesion.dcm")
    told = ask(run, tmp_path / "out", folder)
    assert told["code"] == 1
    errors = {pathlib.Path(image["image"]).name: image["error"] for image in told["images"]}
    assert errors.pop("good.dcm") == ""
    assert {name: error.partition(":")[0] for name, error in errors.items()} == {
        "cut.dcm": "truncated",
        "lesion.dcm": "not_a_mammogram",
        "text.png": "not_an_image",
        "void.pgm": "empty_file",
    }
    lines = capsys.readouterr().out.splitlines()
    assert sum("NOT PREDICTED" in line for line in lines) == 4
    assert "1 of 5 images predicted" in lines[-2]
    for image in told["images"]:
        assert (image["probability"] is None) == bool(image["error"])


def test_what_a_recipe_needs_must_be_told(run, tmp_path):
    """A PGM tells neither view nor side; a table does. Its polarity is seen, and said."""
    pixels = np.zeros((2056, 640), np.uint8)
    cv2.ellipse(pixels, (0, 1000), (400, 700), 0, 0, 360, 150, -1)
    (tmp_path / "image.pgm").write_bytes(b"P5 640 2056 255\n" + pixels.tobytes())
    told = ask(run, tmp_path / "out", tmp_path / "image.pgm")
    assert told["code"] == 1
    assert "view_unknown" in told["images"][0]["error"]
    assert "--images" in told["images"][0]["error"]
    (tmp_path / "negative.pgm").write_bytes(b"P5 640 2056 255\n" + (255 - pixels).tobytes())
    rows = "path,exam,side,view\nimage.pgm,mine,left,CC\nnegative.pgm,mine,left,CC\n"
    (tmp_path / "images.csv").write_text(rows)
    told = ask(run, tmp_path / "more", images=str(tmp_path / "images.csv"), predict_unlike=True)
    assert told["code"] == 0
    assert told["breasts"][0]["exam"] == 1
    said = ["polarity: inverted by the pixels" in one["warnings"] for one in told["images"]]
    assert said == [False, True]


def test_another_kind_of_image_is_called_unlike(run, tmp_path, write_dicom):
    """Noise of another size, a secondary capture."""
    noise = np.random.default_rng(0).integers(0, 65535, (900, 500), np.uint16)
    noise[:, 250:] = 0
    header = {"ViewPosition": "CC", "ImageLaterality": "L"}
    header["SOPClassUID"] = "1.2.840.10008.5.1.4.1.1.7"
    noisy = write_dicom(tmp_path / "noise.dcm", noise, **header)
    (image,) = ask(run, tmp_path / "out", noisy)["images"]
    assert image["unlike"]
    assert image["distance"] > image["distance_limit"]
    (warning,) = image["warnings"]
    assert re.search(r"its size is 900x500 pixels, theirs \d+x\d+ to \d+x\d+;", warning)
    assert re.search(r"grey levels are \d+\.\d standard deviations away, theirs within", warning)
    assert "it is a copy or a digitised film by its header" in warning
    assert image["class"] is image["probability"] is None
    assert "--predict_unlike insists" in image["error"]
    (image,) = ask(run, tmp_path / "all", noisy, predict_unlike=True)["images"]
    assert image["unlike"]
    assert image["class"] is not None


def undo(run: pathlib.Path, copy: pathlib.Path) -> pathlib.Path:
    """Makes of a run what it was before it could be asked about images."""
    shutil.copytree(run, copy)
    for name in ("training_images.json", "calibration.json"):
        (copy / name).unlink()
    described = json.loads((copy / "run.json").read_text())
    del described["preparation"], described["test_time_augmentation"]
    (copy / "run.json").write_text(json.dumps(described))
    return copy


def test_an_old_run_whose_records_are_there(run, images, tmp_path):
    image = next(images.rglob("*.dcm"))
    (now,) = ask(run, tmp_path / "out", image)["images"]
    old = undo(run, tmp_path / "old")
    told = ask(old, tmp_path / "old_out", image)
    assert told["images"][0]["probability"] == now["probability"]
    assert told["images"][0]["distance"] == pytest.approx(now["distance"])
    assert (told["images"][0]["threshold"], told["images"][0]["calibrated"]) == (0.5, None)
    assert "probabilities are not calibrated: it was evaluated before" in " ".join(told["warnings"])


def test_an_old_run_whose_records_are_gone(run, images, tmp_path):
    old = undo(run, tmp_path / "old")
    for name in ("run.json", "config.json"):
        content = json.loads((old / name).read_text())
        (old / name).write_text(json.dumps({**content, "dataset_dir": str(tmp_path / "gone")}))
    image = next(images.rglob("*.dcm"))
    with pytest.raises(
        CallerError, match=r"does not state how its images were prepared, and .*train"
    ):
        ask(old, tmp_path / "out", image)
    described = json.loads((old / "run.json").read_text())
    described["preparation"] = json.loads((run / "run.json").read_text())["preparation"]
    (old / "run.json").write_text(json.dumps(described))
    told = ask(old, tmp_path / "out", image)
    assert told["images"][0]["distance"] is None
    assert "images are not compared with the training images" in told["warnings"][-1]


def test_a_run_without_a_model_and_an_output_folder_that_is_a_file(run, images, tmp_path):
    image = next(images.rglob("*.dcm"))
    copy = shutil.copytree(run, tmp_path / "run")
    (tmp_path / "file").write_text("")
    with pytest.raises(CallerError, match=r"^--output_dir=.*file can't be written: "):
        ask(copy, tmp_path / "file", image)
    (copy / "model.keras").unlink()
    with pytest.raises(CallerError, match=r"^--run=.* holds no model.keras: its training is not"):
        ask(copy, tmp_path / "out", image)
    assert not (tmp_path / "out").exists()


def test_no_call_touches_what_an_earlier_one_or_a_run_left(run, images, tmp_path, monkeypatch):
    copy = shutil.copytree(run, tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    one, two = sorted(images.rglob("*.dcm"))[:2]
    for image in (one, two):
        predict.run(predict.Config(arguments=(str(image),), run=str(copy)))
    before = make.fingerprints(tmp_path)
    for place in (copy, tmp_path / "predictions"):
        with pytest.raises(CallerError, match=r"--output_dir"):
            ask(copy, place, one)
    with pytest.raises(CallerError, match=r"which this command did not write"):
        ask(copy, copy, one, overwrite=True)
    assert make.fingerprints(tmp_path) == before
    for name, image in (("predictions", one), ("predictions-2", two)):
        told = json.loads((tmp_path / name / "predictions.json").read_text())
        assert [row["image"] for row in told["images"]] == [str(image)]
        assert (tmp_path / name / "heat_maps" / "0001.png").is_file()
    told = ask(copy, tmp_path / "predictions", two, overwrite=True, heat_maps=False)
    assert told["images"][0]["image"] == str(two)
    assert not list((tmp_path / "predictions").glob("heat_maps/*.png"))


PLANTED = {
    "PatientName": "Quillfeather^Zebedee",
    "PatientID": "IDquillfeather77",
    "PatientBirthDate": "19310217",
    "InstitutionName": "Hospital Xanadu",
    "StudyDescription": "Descriptum",
    "SeriesDescription": "Seriesdescriptum",
    "AccessionNumber": "ACC7731945",
    "StudyInstanceUID": "1.2.7731945.1",
}


def test_nobody_is_named(run, images, tmp_path, capfd):
    """Whole and damaged images that name a person in every place."""
    folder = tmp_path / "exam"
    folder.mkdir()
    for number, path in enumerate(sorted(images.rglob("*.dcm"))[:5]):
        image = pydicom.dcmread(path)
        for keyword, value in PLANTED.items():
            setattr(image, keyword, value)
        if number == 1:
            image.PhotometricInterpretation = "Quillfeather"
        if number == 2:
            image.ViewPosition = image.ImageLaterality = "Quillfeather"
            image.ViewCodeSequence = [pydicom.Dataset()]
            image.ViewCodeSequence[0].CodeMeaning = "Quillfeather"
        image.save_as(folder / f"{number}.dcm")
    data = (folder / "3.dcm").read_bytes()
    (folder / "3.dcm").write_bytes(data[: len(data) // 2])
    (folder / "4.dcm").write_bytes(data[:128] + b"DICM" + b"Quillfeather^Zebedee" * 50)
    told = ask(run, tmp_path / "out", folder)
    assert [bool(image["error"]) for image in told["images"]] == [False, True, True, True, True]
    assert told["images"][0]["exam"] == 1
    said = capfd.readouterr()
    outputs = [said.out.encode(), said.err.encode()]
    outputs += [path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(outputs) == 6
    for value in PLANTED.values():
        word = re.split(r"[\^ ]", value)[0].encode()
        assert not any(word in output for output in outputs), value


def run_trainer(*arguments: str, cwd: pathlib.Path) -> subprocess.CompletedProcess:
    return make.program("trainer", "predict", *arguments, cwd=cwd)


def test_from_the_command_line(run, images, tmp_path):
    image = file_of(run, images)[next(iter(evaluated(run)))]
    (tmp_path / "text.png").write_text("no image")
    done = run_trainer(f"--run={run}", str(image), "text.png", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "research use only, not for diagnosis"
    assert any(line.startswith(f"[1/2] {image}: ") for line in lines)
    assert "[2/2] text.png: NOT PREDICTED, not_an_image: 8 bytes" in done.stdout
    assert lines[-2] == "1 of 2 images predicted, 0 with a warning"
    assert lines[-1] == f"predictions: {tmp_path.resolve() / 'predictions' / 'predictions.html'}"
    assert sorted(path.name for path in (tmp_path / "predictions").iterdir()) == [
        "heat_maps",
        "predictions.csv",
        "predictions.html",
        "predictions.json",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["image.dcm"], "--run=RUN is missing, the folder of a finished run"),
        (["--run=."], "predict needs images: "),
        (["--run=.", "image.dcm"], "image.dcm is not there; give images or folders of images"),
        (["--run=nowhere", "image.dcm"], "--run=nowhere is not a folder; give that of a finished"),
        (["--run=.", "."], "--run=. holds no config.json; give the folder of a finished run"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_callers_mistake_is_one_line(tmp_path, arguments, words):
    (tmp_path / "any.dcm").write_bytes(b"x")
    done = run_trainer(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {words}")
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["any.dcm"]


def test_real_images_are_predicted_as_their_records(cbis_images, run, tmp_path):
    """Full-size images: the Beam job is told view and side by a table, here by PatientID."""
    folder = tmp_path / "images"
    folder.mkdir()
    rows = []
    for number, path in enumerate(sorted(cbis_images.rglob("*.dcm"))[::2]):
        shutil.copy(path, folder / f"{number}.dcm")
        header = pydicom.dcmread(path, stop_before_pixels=True)
        _, side, view = header.PatientID.rsplit("_", 2)
        label = ("benign", "malignant")[number % 2]
        rows.append(f"{number}.dcm,p{number},{label},{view},{side.lower()}\n")
    (folder / "t.csv").write_text("path,patient_id,pathology,view,side\n" + "".join(rows))
    policy = ("--split_policy=patient", "--test_fraction=0")
    records = convert(folder, tmp_path / "out", "--dataset=table", *policy)
    images = {}
    for shard in records.glob("*.tfrecord-*"):
        for record in tf.data.TFRecordDataset(str(shard)).as_numpy_iterator():
            features = tf.train.Example.FromString(record).features.feature
            images[features["image_id"].bytes_list.value[0].decode()] = np.frombuffer(
                features["image"].bytes_list.value[0], "<u2"
            ).reshape(64, 48, 1)
    assert len(images) == 4
    model = keras.models.load_model(run / "model.keras", compile=False)
    told = ask(run, tmp_path / "predictions", folder, predict_unlike=True)
    assert all(image["unlike"] for image in told["images"])
    finished = finished_model.open_run(run)
    one_by_one = predictor.Predictor(finished, None)
    for image in told["images"]:
        path = pathlib.Path(image["image"])
        ((_, pixels),) = [(name, i) for name, i in images.items() if name.startswith(path.stem)]
        prepared = one_by_one.prepare(inputs.InputImage(path))
        np.testing.assert_array_equal(prepared.image.record, pixels)
        wanted = model.predict(pixels[None], verbose=0).item()
        assert image["probability"] == pytest.approx(wanted, abs=1e-6)
