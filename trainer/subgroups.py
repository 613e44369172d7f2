"""Films that share a view, side, density, kind of lesion or assessment.

for value, rows in divide(predictions, "density"): ...
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from trainer.predictions import Prediction

COLUMNS = ("view", "side", "density", "abnormality", "assessment")
NOT_STATED = "not stated"


def divide(
    predictions: Sequence[Prediction], column: str
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Divides films by what stands in one of COLUMNS.

    A film of several kinds of lesion ("mass+calcification") counts with each. Films that state
    nothing come last; nothing comes of a column in which no film states anything.

    Yields:
        A value, and which films have it, [films].
    """
    of_films = [getattr(film, column) for film in predictions]
    values = [set(text.split("+")) if column == "abnormality" else {text} for text in of_films]
    stated = sorted(set().union(*values) - {""})
    for value in [*stated, ""] if stated else []:
        rows = np.array([value in of_film for of_film in values], np.bool_)
        if rows.any():
            yield value or NOT_STATED, rows
