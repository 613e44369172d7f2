"""Images -> test set and folds, by the split and leak policies; patients on both sides.

images = assign(images, split_policy="official", leak_policy="drop_from_train", folds=4, ...)
"""

from __future__ import annotations

import collections
import dataclasses
import fractions
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, train_test_split

from beam_jobs import units
from beam_jobs.imaging import polarity
from beam_jobs.sources.source_row import SourceRow
from records import schema
from records.errors import CallerError
from records.printable import counted


def find_leaked_patients(images: Iterable[SourceRow]) -> list[str]:
    """Lists the patients with images in both the official training and the official test set."""
    sides: dict[str, set[str]] = collections.defaultdict(set)
    for image in images:
        sides[image.patient_id].update(filter(None, image.official_split.split("+")))
    return sorted(patient for patient, splits in sides.items() if len(splits) > 1)


def assign(
    images: Sequence[SourceRow],
    *,
    split_policy: str,
    leak_policy: str,
    folds: int,
    test_fraction: float,
    seed: int,
) -> list[SourceRow]:
    """Gives every image its split, or the policy that leaves it out.

    Found and missing images are treated alike, so folds stay as they are when more images arrive.

    Args:
        images: images as a source lists them, in its order.
        split_policy: a name of `flags.datasets.SPLIT_POLICIES`.
        leak_policy: a name of `flags.datasets.LEAK_POLICIES`; a split by patient has no leaks.
        folds: folds of the training images.
        test_fraction: of the patients, as test set where no official one is used; 0: none.
        seed: seed of the folds.

    Raises:
        CallerError: patients leak under `fail`, or there are too few images for the folds.
    """
    kept = [index for index, image in enumerate(images) if not image.excluded]
    official = split_policy != "patient" and any(images[index].official_split for index in kept)
    excluded: dict[int, str] = {}
    if official:
        excluded = _exclude_leaks(images, kept, leak_policy)
    try:
        with warnings.catch_warnings():  # of labels rarer than folds: the plan says which lack one
            warnings.simplefilter("ignore", UserWarning)
            if official:
                test = [index for index in kept if "test" in images[index].official_split]
            else:
                test = _draw_test(images, kept, split_policy, test_fraction, seed)
            train = sorted(set(kept) - set(test) - set(excluded))
            draw = _draw_folds_by_image if split_policy == "image" else _draw_folds_by_patient
            drawn = draw(images, train, folds, seed)
    except ValueError as error:  # scikit-learn: fewer images or patients than folds
        counts = collections.Counter(images[index].label for index in kept)
        labels = ", ".join(f"{count} {label}" for label, count in sorted(counts.items()))
        why = error if split_policy != "image" else f"each needs every label, there are {labels}"
        raise CallerError(
            f"{counted(len(kept), 'images')} can't be split into {folds} folds and a test set by "
            f"--split_policy={split_policy}: {why}; give more images, or fewer --folds"
            + ("" if official else " and a smaller --test_fraction (0: no test set)")
        ) from error
    split = dict.fromkeys(test, schema.TEST_SPLIT)
    for fold, indices in enumerate(drawn):
        split.update(dict.fromkeys(indices, schema.fold_name(fold)))
    return [
        dataclasses.replace(
            image,
            split=split.get(index, ""),
            excluded=image.excluded or excluded.get(index, ""),
        )
        for index, image in enumerate(images)
    ]


def _exclude_leaks(
    images: Sequence[SourceRow], kept: Sequence[int], leak_policy: str
) -> dict[int, str]:
    """Returns index -> reason for the training images of patients in both official sets."""
    leaked = set(find_leaked_patients(images))
    if leaked and leak_policy == "fail":
        raise CallerError(
            f"--leak_policy=fail: {counted(len(leaked), 'patients')} in both official sets: "
            f"{', '.join(sorted(leaked))}"
        )
    if leak_policy != "drop_from_train":
        return {}
    return {
        index: "leak_policy=drop_from_train: patient is in the test set"
        for index in kept
        if images[index].patient_id in leaked and "test" not in images[index].official_split
    }


def _labels(images: Sequence[SourceRow], indices: Sequence[int]) -> np.ndarray:
    return np.array([images[index].label for index in indices])


