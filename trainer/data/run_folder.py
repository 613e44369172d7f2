"""The folder of a run: config.json and run.json, written and checked.

config.json  every flag, the kind of run, the target taken, the fingerprints of the data and of the
             file of a base of one's own
run.json     what was trained on what, for the report
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from absl import logging

from flags import own_base
from flags.fields import defaults
from flags.training_config import TrainingConfig
from records import files
from records.errors import CallerError
from trainer.data.run_json import RunDescription
from trainer.metrics import metric_table, typed_json
from trainer.metrics.metrics_json import Metrics

if TYPE_CHECKING:  # it brings TensorFlow, which pages and cards do without
    from trainer.data.records_folder import Records

DEFAULT_ROOT = pathlib.Path("runs")
RUN = "run.json"
METRICS = "metrics.json"
_CSV = ("predictions.csv", "validation_predictions.csv")
EVALUATION = (*_CSV, METRICS, "calibration.json", "report.html")
"""What an evaluation writes into a run; earlier ones are kept (`records.files.keeping`)."""
TRAIN = "train"
"""Kind of a run of one network, as config.json names it; others are made of several such."""
_LOCK = ".lock"
_REMEDY = "name another run folder"


def check_run(
    config: TrainingConfig, records: Records, target: str, *, kind: str = TRAIN
) -> tuple[pathlib.Path, dict[str, Any]]:
    """Names the run folder, and makes sure that it is free or holds this very run.

    Returns:
        the folder, and the content of its config.json.

    Raises:
        CallerError: the folder holds a run of another configuration or other data, or something
            else.
    """
    decisive = config.identity()
    decisive["target"] = target
    decisive["data_fingerprint"] = records.manifest.data_fingerprint
    if (source := own_base.fingerprint(config.base)) is not None:
        decisive["base_source"] = source
    default = _default_directory(config, records, decisive, kind=kind)
    directory = pathlib.Path(config.run_dir or default)
    decisive["kind"] = kind
    path = directory / "config.json"
    if path.is_file():
        found = {**defaults(type(config)), **read_json(path)}  # it may lack a later flag
        changed = [
            _compare_records(directory, found, records)
            if key == "data_fingerprint"
            else f"{key} ({found.get(key)}, now {value})"
            for key, value in decisive.items()
            if found.get(key) != value
        ]
        if changed:
            raise CallerError(
                f"{directory} holds a run with other {', '.join(changed)}; give another --run_dir"
            )
    elif directory.is_dir() and any(path.name != _LOCK for path in directory.iterdir()):
        raise CallerError(f"{directory} is not empty and holds no run; give another --run_dir")
    return directory, {**config.to_json(), **decisive, "dataset_dir": str(records.directory)}


def _compare_records(directory: pathlib.Path, found: dict[str, Any], records: Records) -> str:
    """Names a run's records and those given by their folders, and by their units where known."""
    then, now = found.get("dataset_dir"), str(records.directory)
    if then == now:
        return f"records ({now} has been converted anew)"
    about = directory / RUN
    unit = read_json(about).get("unit", "image") if about.is_file() else records.manifest.unit
    if unit != records.manifest.unit:
        then, now = f"{then} of --unit={unit}", f"{now} of --unit={records.manifest.unit}"
    return f"records ({then}, now {now})"


def hold(directory: pathlib.Path) -> contextlib.AbstractContextManager[None]:
    """Keeps other trainings out of a run folder.

    Raises:
        CallerError: another one is at work there, or the folder can't be written.
    """
    busy = f"{directory} is being trained by another program; wait, or give another --run_dir"
    return files.hold(directory / _LOCK, busy=busy)


