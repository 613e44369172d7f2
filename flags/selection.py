"""Flags of what to learn, and from which images."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from absl import flags

from flags import catalogue, where
from records.errors import CallerError

if TYPE_CHECKING:
    from flags.training import TrainingConfig

SAMPLINGS = {
    "none": "every training image once an epoch",
    "under": "as many images of each class as the smallest has, others drawn anew each epoch",
    "over": "as many of each as the largest has, images of the others repeated",
}


def check(config: TrainingConfig) -> None:
    """Checks the fields of a configuration that belong here.

    Raises:
        CallerError: a value is unknown or contradicts another.
    """
    if config.target is not None:
        catalogue.check_name("target", config.target, catalogue.TARGETS)
    catalogue.check_name("sampling", config.sampling, SAMPLINGS)
    where.parse(config.where)
    weights = fixed_class_weights(config)
    target = catalogue.TARGETS[config.target] if config.target else None
    # grades of an ordinal target that the data set lacks are dropped, so it may need fewer
    if weights and target and target.kind != "ordinal" and len(weights) != len(target.names):
        raise CallerError(
            f"--class_weights={config.class_weights} has {len(weights)} weights, "
            f"--target={config.target} has {len(target.names)} classes: {', '.join(target.names)}"
        )


def fixed_class_weights(config: TrainingConfig) -> tuple[float, ...] | None:
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


def define(default: TrainingConfig) -> None:
    """Defines the flags."""
    text = flags.DEFINE_string
    questions = {name: " or ".join(t.names) for name, t in catalogue.TARGETS.items()}
    text(
        "target",
        None,
        f"{catalogue.describe('What to learn', questions)} Default: the data set's own.",
    )
    text(
        "where",
        default.where,
        "Condition that images must meet to take part, in training and tests alike, such as "
        f'"{where.EXAMPLE}"; columns: {", ".join(where.COLUMNS)}.',
    )
    text("sampling", default.sampling, catalogue.describe("Images of an epoch", SAMPLINGS))
    text(
        "class_weights",
        default.class_weights,
        "Weight of each class in the loss: none, balanced, or a number a class such as 1.0:1.5.",
    )
    flags.DEFINE_bool(
        "skip_damaged", default.skip_damaged, "Go on without damaged records, and count them."
    )
