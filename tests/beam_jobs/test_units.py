"""Breasts and examinations: which images make one, and their records to the verification."""

from __future__ import annotations

import collections
import csv
import dataclasses
import json

import numpy as np
import pytest

from beam_jobs import image_list, splits, units
from beam_jobs.imaging import dicom_file
from beam_jobs.imaging.dicom_file import NOBODY, Identity
from beam_jobs.pseudonyms import Pseudonyms
from beam_jobs.sources import cbis_ddsm
from beam_jobs.sources.source_options import SourceOptions
from beam_jobs.sources.source_row import SourceRow
from beam_jobs.verify import shard_checks, verify_folder
from flags.conversion_config import ConversionConfig
from records import example, schema, tfrecord
from records.errors import CallerError
from tests import make


def row(image_id: str, side: str = "left", view: str = "CC", **more) -> SourceRow:
    stated = {
        "patient_id": "p1",
        "pathology": "benign",
        "split": "fold0",
        "path": f"{image_id}.dcm",
    }
    return SourceRow(image_id=image_id, side=side, view=view, **{**stated, **more})


def assign(
    *images: SourceRow, unit: str = "breast", by_study: bool = False, **identities: Identity
):
    headers = {f"{name}.dcm": one for name, one in identities.items()}
    return units.assign(images, headers, unit=unit, by_study=by_study)


def formed(*images: SourceRow, unit: str = "breast", **how) -> dict[str, tuple[str, ...]]:
    """Unit id -> image ids of its views."""
    found = units.form(assign(*images, unit=unit, **how), unit)
    return {one.row.image_id: one.image_ids for one in found}


# which images make a unit


def test_views_stand_in_their_order_whatever_that_of_the_table():
    images = [
        *(row(f"{side}{view}", side, view) for view in ("MLO", "CC") for side in ("right", "left")),
        row("other", "right", "MLO", patient_id="p2"),
    ]
    assert formed(*images) == {
        "p1_RIGHT": ("rightCC", "rightMLO"),
        "p1_LEFT": ("leftCC", "leftMLO"),
        "p2_RIGHT": ("", "other"),
    }
    assert formed(*images, unit="exam") == {
        "p1": ("leftCC", "leftMLO", "rightCC", "rightMLO"),
        "p2": ("", "", "", "other"),
    }
    views = [one.row.view for one in units.form(assign(*images, unit="exam"), "exam")]
    assert views == ["L-CC+L-MLO+R-CC+R-MLO", "R-MLO"]
    assert assign(*images, unit="image") == images


def test_what_is_no_view_is_left_out_counted_and_in_no_unit():
    got = assign(row("a"), row("b", view="XCCL"), row("c", view=""), row("d", side=""))
    assert [image.excluded for image in got] == [
        "",
        "unit=breast: view XCCL is none of CC, MLO",
        "unit=breast: no view is stated",
        "unit=breast: no side is stated",
    ]
    assert [image.unit_id for image in got] == ["p1_LEFT", "", "", ""]
    plan = splits.summarise(got, split_policy="patient", record_bytes=10, unit="breast")
    assert sum(plan["excluded"].values()) == 3
    assert plan["units"] == {"listed": 1, "views": {"CC": 1}, "labels_disagree": 0}
    assert plan["bytes_to_write"] == 10


LATE, EARLY = Identity("", "", acquired="101112 000000002"), Identity("", "", acquired="101112")
CHOICES = {
    "one with a file": ({"path": ""}, {}, {}),
    "for presentation": ({"intent": "processing"}, {"intent": "presentation"}, {}),
    "not stated before raw": ({"intent": "processing"}, {}, {}),
    "standard": ({"kind": "magnification"}, {}, {}),
    "latest": ({}, {}, {"a": EARLY, "b": LATE}),
    "a time before none": ({}, {}, {"b": EARLY}),
    "intent before time": ({"intent": "processing"}, {}, {"a": LATE, "b": EARLY}),
}


