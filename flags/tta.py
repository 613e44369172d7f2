"""The flag of test-time augmentation: the views of an image that are averaged."""

from __future__ import annotations

from absl import flags

from flags import catalogue

NONE = "none"
VIEWS = {
    NONE: "the image as it is",
    "flip": "the image and its mirror image, probabilities averaged",
    "dihedral": "all turns and mirror images that fit the frame: eight of a square, else four",
}


def check(tta: str | None) -> None:
    """Checks the value of --tta.

    Raises:
        CallerError: it is unknown.
    """
    if tta is not None:
        catalogue.check_name("tta", tta, VIEWS)


def define() -> None:
    """Defines the flag."""
    described = catalogue.describe("What a network is shown of each image it evaluates", VIEWS)
    flags.DEFINE_string(
        "tta",
        None,
        f"{described} Default: what the run was trained with, else none.",
    )
