"""Columns of the training images -> what a network must know of them: statistics, names of values.

stated = state(data.train.images, ("age", "view"))
    == {"age": Numbers(58.2, 120.4), "view": Names(("CC", "MLO"))}
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from flags.column_config import NUMBERS
from records.errors import CallerError

_MOST = 30
"""Values that a column of names may have: more are no classes but texts."""


@dataclasses.dataclass(frozen=True)
class Numbers:
    """Mean and variance of a column of numbers over the images that state it."""

    mean: float
    variance: float


@dataclasses.dataclass(frozen=True)
class Names:
    """Values of a column of names, in order, without "" (not stated)."""

    values: tuple[str, ...]


def state(
    images: Sequence[Mapping[str, str]], columns: Iterable[str], *, flag: str
) -> dict[str, Numbers | Names]:
    """Sums up columns of the training images.

    Raises:
        CallerError: a column has fewer than two values, or more than names of classes are.
    """
    found: dict[str, Numbers | Names] = {}
    for column in columns:
        stated = [image[column] for image in images if image[column]]
        values = tuple(sorted(set(stated)))
        if len(values) < 2:
            raise CallerError(
                f"--{flag}={column}: the training images have {len(values)} values of it "
                f"({len(stated)} of {len(images)} images state it), at least 2 are needed; "
                "leave it out"
            )
        if column in NUMBERS:
            numbers = np.array(stated, np.float64)
            found[column] = Numbers(float(numbers.mean()), float(numbers.var()))
        elif len(values) > _MOST:
            raise CallerError(
                f"--{flag}={column}: the training images have {len(values)} values of it, at most "
                f"{_MOST} are taken for names of classes; leave it out"
            )
        else:
            found[column] = Names(values)
    return found
