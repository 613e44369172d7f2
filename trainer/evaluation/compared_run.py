"""Finished runs to compare: run folder -> its predictions, metrics and description.

run = read(pathlib.Path("runs/a"), name="a")
baseline, *others = read_all([pathlib.Path("runs/a"), pathlib.Path("runs/b")])
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from records.errors import CallerError
from trainer.data import run_folder
from trainer.data.run_json import RunDescription
from trainer.evaluation import calibration, published
from trainer.evaluation.published import Published
from trainer.metrics import metric_table, predictions, scoring
from trainer.metrics.called_class import called_classes
from trainer.metrics.intervals import Floats
from trainer.metrics.metrics_json import Metrics, MetricValue
from trainer.metrics.prediction_arrays import PredictionArrays
from trainer.metrics.predictions import Labels, Prediction


@dataclasses.dataclass(frozen=True)
class ComparedRun:
    """A finished run, a cross-validation or an ensemble.

    Attributes:
        name: how it is called here.
        directory: its folder.
        scores: metrics.json.
        run: run.json.
        images: image id -> prediction.
        experiment: the published experiment it is one of, if it is.
        config: config.json, {} if there is none.
        at_chosen: whether images are called at the threshold chosen on validation images.
        unit: what `images` are, a key of `records.schema.VIEWS` or patient.
        averaged: what `common_unit` made them of, such as 482 images; "" where it did not.
    """

    name: str
    directory: pathlib.Path
    scores: Metrics
    run: RunDescription
    images: dict[str, Prediction]
    experiment: Published | None
    config: dict[str, Any] = dataclasses.field(default_factory=dict)
    at_chosen: bool = False
    unit: str = "image"
    averaged: str = ""

    @property
    def question(self) -> str:
        """Classes that the model tells apart, in words."""
        return f"{self.run.target} ({' or '.join(self.run.label_names)})"

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of the metrics that are compared."""
        kind = metric_table.kind_of(self.run.label_names, ordinal=self.run.ordinal)
        return metric_table.compared(kind)

    @property
    def minutes(self) -> float:
        """All phases and the evaluation; 0 where it is not known."""
        return sum((self.run.minutes or {}).values())

    def evaluated(self, image_ids: Sequence[str]) -> PredictionArrays:
        """Makes columns of some images, in that order."""
        images = [self.images[image_id] for image_id in image_ids]
        columns = PredictionArrays.of(images, self.run.label_names, ordinal=self.run.ordinal)
        if not self.at_chosen:
            return columns
        return dataclasses.replace(columns, threshold=np.array([one.threshold for one in images]))

    def decided(self, name: str) -> MetricValue:
        """Returns a metric at the threshold that images are called at."""
        chosen = self.scores.chosen_threshold
        if self.at_chosen and chosen is not None and name in chosen:
            return chosen[name]
        return self.scores[name]

    def measure(self, images: PredictionArrays, weights: Floats) -> dict[str, Floats]:
        """Computes the metrics compared, for every row of weights [rows, images]: [rows] each."""
        return scoring.measure(images, weights, names=self.measures, threshold=images.threshold)


def called_of(images: PredictionArrays) -> Labels:
    """Decides which class each image is called, [images]; of two classes at its threshold."""
    return called_classes(images.probabilities, threshold=images.threshold, ordinal=images.ordinal)


def read_all(directories: Sequence[pathlib.Path], *, at_chosen: bool = False) -> list[ComparedRun]:
    """Reads finished runs, their images called at 0.5, or at the thresholds each run chose.

    Raises:
        CallerError: a folder is named twice, one can't be read, or has no such threshold.
    """
    names = _names(directories)
    runs = [read(one, name=name) for one, name in zip(directories, names, strict=True)]
    if not at_chosen:
        return runs
    for run in runs:
        chosen = run.scores.chosen_threshold
        reason = chosen.not_defined_because if chosen else "it was scored before there was one"
        if reason:
            why = calibration.why_no_threshold(run.directory, run.run.folds)
            raise CallerError(
                f"{run.directory} has no chosen threshold ({': '.join(filter(None, (reason, why)))}"
                "); compare with --threshold=0.5"
            )
    return [dataclasses.replace(run, at_chosen=True) for run in runs]


def read(
    directory: pathlib.Path, *, name: str, flagfile: pathlib.Path | None = None
) -> ComparedRun:
    """Reads a finished run.

    Raises:
        CallerError: a file is missing or damaged, or they are not of one evaluation.
    """
    if not directory.is_dir():
        raise CallerError(f"{directory} is not a folder; name folders of finished runs")
    if (directory / "config.json").is_file() and not (directory / "metrics.json").is_file():
        raise CallerError(
            f"{directory} is not finished: it has no metrics.json; give the command that began it "
            "again"
        )
    images = predictions.read(directory / "predictions.csv")
    if not images:
        raise CallerError(f"{directory}/predictions.csv holds no image; evaluate the run again")
    scores, run = run_folder.read_metrics(directory), run_folder.read_description(directory)
    config_file = directory / "config.json"
    config = run_folder.read_json(config_file) if config_file.is_file() else {}
    experiment = (
        published.beside(flagfile, config, run)
        if flagfile
        else published.of_run(directory.resolve(), config, run)
    )
    made = ComparedRun(
        name,
        directory,
        scores,
        run,
        {image.image_id: image for image in images},
        experiment,
        config,
        unit=run.unit,
    )
    _check(made)
    return made


def _names(directories: Sequence[pathlib.Path]) -> list[str]:
    """Names runs by their folders, with as much of the path as tells them apart.

    Raises:
        CallerError: a folder is named twice.
    """
    places = [directory.resolve() for directory in directories]
    for place, directory in zip(places, directories, strict=True):
        if places.count(place) > 1:
            raise CallerError(f"{directory} is named twice; name every run once")
    for parts in range(1, max(len(place.parts) for place in places)):
        names = ["/".join(place.parts[-parts:]) for place in places]
        if len(set(names)) == len(names):
            break
    return names


def _check(run: ComparedRun) -> None:
    """Refuses scores that are not those of the predictions, and labels that are no class."""
    classes = len(run.run.label_names)
    for image in run.images.values():
        if len(image.probabilities) != classes:
            raise CallerError(
                f"{run.directory}: run.json names {classes} classes, predictions.csv has "
                f"{len(image.probabilities)}; evaluate the run again"
            )
    images = run.evaluated(list(run.images))
    accuracy = float((called_of(images) == images.labels).mean())
    stated = run.scores["accuracy"].value
    if (
        stated is None
        or abs(stated - accuracy) > 1e-9
        or not set(run.measures) <= set(run.scores.metrics)
    ):
        raise CallerError(
            f"{run.directory}: metrics.json (accuracy {stated}) is not of these predictions "
            f"({accuracy:.3f}), or old; score them again with python -m trainer report "
            f"--run={run.directory}"
        )
