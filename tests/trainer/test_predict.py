"""Films handed to a finished run, from file to predictions.json, against what evaluation said."""

import csv
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import cv2
import keras
import numpy as np
import pydicom
import pytest
import tensorflow as tf
from scipy.special import expit, logit

from flags.errors import CallerError
from flags.judging import JudgingConfig
from flags.training import TrainingConfig
from trainer import predict, train
from trainer.new_films import asked_film, film_list, finished_run

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[2])}
RECIPE = "clean,crop,pectoral,orient:left:by=side,resize:pad,minmax"
"""Needs view and side."""


def convert(data_dir: pathlib.Path, output_dir: pathlib.Path, *arguments: str) -> pathlib.Path:
    """Runs the Beam job as a user does, 64x48 by RECIPE; returns the folder of records."""
    told = [f"--data_dir={data_dir}", f"--output_dir={output_dir}", "--sizes=64x48", "--folds=2"]
    program = [sys.executable, "-m", "beam_jobs.tfrecords", *told, f"--recipe={RECIPE}", *arguments]
    subprocess.run(program, check=True, capture_output=True, env=ENVIRONMENT)
    (manifest,) = output_dir.glob("*/64x48/*/manifest.json")
    return manifest.parent


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> pathlib.Path:
    """Where the phantoms lie that `run` learned from and is judged on, DICOM."""
    return tmp_path_factory.mktemp("films")


@pytest.fixture(scope="module")
def run(films, tmp_path_factory) -> pathlib.Path:
    """A network that learned from films by the Beam job's records."""
    root = tmp_path_factory.mktemp("run")
    size = "--phantom_size=2049x640"
    records = convert(films, root / "out", "--dataset=phantom", "--phantom_films=34", size)
    config = TrainingConfig(
        dataset_dir=str(records),
        run_dir=str(root / "run"),
        weights="random",
        alpha=0.35,
        phase1_epochs=0,
        phase2_epochs=1,
    )
    return train.train(config)


def ask(run: pathlib.Path, output_dir: pathlib.Path, *films: pathlib.Path, **how) -> dict:
    """Predicts in this process; returns predictions.json with the exit code."""
    config = JudgingConfig(
        mode="predict",
        arguments=tuple(map(str, films)),
        run=str(run),
        output_dir=str(output_dir),
        **how,
    )
    code = predict.run(config)
    return {**json.loads((output_dir / "predictions.json").read_text()), "code": code}


def judged(run: pathlib.Path) -> dict[str, dict[str, str]]:
    with (run / "predictions.csv").open(newline="") as file:
        return {row["film_id"]: row for row in csv.DictReader(file)}


