"""Tests of the splits: laws over generated images, and each policy on images made by hand."""

from __future__ import annotations

import collections
import dataclasses
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_jobs import splits
from beam_jobs.conversion_messages import Terminal
from beam_jobs.sources.source_row import SourceRow
from flags.conversion_config import ConversionConfig
from records.errors import CallerError


def assign(images, **changes):
    how = {
        "split_policy": "official",
        "leak_policy": "drop_from_train",
        "folds": 4,
        "test_fraction": 0.2,
        "seed": 111,
    }
    return splits.assign(images, **{**how, **changes})


def make_image(
    number: int, patient: str, pathology: str = "benign", official: str = ""
) -> SourceRow:
    return SourceRow(f"image{number}", patient, "left", "CC", pathology, official_split=official)


def make_images(patients: int, per_patient: int = 2, official_test: int = 0) -> list[SourceRow]:
    """Images of patients, every third of whom is malignant; the last ones officially test."""
    return [
        make_image(
            patient * per_patient + number,
            f"p{patient:04d}",
            "malignant" if patient % 3 == 0 else "benign",
            ""
            if not official_test
            else ("test" if patient >= patients - official_test else "train"),
        )
        for patient in range(patients)
        for number in range(per_patient)
    ]


def by_split(images) -> dict[str, list[SourceRow]]:
    found = collections.defaultdict(list)
    for image in images:
        found[image.split].append(image)
    return found


@st.composite
def image_lists(draw):
    """Images of a few patients with several images each, with or without official sets, leaks."""
    official = draw(st.booleans())
    sides = st.sampled_from(["train", "train", "test", "train+test"] if official else [""])
    patients = draw(st.integers(4, 14))
    images = []
    for number in range(draw(st.integers(patients, 40))):
        image = make_image(
            number,
            f"p{draw(st.integers(0, patients - 1))}",
            draw(st.sampled_from(["benign", "malignant"])),
            draw(sides),
        )
        excluded = draw(st.sampled_from(["", "", "", "label_policy=paper: mixed"]))
        images.append(dataclasses.replace(image, excluded=excluded))
    return images


@pytest.mark.filterwarnings("ignore:The least populated class")
@settings(deadline=None, max_examples=200)
@given(
    images=image_lists(),
    split_policy=st.sampled_from(["official", "patient", "image"]),
    leak_policy=st.sampled_from(["drop_from_train", "keep"]),
    folds=st.integers(2, 4),
    seed=st.integers(0, 5),
)
def test_laws(images, split_policy, leak_policy, folds, seed):
    how = {"split_policy": split_policy, "leak_policy": leak_policy, "folds": folds, "seed": seed}
    try:
        got = assign(images, **how)
    except CallerError:
        with pytest.raises(CallerError, match="can't be split into"):
            assign(images, **how)
        return
    # nothing but split and exclusion changes, in the same order
    plain = [dataclasses.replace(image, split="", excluded="") for image in got]
    assert plain == [dataclasses.replace(image, excluded="") for image in images]
    for before, after in zip(images, got, strict=True):
        assert bool(after.split) != bool(after.excluded)
        if before.excluded:
            assert after.excluded == before.excluded
    names = {"test", *(f"fold{fold}" for fold in range(folds))}
    found = by_split(image for image in got if image.split)
    assert found.keys() <= names
    assert found.keys() >= names - {"test"}
    has_official = any(image.official_split for image in images if not image.excluded)
    if split_policy != "patient" and has_official:
        for image in got:
            assert (image.split == "test") == (
                "test" in image.official_split and not image.excluded
            )
    else:
        assert found["test"]
    if split_policy == "patient" or (split_policy == "official" and leak_policy != "keep"):
        patients = collections.defaultdict(set)
        for image in got:
            if image.split:
                patients[image.patient_id].add(image.split)
        assert all(len(where) == 1 for where in patients.values())
    if split_policy == "official" and leak_policy == "keep":
        # even then folds are kept apart by patient
        patients = collections.defaultdict(set)
        for image in got:
            if image.split.startswith("fold"):
                patients[image.patient_id].add(image.split)
        assert all(len(where) == 1 for where in patients.values())
    # the same again, and whichever files were found
    assert assign(images, **how) == got
    with_files = [
        dataclasses.replace(image, path=f"{image.image_id}.dcm" if number % 2 else "", bytes=number)
        for number, image in enumerate(images)
    ]
    assert [image.split for image in assign(with_files, **how)] == [image.split for image in got]