@pytest.mark.parametrize(("first", "second", "headers"), CHOICES.values(), ids=CHOICES)
def test_of_several_images_of_a_view_one_is_taken(first, second, headers):
    got = assign(row("a", **first), row("b", **second), row("m", view="MLO"), **headers)
    assert [image.excluded for image in got] == [
        "unit=breast: another image of its view was taken",
        "",
        "",
    ]
    assert {image.unit_id for image in got} == {"p1_LEFT"}
    assert [image.split for image in got] == ["", "fold0", "fold0"]


def test_else_the_first_by_name():
    assert formed(row("b"), row("a")) == {"p1_LEFT": ("a", "")}


def test_examinations_are_studies_where_headers_tell_them():
    def of(study):
        return dataclasses.replace(NOBODY, study_uid=study)

    images = [row("a"), row("b", view="MLO"), row("c")]
    two = {"a": of("1"), "b": of("1"), "c": of("2")}
    assert formed(*images, by_study=True, **two) == {
        "p1_1_LEFT": ("a", "b"),
        "p1_2_LEFT": ("c", ""),
    }
    each = {"a": of("1"), "b": of("2"), "c": of("3")}  # as CBIS-DDSM
    assert formed(*images, by_study=True, **each) == {"p1_LEFT": ("a", "b")}
    assert formed(*images, **two) == {"p1_LEFT": ("a", "b")}
    stated = [
        dataclasses.replace(image, exam=exam) for image, exam in zip(images, "xxy", strict=True)
    ]
    assert formed(*stated) == {"p1_x_LEFT": ("a", "b"), "p1_y_LEFT": ("c", "")}


def test_patients_whose_leaks_are_kept_have_units_on_either_side():
    images = [row("a", split="test"), row("b", view="MLO"), row("c", side="right")]
    assert formed(*images) == {
        "p1_LEFT": ("a", ""),
        "p1_LEFT_train": ("", "b"),
        "p1_RIGHT": ("c", ""),
    }
    left_out = dataclasses.replace(images[0], split="", excluded="why")
    assert formed(left_out, *images[1:]) == {"p1_LEFT": ("", "b"), "p1_RIGHT": ("c", "")}


def test_what_no_unit_can_be():
    with pytest.raises(
        CallerError, match=r"^x.dcm is CC of p1_LEFT and CC of p2_LEFT; an image is"
    ):
        assign(row("a", path="x.dcm"), row("b", path="x.dcm", patient_id="p2"))
    with pytest.raises(CallerError, match=r"^x.dcm is CC of p1_LEFT and MLO of p1_LEFT; an image"):
        assign(row("a", path="x.dcm"), row("b", path="x.dcm", view="MLO"))
    with pytest.raises(CallerError, match="would be breast p_1_LEFT; rename patients"):
        assign(row("a", patient_id="p_1"), row("b", patient_id="p", exam="1"))
    with pytest.raises(
        CallerError, match="--unit=exam with --split_policy=image: views of one exam"
    ):
        ConversionConfig(unit="exam", split_policy="image")


def test_the_label_is_the_worst_of_all_its_images():
    images = assign(
        row("a", path="", pathology="malignant", density="2", assessment="4", abnormalities=2),
        row("b", view="MLO", abnormality="mass+calcification", density="3", official_split="train"),
        row("c", view="MLO", abnormality="mass", assessment="5", abnormalities=1),
    )
    (one,) = units.form(images, "breast")
    assert one.image_ids == ("a", "b")
    assert [image.image_id for image in one.images] == ["b"]
    said = "labels: left CC malignant, left MLO benign, left MLO benign"
    assert one.row == SourceRow(
        image_id="p1_LEFT",
        patient_id="p1",
        side="left",
        view="CC+MLO",
        pathology="malignant",
        abnormality="mass+calcification",
        density="3",
        assessment="5",
        abnormalities=2,
        official_split="train",
        split="fold0",
        discrepancies=said,
    )
    assert {image.discrepancies for image in images} == {said}
    assert units.summarise([one])["labels_disagree"] == 1
    agreeing = assign(row("a", pathology="", assessment=""), row("b", view="MLO"))
    assert not any(image.discrepancies for image in agreeing)
    both = assign(row("a"), row("b", side="right", pathology="malignant"), unit="exam")
    assert not any(image.discrepancies for image in both)  # of two breasts they may
    assert units.form(both, "exam")[0].row.pathology == "malignant"


