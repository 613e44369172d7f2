"""Runs beside each other and beside what was published: comparison.html and comparison.json.

content = write(pathlib.Path("runs/comparison"), [baseline, other])
"""

from __future__ import annotations

import math
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from flags.fields import flags_of
from flags.training_config import TrainingConfig
from records import files, version
from records.errors import CallerError
from trainer.evaluation import paired_comparison, published
from trainer.evaluation.compared_run import ComparedRun, called_of
from trainer.evaluation.comparison_json import (
    Agreement,
    ComparedRuns,
    RunEntry,
    SameImages,
    Unfinished,
)
from trainer.evaluation.published import Published
from trainer.metrics import typed_json
from trainer.metrics.called_class import THRESHOLD
from trainer.reports import comparison_panels, comparison_words, template

CHOSEN = "chosen on validation images, each network's own"
FILES = ("comparison.html", "comparison.json")
METHOD = (
    "Differences are run less baseline on the same images, their intervals of the same resamples "
    "of patients for both runs. p: the interval inverted; for accuracy, recall and AUC the larger "
    "of it and that of the exact McNemar test or of DeLong's, which take images of one patient for "
    "independent. All p values of the page are adjusted together (Holm); below 0.05 a difference "
    "counts as more than noise. Noise is which patients happened to be evaluated; how much a run "
    "trained anew from another seed would differ is not in it."
)


def write(
    directory: pathlib.Path,
    runs: Sequence[ComparedRun],
    *,
    unfinished: Sequence[tuple[Published, str]] = (),
) -> ComparedRuns:
    """Writes comparison.html and comparison.json; runs that can't be compared are listed apart.

    Args:
        directory: where to.
        runs: finished ones, the baseline first.
        unfinished: experiments without a finished run, each with the reason.

    Returns:
        the content of comparison.json.

    Raises:
        CallerError: the folder can't be written.
    """
    content = assemble(directory, runs, unfinished)
    page = template.read("comparison.html.j2").render(
        **vars(content),
        panels=comparison_panels.draw(content),
        heading=comparison_words.heading,
        sources=published.SOURCES,
        standard_error=lambda fraction: (
            100 * math.sqrt(fraction * (1 - fraction) / published.IMAGES)
        ),
        published_images=published.IMAGES,
    )
    try:
        directory.mkdir(parents=True, exist_ok=True)
        files.write_json(directory / "comparison.json", typed_json.to_json(content))
        files.write_text(directory / "comparison.html", page)
    except OSError as error:
        raise CallerError(
            f"{directory} can't be written: {error.strerror}; give another --output_dir"
        ) from error
    return content


def assemble(
    directory: pathlib.Path,
    runs: Sequence[ComparedRun],
    unfinished: Sequence[tuple[Published, str]],
) -> ComparedRuns:
    """Makes the content of comparison.json; all that the page shows."""
    baseline = runs[0] if runs else None
    comparable, apart = [], {}
    for other in runs[1:]:
        try:
            paired_comparison.common_images(runs[0], other)
            comparable.append(other)
        except CallerError as error:
            apart[other.name] = str(error)
    comparisons = paired_comparison.compare(baseline, comparable) if baseline else []
    return ComparedRuns(
        program=version.describe(),
        unit=baseline.unit if baseline else "image",
        baseline=baseline.name if baseline else None,
        question=baseline.question if baseline else None,
        measures=baseline.measures if baseline else (),
        threshold=template.of_unit(CHOSEN, baseline.run.unit)
        if baseline and baseline.at_chosen
        else str(THRESHOLD),
        flags=differing_flags(runs),
        method=METHOD,
        resamples=str(paired_comparison.bootstrap_for(baseline, comparable)) if baseline else None,
        synthetic=any(run.run.synthetic for run in runs),
        runs=[_describe(run, directory) for run in runs],
        unfinished=[Unfinished(one.experiment, one, error) for one, error in unfinished],
        comparisons=comparisons,
        sentences=comparison_words.sum_up(comparisons, baseline.name if baseline else ""),
        not_compared=apart,
        same_images=group_by_images(runs),
        agreement=agree([baseline, *comparable]) if baseline else None,
    )


def differing_flags(runs: Sequence[ComparedRun]) -> dict[str, list[Any]]:
    """Lists flags that decide what is learned and are not the same in all runs, a value a run.

    So is the --unit of their records, which is no flag of a training.
    """
    decides = {key for key, one in flags_of(TrainingConfig).items() if one.identity}
    values = {"unit": [run.run.unit for run in runs]} | {
        key: [run.config.get(key, default if run.config else None) for run in runs]
        for key, default in TrainingConfig().to_json().items()
        if key in decides
    }
    return {key: row for key, row in values.items() if any(value != row[0] for value in row)}


def group_by_images(runs: Sequence[ComparedRun]) -> list[SameImages]:
    """Groups runs evaluated on the very same images with the same labels."""
    groups: dict[tuple[str, frozenset[tuple[str, int]]], list[str]] = {}
    for run in runs:
        of = frozenset((image.image_id, image.label) for image in run.images.values())
        groups.setdefault((run.unit, of), []).append(run.name)
    return [SameImages(len(images), names, unit) for (unit, images), names in groups.items()]


def agree(runs: Sequence[ComparedRun]) -> Agreement | None:
    """Counts, among the images all runs were evaluated on, who calls them right.

    Returns:
        None below two runs, or where no image is common to all.
    """
    common = sorted(set.intersection(*(set(run.images) for run in runs)))
    if len(runs) < 2 or not common:
        return None
    images = [run.evaluated(common) for run in runs]
    votes = np.sum([called_of(one) == one.labels for one in images], axis=0)
    right, wrong = int((votes == len(runs)).sum()), int((votes == 0).sum())
    return Agreement(len(common), right, wrong, len(common) - right - wrong)


def _describe(run: ComparedRun, directory: pathlib.Path) -> RunEntry:
    page = run.directory / "report.html"
    return RunEntry(
        name=run.name,
        directory=str(run.directory),
        report=os.path.relpath(page.resolve(), directory.resolve()) if page.is_file() else None,
        images=len(run.images),
        patients=len({image.patient_id for image in run.images.values()}),
        unit=run.unit,
        averaged=run.averaged if run.unit != run.run.unit else "",
        minutes=run.minutes or None,
        finished=run.run.finished,
        program=run.run.program,
        majority_baseline=run.scores.majority_baseline,
        scores={name: run.decided(name) for name in run.measures},
        published=run.experiment,
    )