@pytest.mark.parametrize("split_policy", ["official", "patient", "image"])
def test_folds_are_of_like_size_and_mix(split_policy):
    images = make_images(300, official_test=60 if split_policy != "patient" else 0)
    found = by_split(assign(images, split_policy=split_policy))
    assert found.keys() == {"fold0", "fold1", "fold2", "fold3", "test"}
    assert len(found["test"]) == 120
    for members in found.values():
        assert len(members) == pytest.approx(120, abs=4)
        malignant = sum(image.pathology == "malignant" for image in members)
        assert malignant / len(members) == pytest.approx(1 / 3, abs=0.03)


@pytest.mark.parametrize("folds", [2, 3, 5, 10])
@pytest.mark.parametrize("split_policy", ["patient", "image"])
def test_number_of_folds(folds, split_policy):
    found = by_split(assign(make_images(200), split_policy=split_policy, folds=folds))
    assert found.keys() == {"test", *(f"fold{fold}" for fold in range(folds))}
    for fold in range(folds):
        assert len(found[f"fold{fold}"]) == pytest.approx(320 / folds, abs=6)


@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 1 / 3, 0.4, 0.45, 0.5])
@pytest.mark.parametrize("split_policy", ["patient", "image"])
def test_fraction_drawn(fraction, split_policy):
    found = by_split(
        assign(make_images(300), split_policy=split_policy, folds=3, test_fraction=fraction)
    )
    assert len(found["test"]) / 600 == pytest.approx(fraction, abs=0.012)


@pytest.mark.parametrize("split_policy", ["patient", "image"])
def test_no_test_set(split_policy):
    images = make_images(30)
    found = by_split(assign(images, split_policy=split_policy, folds=3, test_fraction=0))
    assert found.keys() == {"fold0", "fold1", "fold2"}
    assert sum(map(len, found.values())) == len(images)


@pytest.mark.parametrize("split_policy", ["official", "patient", "image"])
def test_seed_matters(split_policy):
    images = make_images(60, official_test=10)
    first = assign(images, split_policy=split_policy, seed=1)
    assert first == assign(images, split_policy=split_policy, seed=1)
    assert first != assign(images, split_policy=split_policy, seed=2)


LEAKY = [
    *make_images(20, official_test=4),
    make_image(100, "p0001", "benign", "test"),
    make_image(101, "p0019", "malignant", "train"),
    make_image(102, "p0050", "malignant", "train+test"),
]


def test_leaked_patients():
    assert splits.find_leaked_patients(LEAKY) == ["p0001", "p0019", "p0050"]
    assert splits.find_leaked_patients(make_images(9, official_test=3)) == []
    assert splits.find_leaked_patients(make_images(9)) == []


def test_leaks_are_dropped_from_train():
    got = {image.image_id: image for image in assign(LEAKY)}
    dropped = {name for name, image in got.items() if image.excluded}
    assert dropped == {"image2", "image3", "image101"}
    assert {got[name].excluded for name in dropped} == {
        "leak_policy=drop_from_train: patient is in the test set"
    }
    assert got["image100"].split == got["image102"].split == "test"


def test_leaks_are_kept():
    got = {image.image_id: image for image in assign(LEAKY, leak_policy="keep")}
    assert not any(image.excluded for image in got.values())
    assert got["image2"].split.startswith("fold")
    assert got["image101"].split.startswith("fold")
    assert got["image100"].split == "test"