def test_hashed_names_make_the_same_units():
    plain = assign(row("z1"), row("z2"), row("z3", view="MLO"), row("z4", exam="x"))
    key = Pseudonyms(b"0123456789abcdef")
    for one, other in zip(
        units.form(plain, "breast"),
        units.form([key.rename(image) for image in plain], "breast"),
        strict=True,
    ):
        assert other.row.image_id == key.of(one.row.image_id)
        assert other.image_ids == tuple(map(key.of, one.image_ids))


OFFICIAL = {
    "train": ({"CC+MLO": 1062, "MLO": 212, "CC": 84}, 617, 480, 1074, 1074),
    "test": ({"CC+MLO": 272, "MLO": 71, "CC": 26}, 152, 111, 274, 273),
}


@pytest.mark.parametrize("split", OFFICIAL)
def test_counts_of_the_official_tables(split, official_tables):
    views, malignant, of_pairs, pairs, agreeing = OFFICIAL[split]

    series = [
        dataclasses.replace(image, excluded="", split="fold0")
        for image in cbis_ddsm.read(official_tables, SourceOptions(label_policy="paper"))
        if split in image.official_split
    ]

    def pair(images):
        return units.form(units.assign(images, {}, unit="breast", by_study=False), "breast")

    breasts = [one.row for one in pair([dataclasses.replace(one, exam="") for one in series])]
    assert collections.Counter(one.view for one in breasts) == views
    worst = [one.view for one in breasts if one.pathology == "malignant"]
    assert (len(worst), worst.count("CC+MLO")) == (malignant, of_pairs)
    apart = [one.row for one in pair(series) if one.row.view == "CC+MLO"]
    assert len(apart) == pairs
    assert sum(not one.discrepancies for one in apart) == agreeing


def test_breasts_of_the_official_test_set_as_a_user_gets_them(official_tables):
    images = splits.assign(
        cbis_ddsm.read(official_tables),
        split_policy="official",
        leak_policy="drop_from_train",
        folds=4,
        test_fraction=0.2,
        seed=111,
    )
    assigned = units.assign(images, {}, unit="breast", by_study=False)
    plan = splits.summarise(assigned, split_policy="official", record_bytes=1, unit="breast")
    test = [one.row for one in units.form(assigned, "breast") if one.row.split == "test"]
    assert collections.Counter(one.view for one in test) == OFFICIAL["test"][0]
    assert plan["units"]["listed"] == sum(plan["units"]["views"].values())
    for before, after in zip(images, assigned, strict=True):
        assert after.split in ("", before.split)  # folds are those of images


@pytest.mark.parametrize(
    ("tags", "acquired"),
    [
        ({}, ""),
        ({"AcquisitionTime": "101112.5", "InstanceNumber": 7}, "101112.5 000000007"),
        ({"AcquisitionTime": "101112"}, "101112 000000000"),
        ({"InstanceNumber": 12}, " 000000012"),
    ],
)
def test_a_header_says_when_an_image_was_taken(tags, acquired, tmp_path):
    path = make.write_dicom(tmp_path / "a.dcm", np.zeros((4, 4), np.uint16), **tags)
    assert dicom_file.read_identity(path).acquired == acquired


# records


@pytest.fixture(scope="module")
def breasts(tmp_path_factory) -> make.Records:
    return make.records(tmp_path_factory.mktemp("breasts"), unit="breast")


