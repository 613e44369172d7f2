"""Records -> the splits that train, validate and test, by the configuration of a run."""

from __future__ import annotations

import collections
import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

from absl import logging

from flags import column_config, datasets, targets
from flags.network_config import join_of
from flags.targets import Target
from flags.training_config import TrainingConfig
from records import schema
from records.errors import CallerError
from trainer.data import class_balance, run_folder, side_columns
from trainer.data.records_folder import Records, find_directory, open_records, values_of
from trainer.data.run_json import SplitCounts
from trainer.data.side_columns import Names, Numbers


@dataclasses.dataclass(frozen=True)
class Split:
    """The images that train, validate or test.

    Attributes:
        name: train, validation, or that of the split on disk that is evaluated.
        parts: splits on disk it is made of.
        shards: paths of the shards, in order.
        images: rows of sources.csv with a label for the target.
        labels: class of each image.
        left_out: images of the parts without one.
        bytes: size of the shards.
        filtered: images of the parts that do not meet --where.
        lost: images of the parts whose records are damaged.
        sampling: key of `flags.data_config.SAMPLINGS`, for the images of an epoch.
        views: how many a record holds, 0 where it is one image; `images` are then breasts or
            examinations.
        side: columns that the network takes beside the pixels.
        also: columns that it learns beside the target, with their classes.
    """

    name: str
    parts: tuple[str, ...]
    shards: tuple[str, ...]
    images: tuple[dict[str, str], ...]
    labels: tuple[int, ...]
    left_out: int
    bytes: int
    filtered: int = 0
    lost: int = 0
    sampling: str = "none"
    views: int = 0
    side: tuple[str, ...] = ()
    also: Mapping[str, Target] = dataclasses.field(default_factory=dict)

    @property
    def partial(self) -> bool:
        """Whether the shards hold images that are not of the split."""
        return self.left_out + self.filtered > 0

    @property
    def epoch_size(self) -> int:
        """Images of an epoch, repeated ones as often as they stand in it."""
        return class_balance.epoch_size(self.labels, self.sampling)

    def describe(self, names: Sequence[str]) -> SplitCounts:
        """Counts images, patients and labels."""
        counts = collections.Counter(self.labels)
        return SplitCounts(
            folds=self.parts,
            images=len(self.images),
            patients=len({image["patient_id"] for image in self.images}),
            labels={name: counts[label] for label, name in enumerate(names)},
            left_out=self.left_out,
            filtered=self.filtered,
            damaged=self.lost,
            epoch=self.epoch_size,
        )


@dataclasses.dataclass(frozen=True)
class Data:
    """What a run learns from and is evaluated on; `test` is None where nothing is evaluated.

    `side` and `also` are what the training images have in the columns of --side_inputs and
    --also_predict.
    """

    records: Records
    target: Target
    target_name: str
    train: Split
    validation: Split
    test: Split | None
    side: Mapping[str, Numbers | Names] = dataclasses.field(default_factory=dict)
    also: Mapping[str, Names] = dataclasses.field(default_factory=dict)


def open_data(config: TrainingConfig, *, with_test: bool = True) -> Data:
    """Opens the records and forms the splits: train, validation and, if wanted, test.

    Raises:
        CallerError: there are no such records, or a split lacks a class.
    """
    records = open_records(
        find_directory(config.dataset_dir), condition=config.where, skip_damaged=config.skip_damaged
    )
    return form_splits(records, config, with_test=with_test)


def open_again(
    directory: pathlib.Path,
    *,
    dataset_dir: str | None = None,
    skip_damaged: bool = False,
    with_test: bool = True,
) -> tuple[TrainingConfig, Data]:
    """Opens the very records and splits that a finished run learned from.

    The configuration returned has these changes: `dataset_dir` if the records have moved, and
    `skip_damaged` to leave damaged ones out even if the run did not.

    Raises:
        CallerError: the run is not finished, or its records are not there or are others now.
    """
    config, fingerprint = run_folder.read_config(directory)
    config = dataclasses.replace(
        config,
        dataset_dir=dataset_dir or config.dataset_dir,
        skip_damaged=skip_damaged or config.skip_damaged,
    )
    data = open_data(config, with_test=with_test)
    if data.records.manifest.data_fingerprint != fingerprint:
        raise CallerError(
            f"{data.records.directory} holds other records than {directory} learned from, its "
            "test images may be among them; give the records of then with --dataset_dir"
        )
    return config, data