@pytest.mark.parametrize("split_policy", ["official", "image"])
def test_leaks_stop_the_job(split_policy):
    with pytest.raises(CallerError, match=r"3 patients in both.*p0001, p0019, p0050"):
        assign(LEAKY, leak_policy="fail", split_policy=split_policy)


def test_a_split_by_patient_has_no_leaks():
    got = assign(LEAKY, leak_policy="fail", split_policy="patient")
    assert not any(image.excluded for image in got)


def test_excluded_images_change_no_fold():
    images = make_images(40, official_test=8)
    odd = dataclasses.replace(make_image(999, "p0003", official="train"), excluded="why")
    got = assign([*images, odd])
    assert got[:-1] == assign(images)
    assert got[-1] == odd


@pytest.mark.parametrize("split_policy", ["patient", "image"])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_too_few_images(count, split_policy):
    with pytest.raises(CallerError, match=rf"{count} images? can't be split into 4 folds.*fewer"):
        assign(make_images(count, per_patient=1), split_policy=split_policy)


@pytest.mark.parametrize(
    ("labels", "how", "said"),
    [
        (["benign"] * 3, {}, "folds without a patient in common need at least 4 patients, there"),
        (["benign", "normal"] * 2, {}, "4 images of one label, the commonest (benign) has 2; give"),
        (["benign"] * 4, {"test_fraction": 0.2}, "a test set of 0.2 of the patients, and"),
        (["benign"] * 9 + ["normal"], {"split_policy": "image"}, "there are 9 benign, 1 normal;"),
    ],
    ids=["patients", "label", "test_set", "by_image"],
)
def test_what_can_t_be_split_is_said_plainly(labels, how, said):
    images = [make_image(n, f"p{n}", pathology=label) for n, label in enumerate(labels)]
    with pytest.raises(CallerError, match=re.escape(said)):
        assign(images, **{"split_policy": "patient", "test_fraction": 0, **how})


@pytest.mark.parametrize("split_policy", ["patient", "image"])
def test_a_label_rarer_than_folds_is_said_in_our_words(split_policy, recwarn, capsys):
    images = [make_image(n, f"p{n}", "malignant" if n < 2 else "benign") for n in range(20)]
    images = assign(images, split_policy=split_policy, test_fraction=0)
    assert not recwarn.list
    _, said = show(images, capsys)
    assert re.search(r"warning: no malignant image in fold\d, fold\d; give more of them", said)


def test_images_are_counted_as_on_the_page(capsys):
    """overview.html counts as listed what is left out as well."""
    out, said = show(assign(LEAKY), capsys)
    assert "43 images listed, 3 left out, 0 found in" in out
    assert "for 40 of 43 images listed; sources.csv will name them" in said


def show(images, capsys) -> tuple[str, str]:
    """Prints the plan of images; returns stdout and stderr."""
    plan = splits.summarise(images, split_policy="official", record_bytes=1000)
    Terminal(ConversionConfig(dataset="cbis_ddsm", data_dir="data")).plan({"output": plan})
    return capsys.readouterr()


def test_plan():
    images = assign(LEAKY)
    images = [dataclasses.replace(f, path="x" if f.pathology == "benign" else "") for f in images]
    plan = splits.summarise(images, split_policy="official", record_bytes=1000)
    assert plan["listed"] == 43 - 3
    found = sum(bool(image.path and image.split) for image in images)
    assert plan["found"] == found
    assert plan["missing"] == 40 - found
    assert plan["bytes_to_write"] == found * 1000
    assert plan["excluded"] == {"leak_policy=drop_from_train: patient is in the test set": 3}
    assert plan["leaked_patients"] == ["p0001", "p0019", "p0050"]
    assert list(plan["splits"]) == ["fold0", "fold1", "fold2", "fold3", "test"]
    assert plan["splits"]["test"] == {
        "images": 10,
        "found": 7,  # p0016, p0017 and p0019 are benign (16, 17, 19 % 3), and image100
        "patients": 6,
        "labels": {"benign": 7, "malignant": 3},
    }
    assert splits.summarise(images, split_policy="patient", record_bytes=1)["leaked_patients"] == []
