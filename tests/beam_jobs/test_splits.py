"""Tests of the splits: laws over generated films, and each policy on films made by hand."""

from __future__ import annotations

import collections
import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_jobs import splits
from beam_jobs.sources.film import Film
from flags.errors import CallerError


def assign(films, **changes):
    how = {
        "split_policy": "official",
        "leak_policy": "drop_from_train",
        "folds": 4,
        "test_fraction": 0.2,
        "seed": 111,
    }
    return splits.assign(films, **{**how, **changes})


def make_film(number: int, patient: str, pathology: str = "benign", official: str = "") -> Film:
    return Film(f"film{number}", patient, "left", "CC", pathology, official_split=official)


def make_films(patients: int, per_patient: int = 2, official_test: int = 0) -> list[Film]:
    """Films of patients, every third of whom is malignant; the last ones officially test."""
    return [
        make_film(
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


def by_split(films) -> dict[str, list[Film]]:
    found = collections.defaultdict(list)
    for film in films:
        found[film.split].append(film)
    return found


@st.composite
def film_lists(draw):
    """Films of a few patients with several films each, with or without official sets, leaks."""
    official = draw(st.booleans())
    sides = st.sampled_from(["train", "train", "test", "train+test"] if official else [""])
    patients = draw(st.integers(4, 14))
    films = []
    for number in range(draw(st.integers(patients, 40))):
        film = make_film(
            number,
            f"p{draw(st.integers(0, patients - 1))}",
            draw(st.sampled_from(["benign", "malignant"])),
            draw(sides),
        )
        excluded = draw(st.sampled_from(["", "", "", "label_policy=paper: mixed"]))
        films.append(dataclasses.replace(film, excluded=excluded))
    return films


@pytest.mark.filterwarnings("ignore:The least populated class")
@settings(deadline=None, max_examples=200)
@given(
    films=film_lists(),
    split_policy=st.sampled_from(["official", "patient", "image"]),
    leak_policy=st.sampled_from(["drop_from_train", "keep"]),
    folds=st.integers(2, 4),
    seed=st.integers(0, 5),
)
def test_laws(films, split_policy, leak_policy, folds, seed):
    how = {"split_policy": split_policy, "leak_policy": leak_policy, "folds": folds, "seed": seed}
    try:
        got = assign(films, **how)
    except CallerError:
        with pytest.raises(CallerError, match="can't be split into"):
            assign(films, **how)
        return
    # nothing but split and exclusion changes, in the same order
    plain = [dataclasses.replace(film, split="", excluded="") for film in got]
    assert plain == [dataclasses.replace(film, excluded="") for film in films]
    for before, after in zip(films, got, strict=True):
        assert bool(after.split) != bool(after.excluded)
        if before.excluded:
            assert after.excluded == before.excluded
    names = {"test", *(f"fold{fold}" for fold in range(folds))}
    found = by_split(film for film in got if film.split)
    assert found.keys() <= names
    assert found.keys() >= names - {"test"}
    has_official = any(film.official_split for film in films if not film.excluded)
    if split_policy != "patient" and has_official:
        for film in got:
            assert (film.split == "test") == ("test" in film.official_split and not film.excluded)
    else:
        assert found["test"]
    if split_policy == "patient" or (split_policy == "official" and leak_policy != "keep"):
        patients = collections.defaultdict(set)
        for film in got:
            if film.split:
                patients[film.patient_id].add(film.split)
        assert all(len(where) == 1 for where in patients.values())
    if split_policy == "official" and leak_policy == "keep":
        # even then folds are kept apart by patient
        patients = collections.defaultdict(set)
        for film in got:
            if film.split.startswith("fold"):
                patients[film.patient_id].add(film.split)
        assert all(len(where) == 1 for where in patients.values())
    # the same again, and whichever files were found
    assert assign(films, **how) == got
    with_files = [
        dataclasses.replace(film, path=f"{film.film_id}.dcm" if number % 2 else "", bytes=number)
        for number, film in enumerate(films)
    ]
    assert [film.split for film in assign(with_files, **how)] == [film.split for film in got]


@pytest.mark.parametrize("split_policy", ["official", "patient", "image"])
def test_folds_are_of_like_size_and_mix(split_policy):
    films = make_films(300, official_test=60 if split_policy != "patient" else 0)
    found = by_split(assign(films, split_policy=split_policy))
    assert found.keys() == {"fold0", "fold1", "fold2", "fold3", "test"}
    assert len(found["test"]) == 120
    for members in found.values():
        assert len(members) == pytest.approx(120, abs=4)
        malignant = sum(film.pathology == "malignant" for film in members)
        assert malignant / len(members) == pytest.approx(1 / 3, abs=0.03)


@pytest.mark.parametrize("folds", [2, 3, 5, 10])
@pytest.mark.parametrize("split_policy", ["patient", "image"])
def test_number_of_folds(folds, split_policy):
    found = by_split(assign(make_films(200), split_policy=split_policy, folds=folds))
    assert found.keys() == {"test", *(f"fold{fold}" for fold in range(folds))}
    for fold in range(folds):
        assert len(found[f"fold{fold}"]) == pytest.approx(320 / folds, abs=6)


@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 1 / 3, 0.4, 0.45, 0.5])
@pytest.mark.parametrize("split_policy", ["patient", "image"])
def test_fraction_drawn(fraction, split_policy):
    found = by_split(
        assign(make_films(300), split_policy=split_policy, folds=3, test_fraction=fraction)
    )
    assert len(found["test"]) / 600 == pytest.approx(fraction, abs=0.012)


