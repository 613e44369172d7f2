"""Cross-validation: runs of the stored folds -> predictions of all images, scored together.

Fold k is evaluated, fold k + 1 validates (cyclic), the others train: early stopping and the choice
of the best epoch never see the evaluated fold (Cawley & Talbot, On over-fitting in model selection,
JMLR 11:2079-2107, 2010). Each fold is a run folder like any other, fold<k>/, with a calibration
and a threshold of its own; an image keeps those of the network that evaluated it.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

from flags import datasets, targets, tta_config
from flags.training_config import TrainingConfig, one_run
from records import schema
from records.errors import CallerError
from trainer.data import run_folder
from trainer.data.dataset import Split, drop_unused_grades, form_splits, select
from trainer.data.records_folder import Records, find_directory, open_records
from trainer.data.run_json import FoldDescription, RunDescription, mean_speed, mean_weights
from trainer.evaluation import calibration
from trainer.evaluation.calibration import Calibration
from trainer.metrics import compute, predictions, typed_json
from trainer.metrics.over_folds import summarise
from trainer.metrics.predictions import Prediction
from trainer.model import feature_cache

MIN_FOLDS = 3
"""One is evaluated, one validates, one trains."""
POOLED = "out-of-fold"
"""Name of the images of all folds, each with the prediction of the run that never saw it."""


@dataclasses.dataclass(frozen=True)
class Folds:
    """The stored folds of a data set, and the images of all of them.

    Attributes:
        records: they are of.
        target: what is learned.
        target_name: key of `flags.targets.TARGETS`.
        pooled: every image that is evaluated.
    """

    records: Records
    target: targets.Target
    target_name: str
    pooled: Split


def open_folds(config: TrainingConfig) -> Folds:
    """Opens the records of a cross-validation.

    Raises:
        CallerError: there are no such records, or too few folds.
    """
    records = open_records(
        find_directory(config.dataset_dir),
        condition=config.where,
        skip_damaged=config.skip_damaged,
    )
    if records.folds < MIN_FOLDS:
        raise CallerError(
            f"cross_validate needs {MIN_FOLDS} folds (one evaluated, one validating, one "
            f"training), {records.directory} has {records.folds}; convert again with --folds=4"
        )
    name = config.target or datasets.DATASETS[records.dataset].target
    target = drop_unused_grades(records, targets.TARGETS[name])
    folds = [schema.fold_name(fold) for fold in range(records.folds)]
    return Folds(records, target, name, select(records, POOLED, folds, target))


def configure_folds(
    config: TrainingConfig, records: Records, directory: pathlib.Path
) -> list[TrainingConfig]:
    """Makes the configuration of the run of each fold: a training run like any other.

    Raises:
        CallerError: a split of one of them lacks a class.
    """
    configs = [
        one_run(
            config,
            run_dir=str(directory / schema.fold_name(fold)),
            dataset_dir=str(records.directory),
            test_fold=fold,
            fold=(fold + 1) % records.folds,
            feature_dir=config.feature_dir or str(feature_cache.folder_of(directory)),
        )
        for fold in range(records.folds)
    ]
    for of_fold in configs:  # what the last one lacks is not to be found out hours later
        form_splits(records, of_fold)
    return configs


def is_finished(config: TrainingConfig) -> bool:
    """Whether the run of a fold is finished, and was evaluated with the views of --tta.

    One that was evaluated another way, or before there was calibration, is evaluated again.
    """
    assert config.run_dir is not None
    run = pathlib.Path(config.run_dir)
    fitted = calibration.read(run)
    views = fitted.test_time_augmentation if fitted else ""
    same_views = views == (config.tta or tta_config.NONE)
    return same_views and (run / "report.html").is_file()  # written last


def pool(directory: pathlib.Path, runs: Sequence[pathlib.Path], folds: Folds) -> list[Prediction]:
    """Scores the predictions of all folds together: predictions.csv, metrics.json, run.json.

    Raises:
        CallerError: an image was not evaluated, or twice.
    """
    predicted = [
        dataclasses.replace(prediction, split=POOLED)
        for run in runs
        for prediction in predictions.read(run / "predictions.csv")
    ]
    _check_images(directory, predicted, folds.pooled)
    predictions.write(directory / "predictions.csv", predicted)
    names = folds.target.names
    scores = compute.score(
        predicted, split=POOLED, label_names=names, ordinal=folds.target.kind == "ordinal"
    )
    over_folds = summarise([run_folder.read_metrics(run) for run in runs])
    run_folder.write_metrics(directory, dataclasses.replace(scores, over_folds=over_folds))
    described = _describe(runs, folds.pooled, names)
    described = dataclasses.replace(described, predicts_one_class=scores.predicts_one_class)
    run_folder.write_description(directory, described.stamp())
    return predicted


def _check_images(directory: pathlib.Path, predicted: Sequence[Prediction], pooled: Split) -> None:
    """Makes sure that every image was evaluated once: damage may have come, or gone, in between."""
    evaluated = sorted(prediction.image_id for prediction in predicted)
    if evaluated != sorted(image["image_id"] for image in pooled.images):
        raise CallerError(
            f"{directory}: its folds evaluated {len(evaluated)} images, now "
            f"{len(pooled.images)} can be read; records were damaged or restored in between, give "
            "another --run_dir"
        )


def _describe(runs: Sequence[pathlib.Path], pooled: Split, names: Sequence[str]) -> RunDescription:
    """Describes the run: run.json of the first fold, with what differs in the others."""
    described = [run_folder.read_description(run) for run in runs]
    minutes = [sum((of_run.minutes or {}).values()) for of_run in described]
    return dataclasses.replace(
        described[0],
        throughput=None,
        dead_units=None,
        also_predicted=None,
        members=None,
        splits={POOLED: pooled.describe(names)},
        class_weights=mean_weights(described),
        minutes={"all folds": round(sum(minutes), 3)},
        images_per_second=mean_speed(described),
        folds=tuple(
            FoldDescription(
                run=run.name,
                minutes=spent,
                splits=of_run.splits,
                metrics=typed_json.to_json(run_folder.read_metrics(run)),
                calibration=_without_curve(calibration.read(run)),
                members=of_run.members,
            )
            for run, of_run, spent in zip(runs, described, minutes, strict=True)
        ),
    )


def _without_curve(fitted: Calibration | None) -> dict[str, Any]:
    content = typed_json.to_json(fitted) if fitted else {}
    return {key: value for key, value in content.items() if key != "isotonic"}
