"""The members of an ensemble: finished runs that fit each other, and images none learned from.

members = read_members(["runs/a", "runs/folds"])
data = open_data(members, dataset_dir=None)
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterable, Sequence

from flags import tta_config
from flags.training_config import TrainingConfig
from records import schema
from records.errors import CallerError
from trainer.data import run_folder
from trainer.data.dataset import Data, form_splits, select
from trainer.data.records_folder import find_directory, open_records
from trainer.data.run_json import RunDescription
from trainer.training import initial_weights


@dataclasses.dataclass(frozen=True)
class Member:
    """A finished run of one network.

    Attributes:
        directory: its folder.
        config: how it was trained.
        fingerprint: of the records it learned from.
        described: its run.json.
    """

    directory: pathlib.Path
    config: TrainingConfig
    fingerprint: str
    described: RunDescription


def read_members(folders: Iterable[str]) -> list[Member]:
    """Reads the runs named, a cross-validation as its folds, and makes sure that they fit.

    Raises:
        CallerError: one is not finished, or differs in data, target or condition.
    """
    directories = [one for folder in folders for one in _runs_of(pathlib.Path(folder))]
    if len({directory.resolve() for directory in directories}) < max(2, len(directories)):
        raise CallerError(
            f"ensemble averages two or more different runs, got "
            f"{', '.join(map(str, directories))}; name each once"
        )
    members = [
        Member(directory, *run_folder.read_config(directory), _read_description(directory))
        for directory in directories
    ]
    first = members[0]
    for member in members[1:]:
        for what, own, others in (
            ("records", member.fingerprint[:12], first.fingerprint[:12]),
            ("target", member.described.target, first.described.target),
            ("classes", *(list(one.described.label_names) for one in (member, first))),
            ("where", member.config.where, first.config.where),
        ):
            if own != others:
                raise CallerError(
                    f"{member.directory} has {what} {own}, {first.directory} has {others}; "
                    "members need the same data set, size, recipe and target"
                )
    return members


def open_data(members: Sequence[Member], dataset_dir: str | None) -> Data:
    """Opens the records and the images evaluated: those all members were evaluated on, else test.

    No member learned from either: training leaves them out, and `transfer.check_apart` looks at the
    runs that gave first weights. `validation` is the first member's.

    Raises:
        CallerError: the records are others than the members', there are no such images, or a run
            that a member began with learned from them.
    """
    config = members[0].config
    records = open_records(
        find_directory(dataset_dir or config.dataset_dir),
        condition=config.where,
        skip_damaged=any(member.config.skip_damaged for member in members),
    )
    if records.manifest.data_fingerprint != members[0].fingerprint:
        raise CallerError(
            f"{records.directory} holds other records than the members learned from; give the "
            "records of then with --dataset_dir"
        )
    data = form_splits(records, config, with_test=False)
    folds = {member.config.test_fold for member in members}
    fold = folds.pop() if len(folds) == 1 else None
    evaluated = schema.TEST_SPLIT if fold is None else schema.fold_name(fold)
    if evaluated not in records.splits:
        raise CallerError(
            f"{records.directory} has no test split, and no fold is new to all members: each "
            "learned from some; name runs that were evaluated on the same fold"
        )
    for member in members:
        initial_weights.check_apart(member.config, dataset=records.dataset, evaluated=[evaluated])
    return dataclasses.replace(data, test=select(records, evaluated, [evaluated], data.target))


def views_of(members: Sequence[Member], given: str | None) -> str:
    """Chooses the views of test-time augmentation: those of --tta, or of all members.

    Raises:
        CallerError: the members differ.
    """
    views = sorted({given or member.config.tta or tta_config.NONE for member in members})
    if len(views) > 1:
        raise CallerError(
            f"the members were trained with --tta={' and '.join(views)}; choose with --tta"
        )
    return views[0]


def share_validation(members: Sequence[Member]) -> bool:
    """Whether the same images chose every member's best epoch, and trained none."""
    return len({member.config.fold for member in members}) == 1


def _runs_of(folder: pathlib.Path) -> list[pathlib.Path]:
    """Lists the run folders a folder stands for: itself, or the folds of a cross-validation."""
    config = folder / "config.json"
    if not config.is_file() or run_folder.read_json(config).get("kind") != "cross_validate":
        return [folder]
    return run_folder.members_of(folder, _read_description(folder))


def _read_description(folder: pathlib.Path) -> RunDescription:
    """Reads run.json of a finished run.

    Raises:
        CallerError: it is not finished.
    """
    if not (folder / "metrics.json").is_file():
        raise CallerError(
            f"{folder} is not finished: it has no metrics.json; give the command that began it "
            "again"
        )
    return run_folder.read_description(folder)
