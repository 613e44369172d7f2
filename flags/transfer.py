"""Flags of transfer: what a run takes from another, and what phase 2 may change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from absl import flags

from flags import catalogue
from records.errors import CallerError

if TYPE_CHECKING:
    from flags.training import TrainingConfig

PARTS = {
    "all": "all weights (degree alpha of Jaamour et al. 2023)",
    "head": "all but the base, which --weights gives (beta)",
    "base": "the base alone",
}


def check(config: TrainingConfig) -> None:
    """Checks the fields of a configuration that belong here.

    Raises:
        CallerError: a value is unknown or contradicts another.
    """
    catalogue.check_name("init_parts", config.init_parts, PARTS)
    if config.init_parts != "all" and config.init_from is None:
        raise CallerError(
            f"--init_parts={config.init_parts} needs --init_from, the folder of a finished run"
        )
    fraction = unfreeze_fraction(config)
    if fraction is not None and not 0 < fraction <= 1:
        raise CallerError(
            f"--unfreeze_from={config.unfreeze_from} is neither a layer of the base nor the "
            f"fraction "
            "of its layers, counted from the end, that phase 2 trains: more than 0, at most 1"
        )
    if config.unfreeze_from is not None and config.phase2_epochs == 0:
        raise CallerError(
            f"--unfreeze_from={config.unfreeze_from} is about phase 2, and --phase2_epochs=0"
        )


def unfreeze_fraction(config: TrainingConfig) -> float | None:
    """Returns --unfreeze_from where it is a number, else None."""
    try:
        return float(config.unfreeze_from or "")
    except ValueError:
        return None


def define(default: TrainingConfig) -> None:
    """Defines the flags."""
    flags.DEFINE_string(
        "init_from",
        default.init_from,
        "Folder of a finished run whose weights this one starts from; --init_parts says which.",
    )
    flags.DEFINE_string(
        "init_parts",
        default.init_parts,
        catalogue.describe("What --init_from gives", PARTS),
    )
    flags.DEFINE_string(
        "unfreeze_from",
        default.unfreeze_from,
        "First layer of the base that phase 2 trains, or the fraction of its layers, counted from "
        "the end: 0.25 is the last quarter. Default: all.",
    )