@pytest.mark.parametrize("split_policy", ["patient", "image"])
def test_no_test_set(split_policy):
    films = make_films(30)
    found = by_split(assign(films, split_policy=split_policy, folds=3, test_fraction=0))
    assert found.keys() == {"fold0", "fold1", "fold2"}
    assert sum(map(len, found.values())) == len(films)


@pytest.mark.parametrize("split_policy", ["official", "patient", "image"])
def test_seed_matters(split_policy):
    films = make_films(60, official_test=10)
    first = assign(films, split_policy=split_policy, seed=1)
    assert first == assign(films, split_policy=split_policy, seed=1)
    assert first != assign(films, split_policy=split_policy, seed=2)


LEAKY = [
    *make_films(20, official_test=4),
    make_film(100, "p0001", "benign", "test"),
    make_film(101, "p0019", "malignant", "train"),
    make_film(102, "p0050", "malignant", "train+test"),
]


def test_leaked_patients():
    assert splits.find_leaked_patients(LEAKY) == ["p0001", "p0019", "p0050"]
    assert splits.find_leaked_patients(make_films(9, official_test=3)) == []
    assert splits.find_leaked_patients(make_films(9)) == []


def test_leaks_are_dropped_from_train():
    got = {film.film_id: film for film in assign(LEAKY)}
    dropped = {name for name, film in got.items() if film.excluded}
    assert dropped == {"film2", "film3", "film101"}
    assert {got[name].excluded for name in dropped} == {
        "leak_policy=drop_from_train: patient is in the test set"
    }
    assert got["film100"].split == got["film102"].split == "test"


def test_leaks_are_kept():
    got = {film.film_id: film for film in assign(LEAKY, leak_policy="keep")}
    assert not any(film.excluded for film in got.values())
    assert got["film2"].split.startswith("fold")
    assert got["film101"].split.startswith("fold")
    assert got["film100"].split == "test"


@pytest.mark.parametrize("split_policy", ["official", "image"])
def test_leaks_stop_the_job(split_policy):
    with pytest.raises(CallerError, match=r"3 patients stand in both.*p0001, p0019, p0050"):
        assign(LEAKY, leak_policy="fail", split_policy=split_policy)


def test_a_split_by_patient_has_no_leaks():
    got = assign(LEAKY, leak_policy="fail", split_policy="patient")
    assert not any(film.excluded for film in got)


def test_excluded_films_change_no_fold():
    films = make_films(40, official_test=8)
    odd = dataclasses.replace(make_film(999, "p0003", official="train"), excluded="why")
    got = assign([*films, odd])
    assert got[:-1] == assign(films)
    assert got[-1] == odd


@pytest.mark.parametrize("split_policy", ["patient", "image"])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_too_few_films(count, split_policy):
    with pytest.raises(CallerError, match=rf"{count} films can't be split into 4 folds.*fewer"):
        assign(make_films(count, per_patient=1), split_policy=split_policy)


def test_plan():
    films = assign(LEAKY)
    films = [dataclasses.replace(f, path="x" if f.pathology == "benign" else "") for f in films]
    plan = splits.summarise(films, split_policy="official", record_bytes=1000)
    assert plan["listed"] == 43 - 3
    found = sum(bool(film.path and film.split) for film in films)
    assert plan["found"] == found
    assert plan["missing"] == 40 - found
    assert plan["bytes_to_write"] == found * 1000
    assert plan["excluded"] == {"leak_policy=drop_from_train: patient is in the test set": 3}
    assert plan["leaked_patients"] == ["p0001", "p0019", "p0050"]
    assert list(plan["splits"]) == ["fold0", "fold1", "fold2", "fold3", "test"]
    assert plan["splits"]["test"] == {
        "films": 10,
        "found": 7,  # p0016, p0017 and p0019 are benign (16, 17, 19 % 3), and film100
        "patients": 6,
        "labels": {"benign": 7, "malignant": 3},
    }
    assert splits.summarise(films, split_policy="patient", record_bytes=1)["leaked_patients"] == []