def read(made: make.Records) -> dict[str, dict]:
    """Id -> columns of every record, with its split."""
    found = {}
    for shard in made.shards:
        with shard.open("rb") as file:
            for frame in tfrecord.read_frames(file, shard.stat().st_size):
                columns = example.parse(b"".join(frame.parts)[12:-4])
                columns["split"] = shard.name.split("-")[1].split(".")[0]
                found[bytes(columns["image_id"][0]).decode()] = columns
    return found


def pixels_of(columns) -> np.ndarray:
    return np.frombuffer(columns["image"][0], "<u2").reshape(-1, 24, 16)


def test_a_record_holds_what_the_records_of_its_images_hold(breasts, made_records):
    """Rejected, missing and excluded images leave their breast with its other view."""
    records, singles = read(breasts), read(made_records)
    assert len(records) == 30
    assert len(singles) == 57
    for name, columns in records.items():
        patient = name.partition("_")[0]
        number = 2 * int(patient.removeprefix("patient"))
        names = [f"image{number:03d}", f"image{number + 1:03d}"]
        there = [one in singles for one in names]
        assert columns["views_present"] == list(map(int, there))
        for place, one in enumerate(names):
            single = singles.get(one)
            slot = pixels_of(columns)[place]
            assert bytes(columns["image_ids"][place]).decode() == (one if single else "")
            size = [columns[key][place] for key in ("original_height", "original_width")]
            if single is None:
                assert not slot.any()
                assert size == [0, 0]
                continue
            np.testing.assert_array_equal(slot, pixels_of(single)[0])
            assert size == [single[key][0] for key in ("original_height", "original_width")]
            assert columns["label"] == single["label"]
            assert columns["split"] == single["split"]  # folds are those of images
    alone = [name for name, columns in records.items() if sum(columns["views_present"]) == 1]
    assert sorted(alone) == ["patient002_LEFT", "patient004_LEFT", "patient005_RIGHT"]


def test_every_image_and_every_breast_has_its_row(breasts):
    with (breasts.directory / "sources.csv").open(newline="") as file:
        images = list(csv.DictReader(file))
    assert tuple(images[0]) == schema.sources_header("breast")
    assert collections.Counter(image["status"] for image in images) == {
        "written": 57,
        "rejected": 1,
        "missing": 1,
        "excluded": 1,
    }
    with (breasts.directory / "units.csv").open(newline="") as file:
        rows = {one["image_id"]: one for one in csv.DictReader(file)}
    assert len(rows) == 30
    for image in images:
        listed = rows[image["unit_id"]]["image_ids"].split(";") if image["unit_id"] else []
        assert (image["image_id"] in listed) == (image["status"] == "written")
    manifest = json.loads((breasts.directory / "manifest.json").read_text())
    assert manifest["unit"] == "breast"
    assert manifest["totals"]["records"] == 30
    assert manifest["totals"]["written"] == 57
    assert breasts.directory.name == "plain-breast"


@pytest.mark.parametrize("unit", ["breast", "exam"])
def test_tfds_reads_it_and_it_verifies(unit, breasts, tmp_path):
    made = breasts if unit == "breast" else make.records(tmp_path, unit=unit)
    assert not verify_folder.verify(made.directory, digest_images=True).discrepancies
    tfds = pytest.importorskip("tensorflow_datasets")
    builder = tfds.builder_from_directory(str(made.directory))
    expected = {name: columns for name, columns in read(made).items() if columns["split"] == "test"}
    views = len(schema.VIEWS[unit])
    for got in tfds.as_numpy(builder.as_dataset(split="test")):
        columns = expected.pop(got["image_id"].decode())
        assert got["image"].shape == (views, 24, 16, 1)
        np.testing.assert_array_equal(got["image"][..., 0], pixels_of(columns))
        assert list(got["views_present"]) == columns["views_present"]
        assert list(got["image_ids"]) == [bytes(n) for n in columns["image_ids"]]
    assert not expected


