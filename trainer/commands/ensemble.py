"""Several networks asked together: the mean of their probabilities, evaluated like a run.

  python -m trainer --mode=ensemble runs/a runs/b --output_dir=runs/ab
  python -m trainer --mode=ensemble runs/folds --output_dir=runs/of_folds

The folder is that of a run without a network: run.json lists "members", paths relative to it. A
cross-validation stands for its folds. Probabilities are averaged, not votes or logits
(Lakshminarayanan et al., Simple and scalable predictive uncertainty estimation using deep
ensembles, NIPS 2017, section 2.4).
"""

from __future__ import annotations

import dataclasses
import gc
import os
import pathlib
import time
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
from absl import logging

from flags.evaluation import EvaluationConfig
from records.errors import CallerError
from trainer.commands import summary
from trainer.data import damage, run_folder
from trainer.data.dataset import Data, Split, select
from trainer.evaluation import evaluate
from trainer.evaluation.evaluate import Predicted
from trainer.evaluation.members import Member, open_data, read_members, share_validation, views_of
from trainer.metrics.predictions import mean_probabilities
from trainer.reports import gallery_pictures, report

MODE = "ensemble"
_NOT_SHARED = (
    "the members validate on different images, so on each of them some other member was trained"
)
_COMMON = ("versions", "devices")
"""Of run.json: taken from the first member although another may differ."""
_OF_A_MEMBER = ("throughput", "dead_units", "splits", "minutes", "images_per_second")


def run(config: EvaluationConfig) -> int:
    """Evaluates the runs named as one and writes the folder of the ensemble.

    Raises:
        CallerError: a folder holds no finished run, the members do not fit each other, or one of
            them learned from the images evaluated.
    """
    assert config.output_dir is not None
    members = read_members(config.arguments)
    tta = views_of(members, config.tta)
    data = open_data(members, config.dataset_dir)
    directory = _open_folder(pathlib.Path(config.output_dir), members, data, tta)
    assert data.test is not None
    splits = [data.test, data.validation] if share_validation(members) else [data.test]
    start = time.monotonic()
    with damage.named(data.records.directory, data.records.manifest.shards):
        answers = [_ask(member, splits, data, tta) for member in members]
        minutes = (time.monotonic() - start) / 60
        predicted, *validated = (average(of_split) for of_split in zip(*answers, strict=True))
        evaluate.write(
            directory,
            predicted.images,
            validated[0].images if validated else [],
            data,
            describe(directory, members, data, minutes),
            tta=tta,
            if_not_validated=_NOT_SHARED,
        )
    models = (_load(member) for member in members)
    gallery_pictures.draw(directory, predicted, data, models=models)
    report.write(directory)
    summary.print_scores(directory)
    return 0


def average(of_members: Sequence[Predicted]) -> Predicted:
    """Averages the members' predictions of the same images, in the same order."""
    averaged = []
    for images in zip(*(of_member.images for of_member in of_members), strict=True):
        first = images[0]
        assert {(image.image_id, image.label) for image in images} == {
            (first.image_id, first.label)
        }
        rows = [image.probabilities for image in images]
        averaged.append(dataclasses.replace(first, probabilities=mean_probabilities(rows)))
    return Predicted(averaged, of_members[0].places)


def describe(
    directory: pathlib.Path, members: Sequence[Member], data: Data, minutes: float
) -> dict[str, Any]:
    """Says what was averaged: run.json, with what is the same in all members or can be summed."""
    assert data.test is not None
    runs = [member.described for member in members]
    training = {part for one in runs for part in one["splits"]["train"]["folds"]}
    learned = select(data.records, "train", sorted(training), data.target)
    splits = [learned, *[data.validation] * share_validation(members), data.test]
    spent = sum(sum(one["minutes"].values()) for one in runs)
    return {
        **{key: value for key, value in _same(runs).items() if key not in _OF_A_MEMBER},
        **{key: runs[0][key] for key in _COMMON},
        "members": [os.path.relpath(member.directory, directory) for member in members],
        "weights": _join(one["weights"] for one in runs),
        "weights_warning": _join(one["weights_warning"] or "" for one in runs) or None,
        "seed": _join(one["seed"] for one in runs),
        "parameters": sum(one["parameters"] for one in runs),
        "class_weights": np.mean([one["class_weights"] for one in runs], axis=0).tolist(),
        "splits": {split.name: split.describe(data.target.names) for split in splits},
        "minutes": {"all members": round(spent, 3), "evaluation": round(minutes, 3)},
        "images_per_second": float(np.mean([one["images_per_second"] for one in runs])),
    }


def _open_folder(
    directory: pathlib.Path, members: Sequence[Member], data: Data, tta: str
) -> pathlib.Path:
    """Makes the folder of the ensemble and writes config.json: the flags all members agree in.

    Raises:
        CallerError: it holds something else, or can't be written.
    """
    paths = [str(member.directory) for member in members]
    content = {
        **_same([member.config.to_json() for member in members]),
        "mode": MODE,
        "run_dir": str(directory),
        "dataset_dir": str(data.records.directory),
        "base": _join(member.config.base for member in members),
        "target": data.target_name,
        "tta": tta,
        "members": ", ".join(paths),
        "data_fingerprint": members[0].fingerprint,
    }
    path = directory / "config.json"
    found = run_folder.read_json(path).get("members") if path.is_file() else None
    if directory.is_dir() and any(directory.iterdir()) and found != content["members"]:
        raise CallerError(
            f"--output_dir={directory} holds something else than an ensemble of "
            f"{content['members']}; give a folder of its own"
        )
    run_folder.open_run(directory, content)
    return directory


def _ask(member: Member, splits: Sequence[Split], data: Data, tta: str) -> list[Predicted]:
    """Asks one network about every image of the splits; only one is in memory at a time."""
    logging.info("asking %s", member.directory)
    model = _load(member)
    return [
        evaluate.predict(model, split, data, batch_size=member.config.batch_size, tta=tta)
        for split in splits
    ]


def _load(member: Member) -> keras.Model:
    """Loads a network and forgets the one before."""
    keras.backend.clear_session()
    gc.collect()
    return keras.models.load_model(member.directory / "model.keras", compile=False)


def _same(contents: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Keeps what all have alike."""
    first, *others = contents
    return {
        key: value
        for key, value in first.items()
        if all(key in other and other[key] == value for other in others)
    }


def _join(values: Iterable[object]) -> str:
    """Writes values once each, in order."""
    return "; ".join(dict.fromkeys(text for value in values if (text := str(value))))
