"""The flag of test-time augmentation: the views of an image that are averaged."""

from __future__ import annotations

import dataclasses

from flags.fields import Flags, flag

NONE = "none"
VIEWS = {
    NONE: "the image as it is",
    "flip": "the image and its mirror image, probabilities averaged",
    "translate": "the image and its eight moves by a fortieth of height, of width or of both, its "
    "border mirrored",
    "dihedral": "all turns and mirror images that fit the frame: eight of a square, else four",
}


@dataclasses.dataclass(frozen=True)
class TestTimeAugmentation(Flags):
    """Views of an image whose probabilities are averaged.

    It changes how a trained network is evaluated, not what is trained: no part of a run's
    identity, nor of a published experiment, and nothing that a trial would be trained otherwise by.
    """

    __test__ = False  # no class of tests

    tta: str | None = flag(
        None,
        "What a network is shown of each image it evaluates",
        choices=VIEWS,
        note="Default: what the run was trained with, else none.",
        identity=False,
    )