def test_a_lost_shard_is_written_anew_to_the_last_byte(tmp_path):
    made = make.records(tmp_path, count=24, unit="breast")
    before = make.fingerprints(made.directory)
    made.shards[1].unlink()
    made.run()
    assert make.fingerprints(made.directory) == before


def test_a_breast_of_which_nothing_can_be_decoded_is_rejected(tmp_path):
    made = make.records(tmp_path, count=24, unit="breast")
    for name in ("image004", "image006"):
        (tmp_path / "images" / f"{name}.pgm").write_bytes(b"no image")
    for shard in made.shards:
        shard.unlink()
    made.run()
    with (made.directory / "units.csv").open(newline="") as file:
        rows = {one["image_id"]: one for one in csv.DictReader(file)}
    lost, half = rows["patient002_LEFT"], rows["patient003_RIGHT"]
    assert (lost["status"], lost["reason"], lost["view"]) == ("rejected", "not_an_image", "")
    assert (half["status"], half["view"], half["image_ids"]) == ("written", "MLO", ";image007")
    assert "patient002_LEFT" not in read(made)
    assert not verify_folder.verify(made.directory).discrepancies


@pytest.mark.parametrize(
    ("table", "before", "after", "said"),
    [
        ("units.csv", ",CC+MLO,malignant", ",CC+MLO,benign", "differs in pathology"),
        ("units.csv", "patient000_LEFT,", "patient999_LEFT,", "lacks patient000_LEFT"),
        ("units.csv", ";image001", ";image777", "image_ids is 'image000;image001', units.csv says"),
        ("sources.csv", ",patient000_LEFT\n", ",patient003_RIGHT\n", "units.csv: "),
        ("features.json", '"2",', '"3",', "differs in featuresDict"),
    ],
    ids=["label", "name", "views", "unit", "shape"],
)
def test_verification_finds_what_does_not_agree(table, before, after, said, tmp_path):
    made = make.records(tmp_path, count=24, unit="breast")
    path = made.directory / table
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))
    found = verify_folder.verify(made.directory)
    assert any(said in str(one) for one in found.damages), found.damages


def test_a_view_that_is_not_there_must_be_zeros(breasts):
    columns = dict(read(breasts)["patient004_LEFT"])
    columns.pop("split")
    assert columns["views_present"] == [1, 0]
    (size,) = breasts.config.sizes
    assert not shard_checks.check_columns(columns, size, "breast")
    assert shard_checks.check_columns(columns, size)  # of an image it is no record
    assert not shard_checks._check_absent(columns)
    grey = bytearray(columns["image"][0])
    grey[-1] = 1
    spoiled = {**columns, "image": [memoryview(grey)]}
    assert shard_checks._check_absent(spoiled) == ["view 2 is absent and not zeros"]
    assert shard_checks._check_absent({**columns, "views_present": [1, 1]})


@pytest.mark.parametrize(
    ("column", "exams"),
    [("accession", ["p1_A1", "p1_A2", "p2_A3"]), ("remark", ["p1", "p2"])],
    ids=["stated", "not stated"],
)
def test_a_table_tells_examinations_apart(column, exams, tmp_path):
    lines = [f"path,patient_id,side,view,pathology,{column}"]
    for number, (patient, exam) in enumerate((("p1", "A1"), ("p1", "A2"), ("p2", "A3")) * 2):
        make.write_pgm(tmp_path / f"{number}.pgm", np.full((8, 6), number, np.uint8))
        lines.append(f"{number}.pgm,{patient},left,{('CC', 'MLO')[number // 3]},benign,{exam}")
    (tmp_path / "images.csv").write_text("\n".join(lines))
    config = ConversionConfig(
        dataset="table",
        data_dir=tmp_path,
        split_policy="patient",
        folds=2,
        test_fraction=0,
        unit="exam",
    )
    images = image_list.list_images(config, cache=None, report=lambda *_: None)
    found = units.form(images, "exam")
    assert [one.row.image_id for one in found] == exams
    assert {one.row.view for one in found} == {"L-CC+L-MLO"}
