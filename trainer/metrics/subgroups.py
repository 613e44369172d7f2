"""Metrics of subgroups: images of one view, of one side, ..., by the columns that have a title.

scored = score(predictions, images, Bootstrap(), threshold=0.5)
scored["view"]  # (Scores(value="CC", images=40, ...), ...)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from records import schema
from trainer.metrics import scoring
from trainer.metrics.intervals import MIN_PATIENTS, Bootstrap
from trainer.metrics.metric_table import brief
from trainer.metrics.metrics_json import Scores, undefined
from trainer.metrics.prediction_arrays import PredictionArrays
from trainer.metrics.predictions import Prediction

_OF_LESIONS = {one.key: one.of_lesions for one in schema.FEATURES if one.of_lesions}
COLUMNS = tuple(dict.fromkeys(("view", *sorted(schema.TITLES, key=_OF_LESIONS.__contains__))))
"""What is of the breast before what is of its lesions; the view first, as readers name it."""
NOT_STATED = "not stated"


def score(
    predictions: Sequence[Prediction],
    images: PredictionArrays,
    bootstrap: Bootstrap,
    *,
    threshold: float,
) -> dict[str, tuple[Scores, ...]]:
    """Scores the images of each value of a column.

    Returns:
        By column; of fewer than MIN_PATIENTS patients no metric is defined.
    """
    names = brief(images.kind)
    scored: dict[str, list[Scores]] = {column: [] for column in COLUMNS}
    for column in COLUMNS:
        for value, rows in divide(predictions, column):
            part = images.take(rows)
            sizes = part.sizes()
            if sizes["patients"] < MIN_PATIENTS:
                few = f"too few patients: {sizes['patients']}, wanted {MIN_PATIENTS}"
                metrics = {name: undefined(few) for name in names}
            else:
                metrics = scoring.score(part, bootstrap, names=names, threshold=threshold)
            scored[column].append(
                Scores(value=value, images=len(part.labels), **sizes, metrics=metrics)
            )
    return {column: tuple(groups) for column, groups in scored.items()}


def divide(
    predictions: Sequence[Prediction], column: str
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Divides images by what stands in one of COLUMNS.

    An image of several kinds of lesion ("mass+calcification") counts with each. Images that state
    nothing come last; nothing comes of a column in which no image states anything.

    Yields:
        A value, and which images have it, [images].
    """
    joined = _OF_LESIONS.get(column) == "joined"
    texts = (image.columns[column] for image in predictions)
    values = [set(text.split("+")) if joined else {text} for text in texts]
    stated = sorted(set().union(*values) - {""})
    for value in [*stated, ""] if stated else []:
        rows = np.array([value in of_image for of_image in values], np.bool_)
        if rows.any():
            yield value or NOT_STATED, rows