def _patients(images: Sequence[SourceRow], indices: Sequence[int]) -> np.ndarray:
    return np.array([images[index].patient_id for index in indices])


def _draw_test(
    images: Sequence[SourceRow],
    kept: Sequence[int],
    split_policy: str,
    test_fraction: float,
    seed: int,
) -> list[int]:
    if test_fraction == 0:
        return []
    if split_policy == "image":
        _, test = train_test_split(
            kept, test_size=test_fraction, stratify=_labels(images, kept), random_state=seed
        )
        return list(test)
    fraction = fractions.Fraction(test_fraction).limit_denominator(20)  # 0.2: one part of five
    what = f"a test set of {test_fraction:g} of the patients, and then folds,"
    parts = _draw_folds_by_patient(images, kept, fraction.denominator, seed, what=what)
    return [index for part in parts[: fraction.numerator] for index in part]


def _draw_folds_by_patient(
    images: Sequence[SourceRow],
    train: Sequence[int],
    folds: int,
    seed: int,
    *,
    what: str = "folds without a patient in common",
) -> list[list[int]]:
    """Draws parts of about as many patients and images of each label.

    Raises:
        ValueError: `what` needs more patients, or more images of one label.
    """
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    labels, patients = _labels(images, train), _patients(images, train)
    if len(set(patients)) < folds:
        raise ValueError(f"{what} need at least {folds} patients, there are {len(set(patients))}")
    label, most = collections.Counter(labels).most_common(1)[0]
    if most < folds:
        raise ValueError(
            f"{what} need at least {folds} images of one label, the commonest ({label}) has {most}"
        )
    return [[train[i] for i in fold] for _, fold in splitter.split(labels, labels, patients)]


def _draw_folds_by_image(
    images: Sequence[SourceRow], train: Sequence[int], folds: int, seed: int
) -> list[list[int]]:
    """Draws fold 0 as the authors drew their validation set; the rest in equal parts."""
    rest, first = train_test_split(
        list(train), test_size=1 / folds, stratify=_labels(images, train), random_state=seed
    )
    if folds == 2:
        return [first, rest]
    splitter = StratifiedKFold(folds - 1, shuffle=True, random_state=seed)
    labels = _labels(images, rest)
    return [first] + [[rest[i] for i in fold] for _, fold in splitter.split(labels, labels)]


def summarise(
    images: Sequence[SourceRow], *, split_policy: str, record_bytes: int, unit: str = "image"
) -> dict[str, Any]:
    """Builds plan.json: counts of the images listed after the policies, and of the files found.

    Args:
        images: images with splits assigned.
        split_policy: under `patient` the official sets play no part, so nobody leaks.
        record_bytes: size of one record on disk.
        unit: what one record holds, a key of `schema.VIEWS`.
    """
    planned = [image for image in images if image.split]
    formed = units.form(planned if unit == "image" else images, unit)
    found = [image for image in planned if image.path]
    by_split: dict[str, list[SourceRow]] = collections.defaultdict(list)
    for image in planned:
        by_split[image.split].append(image)
    return {
        "listed": len(planned),
        "found": len(found),
        "missing": len(planned) - len(found),
        "excluded": dict(
            sorted(
                collections.Counter(image.excluded for image in images if image.excluded).items()
            )
        ),
        "discrepancies": dict(
            sorted(
                collections.Counter(
                    part.strip().partition(":")[0]
                    for image in images
                    for part in image.discrepancies.split(";")
                    if part and not part.strip().startswith(polarity.REMARKS)
                ).items()
            )
        ),
        "leaked_patients": [] if split_policy == "patient" else find_leaked_patients(images),
        "splits": {
            name: {
                "images": len(members),
                "found": sum(bool(image.path) for image in members),
                "patients": len({image.patient_id for image in members}),
                "labels": dict(sorted(collections.Counter(f.label for f in members).items())),
            }
            for name, members in sorted(by_split.items())
        },
        **({} if unit == "image" else {"units": units.summarise(formed)}),
        "bytes_to_write": sum(bool(one.images) for one in formed) * record_bytes,
    }
