"""Flags of what changes images at random, and of features kept where nothing does."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from absl import flags

from flags import augmentation, catalogue
from records.errors import CallerError

if TYPE_CHECKING:
    from flags.training import TrainingConfig

FEATURE_CACHES = {
    "auto": "wherever phase 1 allows it, from disk or, if a quarter of what is free holds it, "
    "from memory",
    "memory": "from memory",
    "disk": "from disk",
    "off": "the base runs every epoch",
}


def check(config: TrainingConfig) -> None:
    """Checks the fields of a configuration that belong here.

    Raises:
        CallerError: a value is unknown or contradicts another.
    """
    catalogue.check_name("feature_cache", config.feature_cache, FEATURE_CACHES)
    augmented = bool(augmentation.parse(config.augment))
    if not 0 < config.feature_gb < math.inf:
        raise CallerError(f"--feature_gb={config.feature_gb} is not a number of GB above 0")
    asked = config.feature_cache in ("memory", "disk")
    if asked and augmented:
        raise CallerError(
            f"--feature_cache={config.feature_cache} does not go with --augment={config.augment}: "
            "images that change every epoch have no features to keep; leave one of them out"
        )


def define(default: TrainingConfig) -> None:
    """Defines the flags."""
    flags.DEFINE_string(
        "augment",
        augmentation.NONE,
        f"Random changes of training images: {', '.join(augmentation.PRESETS)}, or a list of "
        "changes "
        f"such as flip,rotate:20. {augmentation.describe()}.",
    )
    flags.DEFINE_string(
        "feature_cache",
        default.feature_cache,
        catalogue.describe(
            "Phase 1 runs the frozen base once an image and trains the head on what it gave",
            FEATURE_CACHES,
        ),
    )
    flags.DEFINE_string(
        "feature_dir",
        None,
        "Folder where features are kept, shared by runs with the same base, weights and images. "
        "Default: in the run folder, until it is trained.",
    )
    flags.DEFINE_float(
        "feature_gb",
        default.feature_gb,
        "Largest size of the folder of features, GB; beyond it --feature_cache=auto does without.",
    )
