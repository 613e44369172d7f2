"""The conversion as a user runs it: commands, files, exit codes, lines on the terminal."""

import csv
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from beam_jobs.imaging import decode, recipe
from beam_jobs.sources import phantom
from beam_jobs.sources.phantom_image import Sample
from records.image_size import ImageSize
from tests import make

SIZE = ImageSize(96, 64)


def convert(*arguments: object, cwd: pathlib.Path | None = None) -> subprocess.CompletedProcess:
    return make.program("beam_jobs.tfrecords", *arguments, cwd=cwd)


def options(data_dir: pathlib.Path, output_dir: pathlib.Path, *more: str) -> list[str]:
    return [
        "--dataset=phantom",
        f"--data_dir={data_dir}",
        f"--output_dir={output_dir}",
        f"--sizes={SIZE}",
        "--phantom_images=24",
        "--phantom_size=2056x640",
        "--images_per_shard=2",
        *more,
    ]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    directory = tmp_path_factory.mktemp("data") / "phantom"
    phantom.make(directory, Sample(images=24, height=2056, width=640))
    return directory


@pytest.fixture(scope="module")
def converted(images, tmp_path_factory):
    output_dir = tmp_path_factory.mktemp("out")
    run = convert(*options(images, output_dir, "--recipe=paper", "--recipe=plain"))
    assert run.returncode == 0, run.stderr
    assert "SYNTHETIC PHANTOMS" in run.stderr
    assert "converting: 24/24" in run.stderr
    return output_dir / "phantom" / str(SIZE)


def test_everything_lies_where_the_contract_says(converted):
    for name in ("paper", "plain"):
        names = {path.name for path in (converted / name).iterdir()}
        shards = {name for name in names if ".tfrecord-" in name}
        assert names - shards == {
            ".shards",
            "dataset_info.json",
            "features.json",
            "label.labels.txt",
            "lesions.csv",
            "manifest.json",
            "overview.html",
            "plan.json",
            "preview.png",
            "rejected.csv",
            "sources.csv",
            "statistics.json",
        }
        manifest = json.loads((converted / name / "manifest.json").read_text())
        assert set(manifest["shards"]) == shards
        assert manifest["totals"]["records"] == manifest["totals"]["written"] == 24
        for shard, entry in manifest["shards"].items():
            data = (converted / name / shard).read_bytes()
            assert entry["sha256"] == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("name", ["paper", "plain"])
def test_tfds_opens_the_folder_and_yields_the_pixels_of_the_images(converted, images, name):
    tfds = pytest.importorskip("tensorflow_datasets")
    builder = tfds.builder_from_directory(str(converted / name))
    with (converted / name / "sources.csv").open(newline="") as file:
        rows = {row["image_id"]: row for row in csv.DictReader(file)}
    seen = set()
    for split in builder.info.splits:
        for example in tfds.as_numpy(builder.as_dataset(split=split)):
            row = rows[example["image_id"].decode()]
            assert row["split"] == split
            for column in ("pathology", "patient_id", "side", "view", "density", "abnormality"):
                assert example[column].decode() == row[column]
            assert builder.info.features["label"].int2str(example["label"]) == row["pathology"]
            image = decode.read_image(
                images / row["path"], options=decode.Options(max_pixels=10**8)
            )
            np.testing.assert_array_equal(example["image"], recipe.prepare(image, name, SIZE))
            assert (example["original_height"], example["original_width"]) == image.shape
            seen.add(example["image_id"].decode())
    assert seen == set(rows)


def test_breasts_stand_beside_their_images(converted, images):
    output_dir = converted.parents[1]
    run = convert(*options(images, output_dir, "--recipe=plain", "--unit=breast"))
    assert run.returncode == 0, run.stderr
    assert "\n  12 records of CC and MLO of one breast: 12 of CC+MLO\n" in run.stdout
    breasts = converted / "plain-breast"
    assert f"{breasts}: 24 images in 12 records in " in run.stdout
    page = (breasts / "overview.html").read_text()
    assert page.count("data:image/jpeg") == page.count("<figcaption>") == 16
    assert "CC and MLO of one breast in each of 12 records" in page
    check = make.program("beam_jobs.verify", converted / "plain", f"--against={breasts}")
    assert check.returncode == 0, check.stdout
    assert "in both: 24 of 24 image_id" in check.stdout
    assert "images with the same pixels in both: 24:" in check.stdout
    make.one_line(
        make.program("trainer", f"--dataset_dir={converted / 'plain'}", "--views=concat"),
        "--views=concat: ",
        "holds one image a record; convert with --unit=breast",
    )
    again = convert(*options(images, output_dir, "--recipe=plain", "--unit=breast"))
    assert "converting" not in again.stderr


