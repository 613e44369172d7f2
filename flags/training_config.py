"""Flags of a training run -> TrainingConfig, the parts of which are dataclasses of their own.

define(TrainingConfig)
config = from_flags(TrainingConfig, absl.flags.FLAGS)
"""

from __future__ import annotations

import dataclasses
from typing import Any

from flags.data_config import Data
from flags.fields import Flags, flag, flags_of
from flags.network_config import Network
from flags.optimization_config import Optimization
from flags.transfer_config import Transfer
from flags.tta_config import TestTimeAugmentation
from records.errors import CallerError


@dataclasses.dataclass(frozen=True)
class RunFolder(Flags):
    """The folder of a run."""

    run_dir: str | None = flag(
        None,
        "Folder of the run. Default: runs/ and a name made from the flags.",
        identity=False,
        searchable=False,
        place=True,
    )


# the dataclass has the fields of the last base first
@dataclasses.dataclass(frozen=True)
class TrainingConfig(TestTimeAugmentation, Transfer, Optimization, Network, Data, RunFolder):
    """One training run, complete and valid."""

    def check(self) -> None:
        """Checks what the parts demand of each other."""
        super().check()
        if self.unfreeze_from is not None and self.phase2_epochs == 0:
            raise CallerError(
                f"--unfreeze_from={self.unfreeze_from} is about phase 2, and --phase2_epochs=0"
            )


def one_run(config: TrainingConfig, **changes: Any) -> TrainingConfig:
    """Makes the configuration of one run out of that of a verb that begins many.

    Raises:
        CallerError: the changes contradict each other or the rest.
    """
    given = {name: getattr(config, name) for name in flags_of(TrainingConfig)}
    return TrainingConfig(**{**given, **changes})


def check_one_machine(config: TrainingConfig) -> None:
    """Refuses many runs that are each to be trained by several machines.

    Raises:
        CallerError: they are.
    """
    if config.strategy == "multi_worker":
        raise CallerError(
            "--strategy=multi_worker trains one run on several machines, here many are begun; "
            "run the folds one by one with --test_fold"
        )
