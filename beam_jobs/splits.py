"""Who is in the test set and in which fold, and which patients stand on both sides.

films = assign(films, split_policy="official", leak_policy="drop_from_train", folds=4, ...)
"""

from __future__ import annotations

import collections
import dataclasses
import fractions
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, train_test_split

from beam_jobs.sources.film import Film
from flags import schema
from flags.errors import CallerError


def find_leaked_patients(films: Iterable[Film]) -> list[str]:
    """Lists the patients with films in both the official training and the official test set."""
    sides: dict[str, set[str]] = collections.defaultdict(set)
    for film in films:
        sides[film.patient_id].update(filter(None, film.official_split.split("+")))
    return sorted(patient for patient, splits in sides.items() if len(splits) > 1)


def assign(
    films: Sequence[Film],
    *,
    split_policy: str,
    leak_policy: str,
    folds: int,
    test_fraction: float,
    seed: int,
) -> list[Film]:
    """Gives every film its split, or the policy that leaves it out.

    Found and missing films are treated alike, so folds stay as they are when more films arrive.

    Args:
        films: films as a source lists them, in its order.
        split_policy: a name of `flags.catalogue.SPLIT_POLICIES`.
        leak_policy: a name of `flags.catalogue.LEAK_POLICIES`; a split by patient has no leaks.
        folds: folds of the training films.
        test_fraction: share drawn as test set where no official one is used; 0 draws none.
        seed: seed of the folds.

    Raises:
        CallerError: patients leak under `fail`, or there are too few films for the folds.
    """
    kept = [index for index, film in enumerate(films) if not film.excluded]
    official = split_policy != "patient" and any(films[index].official_split for index in kept)
    excluded: dict[int, str] = {}
    if official:
        excluded = _exclude_leaks(films, kept, leak_policy)
    try:
        if official:
            test = [index for index in kept if "test" in films[index].official_split]
        else:
            test = _draw_test(films, kept, split_policy, test_fraction, seed)
        train = sorted(set(kept) - set(test) - set(excluded))
        draw = _draw_folds_by_image if split_policy == "image" else _draw_folds_by_patient
        drawn = draw(films, train, folds, seed)
    except ValueError as error:  # scikit-learn: fewer films or patients than folds
        raise CallerError(
            f"{len(kept)} films can't be split into {folds} folds and a test set by "
            f"--split_policy={split_policy} ({error}); take more films or fewer --folds"
            + ("" if official else ", or a larger --test_fraction")
        ) from error
    split = dict.fromkeys(test, schema.TEST_SPLIT)
    for fold, indices in enumerate(drawn):
        split.update(dict.fromkeys(indices, schema.fold_name(fold)))
    return [
        dataclasses.replace(
            film,
            split=split.get(index, ""),
            excluded=film.excluded or excluded.get(index, ""),
        )
        for index, film in enumerate(films)
    ]


def _exclude_leaks(films: Sequence[Film], kept: Sequence[int], leak_policy: str) -> dict[int, str]:
    """Returns index -> reason for the training films of patients in both official sets."""
    leaked = set(find_leaked_patients(films))
    if leaked and leak_policy == "fail":
        raise CallerError(
            f"--leak_policy=fail: {len(leaked)} patients stand in both official sets: "
            f"{', '.join(sorted(leaked))}"
        )
    if leak_policy != "drop_from_train":
        return {}
    return {
        index: "leak_policy=drop_from_train: patient is in the test set"
        for index in kept
        if films[index].patient_id in leaked and "test" not in films[index].official_split
    }


def _labels(films: Sequence[Film], indices: Sequence[int]) -> np.ndarray:
    return np.array([films[index].label for index in indices])


def _patients(films: Sequence[Film], indices: Sequence[int]) -> np.ndarray:
    return np.array([films[index].patient_id for index in indices])


def _draw_test(
    films: Sequence[Film], kept: Sequence[int], split_policy: str, fraction: float, seed: int
) -> list[int]:
    if fraction == 0:
        return []
    if split_policy == "image":
        _, test = train_test_split(
            kept, test_size=fraction, stratify=_labels(films, kept), random_state=seed
        )
        return list(test)
    share = fractions.Fraction(fraction).limit_denominator(20)  # 0.2: one part of five
    parts = _draw_folds_by_patient(films, kept, share.denominator, seed)
    return [index for part in parts[: share.numerator] for index in part]


def _draw_folds_by_patient(
    films: Sequence[Film], train: Sequence[int], folds: int, seed: int
) -> list[list[int]]:
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    labels, patients = _labels(films, train), _patients(films, train)
    if len(set(patients)) < folds:
        raise ValueError(f"{len(set(patients))} patients")
    if (most := max(collections.Counter(labels).values())) < folds:
        raise ValueError(f"{most} films of the commonest label for {folds} parts")
    return [[train[i] for i in fold] for _, fold in splitter.split(labels, labels, patients)]


def _draw_folds_by_image(
    films: Sequence[Film], train: Sequence[int], folds: int, seed: int
) -> list[list[int]]:
    """Draws fold 0 as the authors drew their validation set; the rest in equal parts."""
    rest, first = train_test_split(
        list(train), test_size=1 / folds, stratify=_labels(films, train), random_state=seed
    )
    if folds == 2:
        return [first, rest]
    splitter = StratifiedKFold(folds - 1, shuffle=True, random_state=seed)
    labels = _labels(films, rest)
    return [first] + [[rest[i] for i in fold] for _, fold in splitter.split(labels, labels)]


def summarise(films: Sequence[Film], *, split_policy: str, record_bytes: int) -> dict[str, Any]:
    """Builds plan.json: counts of the films listed after the policies, and of the files found.

    Args:
        films: films with splits assigned.
        split_policy: under `patient` the official sets play no part, so nobody leaks.
        record_bytes: size of one record on disk.
    """
    planned = [film for film in films if film.split]
    found = [film for film in planned if film.path]
    by_split: dict[str, list[Film]] = collections.defaultdict(list)
    for film in planned:
        by_split[film.split].append(film)
    return {
        "listed": len(planned),
        "found": len(found),
        "missing": len(planned) - len(found),
        "excluded": dict(
            sorted(collections.Counter(film.excluded for film in films if film.excluded).items())
        ),
        "leaked_patients": [] if split_policy == "patient" else find_leaked_patients(films),
        "splits": {
            name: {
                "films": len(members),
                "found": sum(bool(film.path) for film in members),
                "patients": len({film.patient_id for film in members}),
                "labels": dict(sorted(collections.Counter(f.label for f in members).items())),
            }
            for name, members in sorted(by_split.items())
        },
        "bytes_to_write": len(found) * record_bytes,
    }