def test_tfds_gives_pairs_of_image_and_label(converted):
    tfds = pytest.importorskip("tensorflow_datasets")
    info = tfds.builder_from_directory(str(converted / "plain")).info
    folds = info.description.split()[-1]
    with pytest.raises(ValueError, match="Unknown split"):  # a union has no name of its own
        tfds.builder_from_directory(str(converted / "plain")).as_dataset(split="train")
    pairs = tfds.builder_from_directory(str(converted / "plain")).as_dataset(
        split=folds, as_supervised=True
    )
    trained = [label for _, label in tfds.as_numpy(pairs)]
    with (converted / "plain" / "sources.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"].startswith("fold")]
    assert sorted(info.features["label"].int2str(label) for label in trained) == sorted(
        row["pathology"] for row in rows if row["status"] == "written"
    )
    assert info.homepage == "none"  # no page of TFDS's catalogue
    assert info.supervised_keys == ("image", "label")


def test_statistics_are_those_of_the_pixels(converted):
    tfds = pytest.importorskip("tensorflow_datasets")
    builder = tfds.builder_from_directory(str(converted / "plain"))
    pixels = np.stack(
        [
            e["image"]
            for s in builder.info.splits
            for e in tfds.as_numpy(builder.as_dataset(split=s))
        ]
    )
    found = json.loads((converted / "plain" / "statistics.json").read_text())["pixels"]
    assert found["mean"] == pytest.approx(pixels.mean() / 65535, rel=1e-9)
    assert found["deviation"] == pytest.approx(pixels.std() / 65535, rel=1e-6)
    counts, _ = np.histogram(pixels, bins=64, range=(0, 65536))
    np.testing.assert_allclose(found["histogram"], counts / pixels.size, atol=2e-6)


def test_no_patient_stands_in_two_splits(converted):
    with (converted / "plain" / "sources.csv").open(newline="") as file:
        pairs = {(row["patient_id"], row["split"]) for row in csv.DictReader(file)}
    assert len(pairs) == len({patient for patient, _ in pairs})


def test_workers_do_not_change_a_byte(converted, images, tmp_path):
    run = convert(*options(images, tmp_path, "--recipe=plain", "--direct_num_workers=1"))
    assert run.returncode == 0, run.stderr
    assert make.fingerprints(tmp_path / "phantom" / str(SIZE) / "plain") == make.fingerprints(
        converted / "plain"
    )


@pytest.mark.parametrize("wait", [1, 3, 6], ids="after {} shards".format)
def test_a_killed_job_goes_on_and_ends_byte_identical(converted, images, tmp_path, wait):
    arguments = options(images, tmp_path, "--recipe=plain", "--direct_num_workers=1")
    child = make.start("beam_jobs.tfrecords", *arguments, stdout=subprocess.DEVNULL)
    output = tmp_path / "phantom" / str(SIZE) / "plain"
    while child.poll() is None and len(list(output.glob("*.tfrecord-*"))) < wait:
        time.sleep(0.002)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    finished = {path.name: path.stat().st_mtime_ns for path in output.glob("*.tfrecord-*")}
    ledgers = {path.stem for path in (output / ".shards").glob("*tfrecord*.json")}
    assert len(finished) >= wait
    assert not (output / "manifest.json").exists()
    run = convert(*arguments)
    assert run.returncode == 0, run.stderr
    assert make.fingerprints(output) == make.fingerprints(converted / "plain")
    for name in ledgers:  # what was done was not done again
        assert (output / name).stat().st_mtime_ns == finished[name]


def test_a_finished_job_has_nothing_left_to_do(converted, images):
    before = {p: p.stat().st_mtime_ns for p in (converted / "plain").glob("*.tfrecord-*")}
    run = convert(*options(images, converted.parents[1], "--recipe=plain"))
    assert run.returncode == 0, run.stderr
    assert "24 images in" in run.stdout
    assert before == {p: p.stat().st_mtime_ns for p in before}