def open_run(directory: pathlib.Path, content: dict[str, Any]) -> None:
    """Makes the run folder and writes config.json.

    Raises:
        CallerError: the folder can't be written.
    """
    if (directory / "config.json").is_file():
        logging.info("%s: resuming this run where it stopped", directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        files.write_json(directory / "config.json", content)
    except OSError as error:
        raise CallerError(f"{directory} can't be written: {error.strerror}") from error


def read_config(directory: pathlib.Path) -> tuple[TrainingConfig, str]:
    """Reads the configuration of a finished run, and the fingerprint of the data it learned from.

    Raises:
        CallerError: the folder holds no run, or one that is not finished.
    """
    path = directory / "config.json"
    if not path.is_file():
        raise CallerError(f"{directory} holds no config.json; give the folder of a run")
    content = read_json(path)
    kind = content.pop("kind", None)
    if kind is None:
        raise CallerError(f"{path} is of an earlier version and names no kind of run; train again")
    if kind != TRAIN:
        raise CallerError(
            f"{directory} holds a whole {kind}; give the folder of one of its "
            "runs, or the command that began it again"
        )
    if not (directory / "model.keras").is_file():
        raise CallerError(
            f"{directory} holds no model.keras: its training is not finished; "
            "give the command that began it again"
        )
    fingerprint = content.pop("data_fingerprint")
    content.pop("base_source", None)
    return TrainingConfig(**content), fingerprint


def members_of(directory: pathlib.Path, description: RunDescription) -> list[pathlib.Path]:
    """Lists the run folders of one network each that a run consists of."""
    if description.members is not None:
        return [directory / member for member in description.members]
    folds = description.folds or ()
    runs = [directory / fold.run / one for fold in folds for one in fold.members or ("",)]
    return runs or [directory]


def check_folders(directories: Sequence[str]) -> None:
    """Makes sure that folders are there that are to be those of finished runs.

    Raises:
        CallerError: one is not.
    """
    for directory in map(pathlib.Path, directories):
        if not directory.is_dir():
            raise CallerError(f"{directory} is not a folder; name folders of finished runs")


def members_finished(directory: pathlib.Path) -> list[pathlib.Path]:
    """Lists the run folders of one network each that a finished run consists of.

    Raises:
        CallerError: the folder holds no run, or one that is not finished.
    """
    for name in ("config.json", RUN):
        if not (directory / name).is_file():
            raise CallerError(
                f"--run={directory} holds no {name}; give the folder of a finished run"
            )
        read_json(directory / name)
    members = members_of(directory, read_description(directory))
    for member in members:
        if not (member / "model.keras").is_file():
            raise CallerError(
                f"--run={os.path.normpath(member)} holds no model.keras: its training is not "
                "finished; give the command that began it again"
            )
    return members


def begin_description(directory: pathlib.Path, description: RunDescription) -> None:
    """Writes run.json of a run that begins, or resumes: what was found out before stays.

    Raises:
        CallerError: the run began from other weights than can be had now.
    """
    if (directory / RUN).is_file():
        earlier = read_description(directory)
        if earlier.weights != description.weights:
            raise CallerError(
                f"{directory} began with {earlier.weights} weights, now they are "
                f"{description.weights}; give those again with --weights, or another --run_dir"
            )
        stated = {key: value for key, value in vars(description).items() if value is not None}
        description = dataclasses.replace(earlier, **stated)
    write_description(directory, description)


def read_description(directory: pathlib.Path) -> RunDescription:
    """Reads run.json of a run folder.

    Raises:
        CallerError: there is no such file, or it is damaged or lacks something.
    """
    path = directory / RUN
    return typed_json.from_json(RunDescription, read_json(path), path=path, remedy=_REMEDY)


def write_description(directory: pathlib.Path, description: RunDescription) -> None:
    """Writes run.json."""
    files.write_json(directory / RUN, typed_json.to_json(description))


def read_json(path: pathlib.Path) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        CallerError: there is no such file, or it is damaged.
    """
    return files.read_json(
        path, remedy=_REMEDY, remedy_if_missing="name the folder of a finished run"
    )


def read_metrics(directory: pathlib.Path, *, whole: bool = False) -> Metrics:
    """Reads metrics.json of a run folder; `whole` refuses one that lacks any metric.

    Raises:
        CallerError: there is no such file, or it is damaged or lacks something.
    """
    path = directory / METRICS
    remedy = f"write it anew with python -m trainer report --run={directory}"
    metrics = typed_json.from_json(Metrics, read_json(path), path=path, remedy=remedy)
    for key in metric_table.keys(metrics.kind) if whole else ("auc", "accuracy"):
        if key not in metrics:
            raise files.DamagedFile(path, f"lacks {key}", remedy)
    return metrics


def write_metrics(directory: pathlib.Path, metrics: Metrics) -> None:
    """Writes metrics.json."""
    files.write_json(directory / METRICS, typed_json.to_json(metrics))


def _default_directory(
    config: TrainingConfig, records: Records, decisive: dict[str, Any], *, kind: str
) -> pathlib.Path:
    default = defaults(type(config))
    # flags at their default are left out, so that names outlive new flags
    given = {k: v for k, v in decisive.items() if k not in default or v != default[k]}
    digest = hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()
    unit = records.manifest.unit
    recipe = records.manifest.recipe + ("" if unit == "image" else f"-{unit}")
    suffix = "" if kind == TRAIN else f"-{kind}"
    return DEFAULT_ROOT / (
        f"{records.dataset}-{records.size}-{recipe}-{own_base.short_name(config.base)}{suffix}-{digest[:8]}"
    )
