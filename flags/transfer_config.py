"""Flags of transfer learning: weights taken from another run, and what phase 2 does to the base."""

from __future__ import annotations

import dataclasses

from flags.fields import Flags, flag
from records.errors import CallerError

PARTS = {
    "all": "all weights (degree alpha of Jaamour et al. 2023)",
    "head": "all but the base, which --weights gives (beta)",
    "base": "the base alone",
}
LEARNING_BATCH = 8
"""Images from which on a batch normalises well enough to learn from."""
BATCH_NORMS = {
    "auto": f"learns from batches of {LEARNING_BATCH} images a device on, frozen below",
    "frozen": "keeps the statistics and weights it came with",
    "learn": "learns from batches of any size",
}


@dataclasses.dataclass(frozen=True)
class Transfer(Flags):
    """Weights taken from another run, and how the base is fine-tuned."""

    init_from: str | None = flag(
        None,
        "Folder of a finished run whose weights this one starts from; --init_parts names which.",
        place=True,
    )
    init_parts: str = flag("all", "What --init_from gives", choices=PARTS)
    unfreeze_from: str | None = flag(
        None,
        "First layer of the base that phase 2 trains, or the fraction of its layers, counted from "
        "the end: 0.25 is the last quarter. Default: all.",
    )
    base_batch_norm: str = flag(
        "auto",
        "Batch normalisation of a pretrained base in phase 2",
        choices=BATCH_NORMS,
        late=True,
    )
    layer_decay: float = flag(
        1.0,
        "Learning rate of the base's first layer in phase 2, as a fraction of the head's; the "
        "layers between lie in equal ratios, such as 0.1.",
        above=0,
        high=1,
        late=True,
    )

    def check(self) -> None:
        """Checks that a part is taken from a run, and how far phase 2 unfreezes."""
        super().check()
        if self.init_parts != "all" and self.init_from is None:
            raise CallerError(
                f"--init_parts={self.init_parts} needs --init_from, the folder of a finished run"
            )
        fraction = unfreeze_fraction(self)
        if fraction is not None and not 0 < fraction <= 1:
            raise CallerError(
                f"--unfreeze_from={self.unfreeze_from} is neither a layer of the base nor the "
                "fraction of its layers, counted from the end, that phase 2 trains: more than 0, "
                "at most 1"
            )


def unfreeze_fraction(config: Transfer) -> float | None:
    """Returns --unfreeze_from where it is a number, else None."""
    try:
        return float(config.unfreeze_from or "")
    except ValueError:
        return None