def test_another_configuration_is_refused_and_overwrite_replaces(converted, images, tmp_path):
    output_dir = tmp_path / "out"
    shutil.copytree(converted.parents[1], output_dir)
    record = output_dir / "phantom" / str(SIZE) / "plain"
    before = make.fingerprints(record)
    changed = options(images, output_dir, "--recipe=plain", "--folds=3")
    make.one_line(
        convert(*changed), "made with other folds (4, now 3);", "--overwrite", alone=False
    )
    assert convert(*changed, "--overwrite", "--dry_run").returncode == 0
    assert make.fingerprints(record) == before
    run = convert(*changed, "--overwrite")
    assert run.returncode == 0, run.stderr
    assert json.loads((record / "manifest.json").read_text())["folds"] == 3


PIXEL_DATA = b"\xe0\x7f\x10\x00OW"  # tag (7FE0,0010) and its VR, little endian
DAMAGES = {
    "truncated": lambda whole: whole[: len(whole) // 2],
    "empty_file": lambda whole: b"",
    "not_an_image": lambda whole: b"<html>Not found</html>" * 20,
    "no_pixels": lambda whole: whole[: whole.index(PIXEL_DATA)],
    "one_grey_level": lambda whole: whole[: whole.index(PIXEL_DATA) + 12].ljust(len(whole), b"\0"),
}


def damage_images(images: pathlib.Path, directory: pathlib.Path) -> dict[str, str]:
    """Copies the images and spoils one in each way; returns folder -> reason."""
    shutil.copytree(images, directory)
    reasons = {}
    for path, (reason, spoil) in zip(
        sorted(directory.glob("*/*/*/1-1.dcm")), DAMAGES.items(), strict=False
    ):
        path.write_bytes(spoil(path.read_bytes()))
        reasons[path.relative_to(directory).parts[0]] = reason
    return reasons


def test_unusable_images_are_listed_and_the_rest_goes_on(images, tmp_path):
    reasons = damage_images(images, tmp_path / "damaged")
    arguments = options(tmp_path / "damaged", tmp_path / "out", "--recipe=plain")
    run = convert(*arguments)
    assert run.returncode == 1
    assert "20.8% of the images were rejected, --max_rejected allows 1.0%" in run.stderr
    output = tmp_path / "out" / "phantom" / str(SIZE) / "plain"
    with (output / "rejected.csv").open(newline="") as file:
        listed = {row["path"].split("/")[0]: row["reason"] for row in csv.DictReader(file)}
    assert listed == reasons
    manifest = json.loads((output / "manifest.json").read_text())
    assert manifest["totals"]["records"] == 19
    assert manifest["rejected"] == dict.fromkeys(sorted(reasons.values()), 1)
    with (output / "sources.csv").open(newline="") as file:
        status = [row["status"] for row in csv.DictReader(file)]
    assert (status.count("written"), status.count("rejected"), len(status)) == (19, 5, 24)
    tolerant = convert(*arguments, "--max_rejected=0.3")
    assert tolerant.returncode == 0, tolerant.stderr


def test_a_mended_image_is_taken_up_and_no_other_shard_touched(images, tmp_path):
    data_dir = tmp_path / "data"
    shutil.copytree(images, data_dir)
    path = sorted(data_dir.glob("*/*/*/1-1.dcm"))[0]
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    arguments = options(data_dir, tmp_path / "out", "--recipe=plain")
    assert convert(*arguments).returncode == 1
    output = tmp_path / "out" / "phantom" / str(SIZE) / "plain"
    before = {p.name: p.stat().st_mtime_ns for p in output.glob("*.tfrecord-*")}
    path.write_bytes(whole)
    run = convert(*arguments)
    assert run.returncode == 0, run.stderr
    assert json.loads((output / "manifest.json").read_text())["totals"]["written"] == 24
    after = {p.name: p.stat().st_mtime_ns for p in output.glob("*.tfrecord-*")}
    assert sum(after[name] != before[name] for name in after) == 1


def test_ctrl_c_ends_with_one_line_and_the_same_command_goes_on(images, tmp_path):
    # a dear recipe, or the job could end before the signal comes
    recipe = "--recipe=best_practice"
    arguments = options(images, tmp_path, recipe, "--direct_num_workers=1")
    child = make.start(
        "beam_jobs.tfrecords", *arguments, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    work = tmp_path / "phantom" / str(SIZE) / "best_practice" / ".shards"
    while child.poll() is None and not list(work.glob("*.tfrecord-*.tmp")):  # a shard begun
        time.sleep(0.002)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 130, said
    assert said.strip().splitlines()[-1] == "interrupted; give the same command again to go on"
    assert "Traceback" not in said
    assert convert(*arguments).returncode == 0


def test_an_output_that_cannot_be_written_is_one_line(images, tmp_path):
    (tmp_path / "file").write_text("")
    run = convert(*options(images, tmp_path / "file" / "below"))
    make.one_line(run, "can't be written", "is no folder that you may write to", alone=False)
    # root may write there by its rights, and still can't
    make.one_line(convert(*options(images, pathlib.Path("/proc/x"))), "/proc", alone=False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sizes=2048*1376"], ["2048*1376", "2048x1376"]),
        (["--recipe=papre"], ["--recipe=papre", "did you mean paper?"]),
        (["--dataset=cbis-ddsm"], ["did you mean cbis_ddsm?"]),
        (["--label_policy=all"], ["--label_policy=all", "any_malignant"]),
        (["--split_policy=x"], ["--split_policy=x", "official, patient, image"]),
        (["--leak_policy=x"], ["--leak_policy=x", "drop_from_train"]),
        (["--dataset=mini_mias", "--split_policy=official"], ["--split_policy=patient"]),
        (["--dataset=cbis_ddsm", "--data_dir=/nowhere"], ["/nowhere is not a folder"]),
        (["--data_dir=/tmp"], ["without --dataset"]),
        (["--folds=one"], ["--folds=one", "whole number"]),
        (["--fold=3"], ["unknown flag --fold", "did you mean --folds?"]),
        (["--runer=DirectRunner"], ["unknown flag --runer"]),
        (["--runner=Nonsense"], ["--runner=Nonsense can't be used", "leave it out"]),
        (["--direct_num_workers=abc"], ["option of Beam", "direct_num_workers"]),
        (["--max_rejected=nan"], ["--max_rejected=nan is not at least 0 and at most 1"]),
        (["stray"], ["stray"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_callers_mistake_is_one_line(tmp_path, arguments, words):
    run = convert(f"--output_dir={tmp_path / 'out'}", *arguments, cwd=tmp_path)
    make.one_line(run, *words, alone=False)
    assert list(tmp_path.iterdir()) == []


WITHOUT_BEAM = """
import sys
from beam_jobs import tfrecords
try:
    tfrecords.main()
except SystemExit as end:
    sys.exit("Beam was imported" if "apache_beam" in sys.modules else end.code)
"""


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (["--no_such_flag=1"], "unknown flag --no_such_flag"),
        (["--direct_num_workers=2", "--no_such_flag"], "unknown flag --no_such_flag"),
        (["stray"], "argument 'stray' is not a flag"),
        (["--dataset=cmmd", "--data_dir=/nowhere"], "/nowhere is not a folder"),
        (["--folds=3"], "made with other folds (4, now 3);"),
        (["--hash_patients=/nowhere"], "--hash_patients=/nowhere"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_mistakes_are_named_before_beam_is_imported(changed, said, converted, images):
    given = options(images, converted.parents[1], "--recipe=paper", *changed)
    command = [sys.executable, "-c", WITHOUT_BEAM, *given]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    make.one_line(run, said)


def test_tables_of_another_data_set_are_refused(images, tmp_path):
    run = convert("--dataset=cbis_ddsm", f"--data_dir={images}", f"--output_dir={tmp_path}")
    make.one_line(run, "PHANTOM_", "another --dataset", alone=False)
    run = convert("--dataset=mini_mias", f"--data_dir={images}", f"--output_dir={tmp_path}")
    make.one_line(run, "0 files named Info.txt", alone=False)


def test_tables_without_images_are_refused_but_can_be_planned(official_tables, tmp_path):
    arguments = [
        "--dataset=cbis_ddsm",
        f"--data_dir={official_tables}",
        f"--output_dir={tmp_path}",
        "--sizes=2048x1376",
    ]
    make.one_line(
        convert(*arguments), "none of the 2997 images listed was found", "--dry_run", alone=False
    )
    run = convert(*arguments, "--dry_run")
    assert run.returncode == 0, run.stderr
    output = tmp_path / "cbis_ddsm" / "2048x1376" / "paper"
    plan = json.loads((output / "plan.json").read_text())
    assert (plan["listed"], plan["found"], plan["missing"]) == (2997, 0, 2997)
    assert len(plan["leaked_patients"]) == 31
    assert plan["bytes_to_write"] == 0
    assert [path.name for path in output.iterdir()] == ["plan.json"]


def test_published_protocol_by_dry_run(official_tables, tmp_path):
    run = convert(
        "--dataset=cbis_ddsm",
        f"--data_dir={official_tables}",
        f"--output_dir={tmp_path}",
        "--label_policy=paper",
        "--leak_policy=keep",
        "--split_policy=image",
        "--dry_run",
    )
    assert run.returncode == 0, run.stderr
    plan = json.loads((tmp_path / "cbis_ddsm/512x512/paper/plan.json").read_text())
    splits = plan["splits"]
    assert splits["test"]["labels"] == {"benign": 381, "malignant": 260}
    assert splits["fold0"]["labels"] == {"benign": 337, "malignant": 275}
    train = [split["images"] for name, split in splits.items() if name != "test"]
    assert sum(train) == 2445


def test_leaks_can_stop_the_job(official_tables, tmp_path):
    run = convert(
        "--dataset=cbis_ddsm",
        f"--data_dir={official_tables}",
        f"--output_dir={tmp_path}",
        "--leak_policy=fail",
        "--dry_run",
    )
    make.one_line(run, "31 patients in both official sets", alone=False)


def test_the_eight_real_images(official_tables, cbis_images, tmp_path):
    """Labels by the table: the right views of P_00820 are benign, the left ones malignant."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "tables").symlink_to(official_tables.resolve())
    (tmp_path / "data" / "images").symlink_to(cbis_images)
    run = convert(
        "--dataset=cbis_ddsm",
        f"--data_dir={tmp_path / 'data'}",
        f"--output_dir={tmp_path / 'out'}",
        "--sizes=2048x1376",
    )
    assert run.returncode == 0, run.stderr
    assert "for 2989 of 3032 images listed; sources.csv" in run.stderr
    output = tmp_path / "out/cbis_ddsm/2048x1376/paper"
    with (output / "sources.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    written = {
        r["image_id"]: (r["split"], r["pathology"]) for r in rows if r["status"] == "written"
    }
    assert written == {
        **{
            f"P_00173_{s}_{v}": ("test", "benign") for s in ("LEFT", "RIGHT") for v in ("CC", "MLO")
        },
        **{f"P_00820_LEFT_{v}": ("test", "malignant") for v in ("CC", "MLO")},
        **{f"P_00820_RIGHT_{v}": ("test", "benign") for v in ("CC", "MLO")},
    }
    tfds = pytest.importorskip("tensorflow_datasets")
    builder = tfds.builder_from_directory(str(output))
    assert builder.info.splits["test"].num_examples == 8
    for example in tfds.as_numpy(builder.as_dataset(split="test")):
        row = next(r for r in rows if r["image_id"] == example["image_id"].decode())
        image = decode.read_image(
            tmp_path / "data" / row["path"], options=decode.Options(max_pixels=10**8)
        )
        expected = recipe.prepare(image, "paper", ImageSize(2048, 1376))
        np.testing.assert_array_equal(example["image"], expected)


def test_a_list_of_steps(images, tmp_path):
    """View and side reach the steps; another spelling is the same job, another list is not."""
    text = "clean,orient:left:by=side,pectoral,crop,resize:pad,hist_eq:breast,bits:8"
    run = convert(*options(images, tmp_path, f"--recipe={text}", "--recipe=resize"))
    assert run.returncode == 0, run.stderr
    folder = tmp_path / "phantom" / str(SIZE)
    name = "clean--orient-left-byside--pectoral--crop--resize-pad--hist_eq-breast--bits-8"
    assert sorted(path.name for path in folder.iterdir()) == [name, "plain"]
    manifest = json.loads((folder / name / "manifest.json").read_text())
    assert manifest["recipe"] == name
    assert manifest["steps"] == (
        "clean,orient:left:by=side,pectoral,crop:margin=0.01,resize:pad,hist_eq:breast,bits:8"
    )
    tfds = pytest.importorskip("tensorflow_datasets")
    builder = tfds.builder_from_directory(str(folder / name))
    with (folder / name / "sources.csv").open(newline="") as file:
        rows = {row["image_id"]: row for row in csv.DictReader(file)}
    for example in tfds.as_numpy(builder.as_dataset(split="test")):
        row = rows[example["image_id"].decode()]
        image = decode.read_image(images / row["path"], options=decode.Options(max_pixels=10**8))
        wanted = recipe.prepare(image, text, SIZE, view=row["view"], side=row["side"])
        np.testing.assert_array_equal(example["image"], wanted)
    before = make.fingerprints(folder / name)
    other = text.replace("pectoral,crop", "pectoral, crop : margin=0.010").replace(":pad", "")
    run = convert(*options(images, tmp_path, f"--recipe={other}"))
    assert run.returncode == 0, run.stderr
    assert make.fingerprints(folder / name) == before
