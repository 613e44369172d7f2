"""Runs of images, breasts and examinations -> predictions of the same breasts or patients.

runs = group([single_view_run, two_view_run])   # the first by mean of views
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence

from records.errors import CallerError
from records.printable import counted
from trainer.evaluation.compared_run import ComparedRun
from trainer.metrics import compute, levels
from trainer.metrics.predictions import Prediction, mean_probabilities


def group(runs: Sequence[ComparedRun]) -> list[ComparedRun]:
    """Averages what runs of different units predict: by breast, or by patient beside examinations.

    Raises:
        CallerError: images do not state their side.
    """
    units = {run.unit for run in runs}
    if len(units) == 1:
        return list(runs)
    unit = "patient" if "exam" in units else "breast"
    return [_group(run, unit) for run in runs]


def _group(run: ComparedRun, unit: str) -> ComparedRun:
    keys = levels.keys_of(list(run.images.values()), unit)
    if isinstance(keys, str):
        raise CallerError(f"{run.directory} can't be compared by {unit}: {keys}")
    members: dict[str, list[Prediction]] = collections.defaultdict(list)
    for key, image in zip(keys, run.images.values(), strict=True):
        members[" ".join(key.split("\n"))].append(image)
    ordered = run.run.ordinal or len(run.run.label_names) == 2
    images = {
        key: _average(key, of_unit)
        for key, of_unit in members.items()
        if ordered or len({image.label for image in of_unit}) == 1  # as `levels.group`
    }
    averaged = max(map(len, members.values())) > 1
    return dataclasses.replace(
        run,
        name=f"{run.name}, mean of views" if averaged else run.name,
        scores=compute.score(
            list(images.values()),
            split=run.scores.split,
            label_names=run.run.label_names,
            ordinal=run.run.ordinal,
        ),
        images=images,
        unit=unit,
        averaged=counted(len(run.images), f"{run.unit}s"),
    )


def _average(key: str, images: Sequence[Prediction]) -> Prediction:
    return dataclasses.replace(
        images[0],
        image_id=key,
        label=max(image.label for image in images),
        probabilities=mean_probabilities([image.probabilities for image in images]),
        calibrated_probabilities=(),
    )
