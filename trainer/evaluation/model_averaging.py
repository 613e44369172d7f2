"""The mean of several networks' probabilities: predictions -> predictions of an ensemble.

averaged = average([predictions_of_a, predictions_of_b])

The folder is that of a run without a network: run.json lists "members", paths relative to it.
Probabilities are averaged, not votes or logits (Lakshminarayanan et al., Simple and scalable
predictive uncertainty estimation using deep ensembles, NIPS 2017, section 2.4).
"""

from __future__ import annotations

import dataclasses
import gc
import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import keras
from absl import logging

from flags import own_base
from records.errors import CallerError
from trainer.data import run_folder
from trainer.data.dataset import Data, Split, select
from trainer.data.run_json import RunDescription, mean_speed, mean_weights
from trainer.evaluation import evaluate_model
from trainer.evaluation.evaluate_model import Predicted
from trainer.evaluation.members import Member, share_validation
from trainer.metrics.predictions import mean_probabilities
from trainer.model import own_backbone

KIND = "ensemble"
NOT_SHARED = (
    "the members validate on different images, so on each of them some other member was trained"
)
_MAY_DIFFER = (
    "joined_by",
    "side_inputs",
    "also_predicted",
    "preparation",
    "kind",
    "absent_classes",
    "sampling",
    "damaged_records",
    "chain",
)
"""Of run.json: stated if all members have it alike."""


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
) -> RunDescription:
    """Describes the members: run.json, with what is the same in all or can be summed.

    Of versions and devices it has the first member's, although another's may differ.
    """
    assert data.test is not None
    runs = [member.described for member in members]
    training = {part for one in runs for part in one.splits["train"].folds}
    learned = select(data.records, "train", sorted(training), data.target)
    splits = [learned, *[data.validation] * share_validation(members), data.test]
    spent = sum(sum((one.minutes or {}).values()) for one in runs)
    alike = _same([vars(one) for one in runs])
    stated: dict[str, Any] = {key: alike.get(key) for key in _MAY_DIFFER}
    return dataclasses.replace(
        runs[0],
        **stated,
        throughput=None,
        dead_units=None,
        dataset_dir=str(data.records.directory),
        reader_columns=tuple(sorted({c for one in runs for c in one.reader_columns or ()})) or None,
        members=tuple(os.path.relpath(member.directory, directory) for member in members),
        weights=_join(one.weights for one in runs),
        weights_warning=_join(one.weights_warning or "" for one in runs) or None,
        seed=_join(one.seed for one in runs),
        parameters=sum(one.parameters for one in runs),
        class_weights=mean_weights(runs),
        splits={split.name: split.describe(data.target.names) for split in splits},
        minutes={"all members": round(spent, 3), "evaluation": round(minutes, 3)},
        images_per_second=mean_speed(runs),
    )


def check_folder(directory: pathlib.Path, members: Sequence[pathlib.Path]) -> None:
    """Makes sure that a folder is free for an ensemble, or holds this one; members may lie in it.

    Raises:
        CallerError: it holds something else.
    """
    path = directory / "config.json"
    paths = _list(members)
    found = run_folder.read_json(path).get("members") if path.is_file() else None
    if found != paths and directory.is_dir() and set(directory.iterdir()) - set(members):
        raise CallerError(
            f"{directory} holds something else than an ensemble of {paths}; give a folder of its "
            "own"
        )


def open_folder(
    directory: pathlib.Path, members: Sequence[Member], data: Data, tta: str
) -> pathlib.Path:
    """Makes the folder of the ensemble and writes config.json: the flags all members agree in.

    Raises:
        CallerError: it holds something else, or can't be written.
    """
    paths = [member.directory for member in members]
    check_folder(directory, paths)
    content = {
        **_same([member.config.to_json() for member in members]),
        "kind": KIND,
        "run_dir": str(directory),
        "dataset_dir": str(data.records.directory),
        "base": _join(own_base.short_name(member.config.base) for member in members),
        "target": data.target_name,
        "tta": tta,
        "members": _list(paths),
        "data_fingerprint": members[0].fingerprint,
    }
    run_folder.open_run(directory, content)
    return directory


def predict(member: Member, splits: Sequence[Split], data: Data, tta: str) -> list[Predicted]:
    """Predicts the images of splits by one network; only one is in memory at a time."""
    logging.info("predicting by %s", member.directory)
    model = load(member)
    return [
        evaluate_model.predict(model, split, data, batch_size=member.config.batch_size, tta=tta)
        for split in splits
    ]


def load(member: Member) -> keras.Model:
    """Loads a network and forgets the one before."""
    keras.backend.clear_session()
    gc.collect()
    return own_backbone.load_network(member.directory / "model.keras")


def _list(paths: Iterable[pathlib.Path]) -> str:
    return ", ".join(map(str, paths))


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