def form_splits(records: Records, config: TrainingConfig, *, with_test: bool = True) -> Data:
    """Forms the splits of a run from its records.

    Raises:
        CallerError: there is no such fold, a split lacks a class, or records are of one image and
            the network of several.
    """
    if config.views != "auto" and not records.manifest.views:
        raise CallerError(
            f"--views={config.views}: {records.directory} holds one image a record; convert with "
            "--unit=breast (CC and MLO) or --unit=exam (both breasts)"
        )
    for flag, fold in (("fold", config.fold), ("test_fold", config.test_fold)):
        if fold is not None and fold >= records.folds:
            raise CallerError(
                f"--{flag}={fold}: {records.directory} has folds 0 to {records.folds - 1}"
            )
    name = config.target or datasets.DATASETS[records.dataset].target
    target = drop_unused_grades(records, targets.TARGETS[name])
    folds = [schema.fold_name(fold) for fold in range(records.folds)]
    validating = folds[config.fold]
    evaluated = schema.TEST_SPLIT if config.test_fold is None else folds[config.test_fold]
    if with_test and evaluated not in records.splits:
        raise CallerError(
            f"{records.directory} has no {evaluated} split; give python -m trainer cross_validate, "
            "or choose a fold to be evaluated with --test_fold"
        )
    learned = [fold for fold in folds if fold not in (validating, evaluated)]
    train = select(records, "train", learned, target)
    side, also = _state_columns(records, config, train, target)

    def with_columns(split: Split) -> Split:
        classes = {
            column: Target(column, tuple((value,) for value in one.values), one.values, "classes")
            for column, one in also.items()
        }
        return dataclasses.replace(split, side=tuple(side), also=classes)

    return Data(
        records=records,
        target=target,
        target_name=name,
        train=with_columns(dataclasses.replace(train, sampling=config.sampling)),
        validation=with_columns(select(records, "validation", [validating], target)),
        test=with_columns(select(records, evaluated, [evaluated], target)) if with_test else None,
        side=side,
        also=also,
    )


def _state_columns(
    records: Records, config: TrainingConfig, train: Split, target: Target
) -> tuple[dict[str, Numbers | Names], dict[str, Names]]:
    """Sums up the columns of --side_inputs and of --also_predict over the training images.

    Raises:
        CallerError: one is the answer, has too few values, or nothing it can be joined to.
    """
    side = column_config.side_columns(config)
    also = [column for column, _ in column_config.also_columns(config)]
    for flag, columns in (("side_inputs", side), ("also_predict", also)):
        if target.column in columns:
            raise CallerError(
                f"--{flag}={target.column} is what the network is to tell; leave it out"
            )
        if columns and records.manifest.views and join_of(config.views) == "mean":
            raise CallerError(
                f"--{flag}: a mean of views has no last layer of its own; take --views=concat, "
                "attention or cc_mlo"
            )
    stated = side_columns.state(train.images, side, flag="side_inputs")
    if config.xla and any(isinstance(one, Names) for one in stated.values()):
        raise CallerError("--xla compiles no columns of names (--side_inputs); leave it out")
    learned = side_columns.state(train.images, also, flag="also_predict")
    return stated, {name: one for name, one in learned.items() if isinstance(one, Names)}


def drop_unused_grades(records: Records, target: Target) -> Target:
    """Drops the grades of an ordinal target that no image has; two that are left make it binary.

    Raises:
        CallerError: fewer than two are left.
    """
    found = {target.label_of(image[target.column]) for image in records.images}
    present = [label for label in range(len(target.names)) if label in found]
    if target.kind != "ordinal" or len(present) == len(target.names):
        return target
    if len(present) < 2:
        raise CallerError(
            f"{records.directory}: the images have {len(present)} of {', '.join(target.names)}, at "
            f"least 2 are needed; {values_of(records.images, target.column)}; choose another "
            "--target"
        )
    dropped = [name for label, name in enumerate(target.names) if label not in present]
    logging.warning("no image is %s: dropped from the target", " or ".join(dropped))
    return dataclasses.replace(
        target,
        values=tuple(target.values[label] for label in present),
        names=tuple(target.names[label] for label in present),
        kind="ordinal" if len(present) > 2 else "binary",
    )


def select(records: Records, name: str, parts: Sequence[str], target: Target) -> Split:
    """Gathers the shards and images of some of the splits on disk.

    Raises:
        CallerError: they hold no image with a label, or no image of one of the classes; of more
            than two classes only those that train need every one.
    """
    shards = [n for n, shard in records.manifest.shards.items() if shard.split in parts]
    gone = records.salvage.lost if records.salvage else frozenset()
    members = [image for image in records.images if image["split"] in parts]
    filtered = [image for image in records.filtered if image["split"] in parts]
    there = [image for image in members if image["image_id"] not in gone]
    labelled = [(image, target.label_of(image[target.column])) for image in there]
    kept = [(image, label) for image, label in labelled if label is not None]
    split = Split(
        name=name,
        parts=tuple(parts),
        shards=tuple(str(records.path_of(shard)) for shard in shards),
        images=tuple(image for image, _ in kept),
        labels=tuple(label for _, label in kept),
        left_out=len(there) - len(kept),
        bytes=sum(records.manifest.shards[shard].bytes for shard in shards),
        filtered=len(filtered),
        lost=len(members) - len(there),
        views=len(records.manifest.views),
    )
    needed = set(range(len(target.names)))
    if target.kind != "binary" and name != "train" and kept:
        needed = set(split.labels)
    for label in sorted(needed - set(split.labels)):
        values = values_of(members, target.column) if members else "there are none"
        raise CallerError(
            f"{records.directory}: the {name} images ({', '.join(parts)}) hold "
            f"{len(split.images)} with a label and none that is {target.names[label]} ({values}); "
            f"convert more images, {_remedy(name)} or choose another --target"
        )
    return split


def _remedy(name: str) -> str:
    """Names the flag that puts other images into a split."""
    if name == schema.TEST_SPLIT:  # the folds are of the other images
        return "or again with a larger --test_fraction,"
    return f"take another --{'fold' if name in ('train', 'validation') else 'test_fold'}"
