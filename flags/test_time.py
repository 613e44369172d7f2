"""The flag of test-time augmentation: how often, and how turned, a film is shown when judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from absl import flags

from flags import catalogue

if TYPE_CHECKING:
    from flags.training import TrainingConfig

NONE = "none"
VIEWS = {
    NONE: "the film as it is",
    "flip": "the film and its mirror image, probabilities averaged",
    "dihedral": "all turns and mirror images that fit the frame: eight of a square film, else four",
}


def check(config: TrainingConfig) -> None:
    """Checks the field of a configuration that belongs here.

    Raises:
        CallerError: the value is unknown.
    """
    if config.tta is not None:
        catalogue.check_name("tta", config.tta, VIEWS)


def define() -> None:
    """Defines the flag."""
    described = catalogue.describe("What a network is shown of each film it judges", VIEWS)
    flags.DEFINE_string(
        "tta",
        None,
        f"{described} Default: what the run was trained with, else none.",
    )
