"""Flags of the data: which images, their classes, how often each is shown, what is cached."""

from __future__ import annotations

import dataclasses
import math

from flags import augmentation_spec, targets
from flags import where as condition
from flags.fields import Flags, flag
from records.errors import CallerError

SAMPLINGS = {
    "none": "every training image once an epoch",
    "under": "as many images of each class as the smallest has, others drawn anew each epoch",
    "over": "as many of each as the largest has, images of the others repeated",
}
CACHES = {
    "auto": "in memory if the records take less than a quarter of what is free",
    "memory": "in memory",
    "off": "read from disk every epoch",
}
FEATURE_CACHES = {
    "auto": "wherever phase 1 allows it, from disk or, if a quarter of what is free holds it, "
    "from memory",
    "memory": "from memory",
    "disk": "from disk",
    "off": "the base runs every epoch",
}


@dataclasses.dataclass(frozen=True)
class RecordsFolder(Flags):
    """The folder of records."""

    dataset_dir: str | None = flag(
        None,
        "Folder of records, <output_dir>/<dataset>/<H>x<W>/<recipe>. Default: that of the finished "
        "run, else the only one under data/tfrecords.",
        identity=False,
        searchable=False,
        place=True,
    )


@dataclasses.dataclass(frozen=True)
class Damage(Flags):
    """What is done about damaged records."""

    skip_damaged: bool = flag(
        False, "Go on without damaged records, and count them.", identity=False
    )


@dataclasses.dataclass(frozen=True)
class Data(Damage, RecordsFolder):
    """Images a network learns from and is validated on, and how they reach it.

    No search varies where records lie, what is learned or on which images a run is validated:
    scores across them can't be compared.
    """

    target: str | None = flag(
        None,
        "What to learn",
        choices={name: " or ".join(one.names) for name, one in targets.TARGETS.items()},
        note="Default: the data set's own.",
        searchable=False,
    )
    where: str = flag(
        "",
        "Condition that images must meet to take part, in training and tests alike, such as "
        f'"{condition.EXAMPLE}"; columns: {", ".join(condition.COLUMNS)}.',
        searchable=False,
    )
    fold: int = flag(0, "Fold that validates; the others train.", low=0, searchable=False)
    test_fold: int | None = flag(
        None, "Fold that is evaluated in place of the test split.", low=0, searchable=False
    )
    class_weights: str = flag(
        "balanced",
        "Weight of each class in the loss: none, balanced, or a number a class such as 1.0:1.5.",
    )
    sampling: str = flag("none", "Images of an epoch", choices=SAMPLINGS)
    augment: str = flag(
        augmentation_spec.NONE,
        f"Random changes of training images: {', '.join(augmentation_spec.PRESETS)}, or a list of "
        f"changes such as flip,rotate:20. {augmentation_spec.describe()}.",
    )
    cache: str = flag("auto", "Where records wait between epochs", choices=CACHES, identity=False)
    # a cached feature is what the frozen base gives: only the speed changes
    feature_cache: str = flag(
        "auto",
        "Phase 1 runs the frozen base once an image and trains the head on what it gave",
        choices=FEATURE_CACHES,
        identity=False,
    )
    feature_dir: str | None = flag(
        None,
        "Folder where features are kept, shared by runs with the same base, weights and images. "
        "Default: in the run folder, until it is trained.",
        identity=False,
        searchable=False,
        place=True,
    )
    feature_gb: float = flag(
        10.0,
        "Largest size of the folder of features, GB; beyond it --feature_cache=auto does without.",
        above=0,
        identity=False,
    )

    def check(self) -> None:
        """Checks what target, folds and caches demand of each other."""
        super().check()
        condition.parse(self.where)
        weights = fixed_class_weights(self)
        target = targets.TARGETS[self.target] if self.target else None
        # grades of an ordinal target that the data set lacks are dropped, so it may need fewer
        if weights and target and target.kind != "ordinal" and len(weights) != len(target.names):
            raise CallerError(
                f"--class_weights={self.class_weights} has {len(weights)} weights, "
                f"--target={self.target} has {len(target.names)} classes: "
                f"{', '.join(target.names)}"
            )
        if self.fold == self.test_fold:
            raise CallerError(
                f"--fold={self.fold} and --test_fold={self.test_fold} are one fold: it can't both "
                "validate and be evaluated"
            )
        augmented = bool(augmentation_spec.parse(self.augment))
        if augmented and self.feature_cache in ("memory", "disk"):
            raise CallerError(
                f"--feature_cache={self.feature_cache} does not go with --augment={self.augment}: "
                "images that change every epoch have no features to keep; leave one of them out"
            )


def fixed_class_weights(config: Data) -> tuple[float, ...] | None:
    """Returns the weight of each class where --class_weights states them in numbers.

    Raises:
        CallerError: the text is neither none, balanced nor two or more positive numbers.
    """
    if config.class_weights in ("none", "balanced"):
        return None
    try:
        weights = tuple(float(part) for part in config.class_weights.split(":"))
    except ValueError:
        weights = ()
    if len(weights) < 2 or not all(0 < weight < math.inf for weight in weights):
        raise CallerError(
            f"--class_weights={config.class_weights} is not none, balanced, or two or more "
            "positive numbers such as 1.0:1.5 (class 0 : class 1)"
        )
    return weights
