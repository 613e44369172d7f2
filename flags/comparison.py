"""Flags of trainer.commands.experiments; all others go on to every run."""

from __future__ import annotations

from absl import flags


def define() -> None:
    """Defines the flags on absl's FLAGS."""
    flags.DEFINE_string(
        "only",
        "",
        "Names of the experiments to run, separated by spaces, such as 'c h'. Default: all "
        "flagfiles that state a published accuracy, or that there is none.",
    )
    flags.DEFINE_string("flagfiles", "flags/experiments", "Folder of the flagfiles.")
    flags.DEFINE_string("runs", "runs/experiments", "Folder of their runs and of the comparison.")