def file_of(run: pathlib.Path, films: pathlib.Path) -> dict[str, pathlib.Path]:
    directory = json.loads((run / "run.json").read_text())["dataset_dir"]
    with pathlib.Path(directory, "sources.csv").open(newline="") as file:
        return {row["film_id"]: films / row["path"] for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def answers(run, films, tmp_path_factory):
    """The test films' answers, and the folder of the outputs."""
    output_dir = tmp_path_factory.mktemp("answers") / "predictions"
    files = file_of(run, films)
    told = ask(run, output_dir, *(files[name] for name in judged(run)))
    return told, output_dir


def test_a_film_is_predicted_as_its_record_was(run, films, answers):
    """Files with nothing but their headers: the probabilities of predictions.csv."""
    told, _ = answers
    assert told["code"] == 0
    wanted = judged(run)
    files = file_of(run, films)
    assert len(wanted) == len(told["films"]) >= 6
    for film, (name, row) in zip(told["films"], wanted.items(), strict=True):
        assert film["film"] == str(files[name])
        assert (film["side"], film["view"]) == (row["side"], row["view"])
        assert film["probability"] == pytest.approx(float(row["probability"]), abs=1e-5)
        for key in ("calibrated", "threshold"):
            if row[key]:
                assert film[key] == pytest.approx(float(row[key]), abs=1e-5)
        assert film["class"] == ("benign", "malignant")[film["probability"] > film["threshold"]]
        assert not film["unlike"]
        assert film["error"] == ""


def test_confidence_is_the_calibrated_probability_of_the_class(run, films, tmp_path):
    """By temperature, on the logit (Guo et al. 2017); the class by the threshold of validation."""
    copy = shutil.copytree(run, tmp_path / "run")
    content = {
        **json.loads((copy / "calibration.json").read_text()),
        "used": "temperature",
        "temperature": 2.0,
        "threshold": {"value": 0.9},
    }
    (copy / "calibration.json").write_text(json.dumps(content))
    (film,) = ask(copy, tmp_path / "out", next(films.rglob("*.dcm")))["films"]
    assert film["calibrated"] == pytest.approx(expit(logit(film["probability"]) / 2), rel=1e-6)
    assert (film["threshold"], film["class"]) == (0.9, "benign")
    assert film["confidence"] == pytest.approx(1 - film["calibrated"])


def test_films_of_a_breast_are_averaged(run, answers):
    told, output_dir = answers
    groups: dict[tuple[str, str], list[float]] = {}
    numbers: dict[str, set[int]] = {}
    for film, row in zip(told["films"], judged(run).values(), strict=True):
        groups.setdefault((row["patient_id"], row["side"]), []).append(film["probability"])
        numbers.setdefault(row["patient_id"], set()).add(film["exam"])
    assert [len(found) for found in numbers.values()] == [1] * len(numbers)
    assert set.union(*numbers.values()) == set(range(1, len(numbers) + 1))
    assert any(len(films) > 1 for films in groups.values())
    means = [breast["probability"] for breast in told["breasts"]]
    assert means == pytest.approx([np.mean(films) for films in groups.values()])
    with (output_dir / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    of_film = {film: breast for breast in told["breasts"] for film in breast["films"]}
    for row in rows:
        assert float(row["breast_probability"]) == of_film[row["film"]]["probability"]
        assert int(row["breast_films"]) == len(of_film[row["film"]]["films"])


def test_what_must_be_known_stands_in_every_output(answers):
    told, output_dir = answers
    assert told["notice"] == "research use only, not for diagnosis"
    assert told["synthetic"]
    assert "synthetic phantoms" in told["warnings"][0]
    with (output_dir / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(told["films"])
    for row in rows:
        assert row["notice"] == told["notice"]
        assert "synthetic phantoms" in row["warnings"]


def test_a_heat_map_lies_on_the_film(answers, run):
    """Shrunk to 1536 rows, and otherwise the film where the network saw nothing."""
    told, output_dir = answers
    pictures = sorted(path.name for path in (output_dir / "heat_maps").iterdir())
    assert pictures == [f"{n:04d}.png" for n in range(1, len(told["films"]) + 1)]
    for film in told["films"]:
        picture = cv2.imread(str(output_dir / film["heat_map"]))
        height, width = film["height"], film["width"]
        assert picture.shape == (1536, round(width * 1536 / height), 3)
        pixels = pydicom.dcmread(film["film"]).pixel_array.astype(np.float32)
        small = cv2.resize(pixels, picture.shape[1::-1], interpolation=cv2.INTER_AREA)
        grey = picture.min(axis=2) == picture.max(axis=2)
        if grey.mean() > 0.1:
            shown = np.abs(np.corrcoef(picture[:, :, 0][grey], small[grey])[0, 1])
            assert shown > 0.99  # faint colours may round to grey


def test_heat_maps_can_be_left_out_and_old_ones_go(run, films, tmp_path):
    film = next(films.rglob("*.dcm"))
    assert ask(run, tmp_path, film)["films"][0]["heat_map"] == "heat_maps/0001.png"
    assert ask(run, tmp_path, film, heat_maps=False)["films"][0]["heat_map"] == ""
    assert not list((tmp_path / "heat_maps").iterdir())


def test_a_bad_film_does_not_stop_the_others(run, films, tmp_path, capsys):
    good, cut, cropped = sorted(films.rglob("*.dcm"))[:3]
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
    errors = {pathlib.Path(film["film"]).name: film["error"] for film in told["films"]}
    assert errors.pop("good.dcm") == ""
    assert {name: error.partition(":")[0] for name, error in errors.items()} == {
        "cut.dcm": "truncated",
        "lesion.dcm": "not_a_film",
        "text.png": "not_an_image",
        "void.pgm": "empty_file",
    }
    lines = capsys.readouterr().out.splitlines()
    assert sum("NOT PREDICTED" in line for line in lines) == 4
    assert "1 of 5 films predicted" in lines[-1]
    for film in told["films"]:
        assert (film["probability"] is None) == bool(film["error"])


def test_what_a_recipe_needs_must_be_told(run, tmp_path):
    """A PGM tells neither view nor side; a table does."""
    pixels = np.zeros((2056, 640), np.uint8)
    cv2.ellipse(pixels, (0, 1000), (400, 700), 0, 0, 360, 150, -1)
    (tmp_path / "film.pgm").write_bytes(b"P5 640 2056 255\n" + pixels.tobytes())
    told = ask(run, tmp_path / "out", tmp_path / "film.pgm")
    assert told["code"] == 1
    assert "view_unknown" in told["films"][0]["error"]
    assert "--films" in told["films"][0]["error"]
    (tmp_path / "films.csv").write_text("path,exam,side,view\nfilm.pgm,mine,left,CC\n")
    told = ask(run, tmp_path / "out", films=str(tmp_path / "films.csv"))
    assert told["code"] == 0
    assert told["breasts"][0]["exam"] == 1


def test_another_kind_of_film_is_called_unlike(run, tmp_path, write_dicom):
    """Noise of another size, a secondary capture."""
    noise = np.random.default_rng(0).integers(0, 65535, (900, 500), np.uint16)
    noise[:, 250:] = 0
    header = {"ViewPosition": "CC", "ImageLaterality": "L"}
    header["SOPClassUID"] = "1.2.840.10008.5.1.4.1.1.7"
    noisy = write_dicom(tmp_path / "noise.dcm", noise, **header)
    (film,) = ask(run, tmp_path / "out", noisy)["films"]
    assert film["unlike"]
    assert film["distance"] > film["distance_limit"]
    (warning,) = film["warnings"]
    assert re.search(r"its size is 900x500 pixels, theirs \d+x\d+ to \d+x\d+;", warning)
    assert re.search(r"grey levels are \d+\.\d standard deviations away, theirs within", warning)
    assert "it is a copy or a digitised film by its header" in warning


def undo(run: pathlib.Path, copy: pathlib.Path) -> pathlib.Path:
    """Makes of a run what it was before it could be asked about films."""
    shutil.copytree(run, copy)
    for name in ("training_films.json", "calibration.json"):
        (copy / name).unlink()
    described = json.loads((copy / "run.json").read_text())
    del described["preparation"], described["test_time_augmentation"]
    (copy / "run.json").write_text(json.dumps(described))
    return copy


def test_an_old_run_whose_records_are_there(run, films, tmp_path):
    film = next(films.rglob("*.dcm"))
    (now,) = ask(run, tmp_path / "out", film)["films"]
    old = undo(run, tmp_path / "old")
    told = ask(old, tmp_path / "out", film)
    assert told["films"][0]["probability"] == now["probability"]
    assert told["films"][0]["distance"] == pytest.approx(now["distance"])
    assert (told["films"][0]["threshold"], told["films"][0]["calibrated"]) == (0.5, None)
    assert "probabilities are not calibrated: it was judged before" in told["warnings"][1]


def test_an_old_run_whose_records_are_gone(run, films, tmp_path):
    old = undo(run, tmp_path / "old")
    for name in ("run.json", "config.json"):
        content = json.loads((old / name).read_text())
        (old / name).write_text(json.dumps({**content, "dataset_dir": str(tmp_path / "gone")}))
    film = next(films.rglob("*.dcm"))
    with pytest.raises(CallerError, match=r"does not say how its films were prepared, and .*train"):
        ask(old, tmp_path / "out", film)
    described = json.loads((old / "run.json").read_text())
    described["preparation"] = json.loads((run / "run.json").read_text())["preparation"]
    (old / "run.json").write_text(json.dumps(described))
    told = ask(old, tmp_path / "out", film)
    assert told["films"][0]["distance"] is None
    assert "films are not compared with the training films" in told["warnings"][-1]


def test_a_run_without_a_model_and_an_output_folder_that_is_a_file(run, films, tmp_path):
    film = next(films.rglob("*.dcm"))
    copy = shutil.copytree(run, tmp_path / "run")
    (tmp_path / "file").write_text("")
    with pytest.raises(CallerError, match=r"^--output_dir=.*file can't be written: "):
        ask(copy, tmp_path / "file", film)
    (copy / "model.keras").unlink()
    with pytest.raises(CallerError, match=r"^--run=.* holds no model.keras, its training is not"):
        ask(copy, tmp_path / "out", film)
    assert not (tmp_path / "out").exists()


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


def test_nobody_is_named(run, films, tmp_path, capfd):
    """Whole and damaged films that name a person in every place."""
    folder = tmp_path / "exam"
    folder.mkdir()
    for number, path in enumerate(sorted(films.rglob("*.dcm"))[:5]):
        film = pydicom.dcmread(path)
        for keyword, value in PLANTED.items():
            setattr(film, keyword, value)
        if number == 1:
            film.PhotometricInterpretation = "Quillfeather"
        if number == 2:
            film.ViewPosition = film.ImageLaterality = "Quillfeather"
            film.ViewCodeSequence = [pydicom.Dataset()]
            film.ViewCodeSequence[0].CodeMeaning = "Quillfeather"
        film.save_as(folder / f"{number}.dcm")
    data = (folder / "3.dcm").read_bytes()
    (folder / "3.dcm").write_bytes(data[: len(data) // 2])
    (folder / "4.dcm").write_bytes(data[:128] + b"DICM" + b"Quillfeather^Zebedee" * 50)
    told = ask(run, tmp_path / "out", folder)
    assert [bool(film["error"]) for film in told["films"]] == [False, True, True, True, True]
    assert told["films"][0]["exam"] == 1
    said = capfd.readouterr()
    outputs = [said.out.encode(), said.err.encode()]
    outputs += [path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(outputs) == 5
    for value in PLANTED.values():
        word = re.split(r"[\^ ]", value)[0].encode()
        assert not any(word in output for output in outputs), value


def run_trainer(*arguments: str, cwd: pathlib.Path) -> subprocess.CompletedProcess:
    program = [sys.executable, "-m", "trainer", "--mode=predict", *arguments]
    return subprocess.run(
        program, check=False, capture_output=True, text=True, cwd=cwd, env=ENVIRONMENT
    )


def test_from_the_command_line(run, films, tmp_path):
    film = next(films.rglob("*.dcm"))
    (tmp_path / "text.png").write_text("no image")
    done = run_trainer(f"--run={run}", str(film), "text.png", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "research use only, not for diagnosis"
    assert any(line.startswith(f"[1/2] {film}: ") for line in lines)
    assert "[2/2] text.png: NOT PREDICTED, not_an_image: 8 bytes" in done.stdout
    assert lines[-1] == "1 of 2 films predicted, 0 with a warning: predictions/predictions.csv"
    assert sorted(path.name for path in (tmp_path / "predictions").iterdir()) == [
        "heat_maps",
        "predictions.csv",
        "predictions.json",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["film.dcm"], "--mode=predict needs --run, the folder of a finished run"),
        (["--run=nowhere"], "--mode=predict needs films: "),
        (["--run=nowhere", "film.dcm"], "film.dcm is not there; give films or folders of films"),
        (["--run=nowhere", "."], "--run=nowhere holds no run.json; give the folder of a finished"),
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


def test_real_films_are_predicted_as_their_records(cbis_films, run, tmp_path):
    """Full-size films: the Beam job is told view and side by a table, here PatientID tells them."""
    folder = tmp_path / "films"
    folder.mkdir()
    rows = []
    for number, path in enumerate(sorted(cbis_films.rglob("*.dcm"))[::2]):
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
            images[features["film_id"].bytes_list.value[0].decode()] = np.frombuffer(
                features["image"].bytes_list.value[0], "<u2"
            ).reshape(64, 48, 1)
    assert len(images) == 4
    model = keras.models.load_model(run / "model.keras", compile=False)
    told = ask(run, tmp_path / "predictions", folder)
    assert all(film["unlike"] for film in told["films"])
    finished = finished_run.open_run(run)
    asker = asked_film.Asker(finished, None)
    for film in told["films"]:
        path = pathlib.Path(film["film"])
        ((_, image),) = [(name, i) for name, i in images.items() if name.startswith(path.stem)]
        prepared = asker.prepare(film_list.Asked(path))
        np.testing.assert_array_equal(prepared.film.record, image)
        wanted = model.predict(image[None], verbose=0).item()
        assert film["probability"] == pytest.approx(wanted, abs=1e-6)
