"""Flags of a training run -> TrainingConfig, the parts of which are dataclasses of their own.

define(TrainingConfig)
config = from_flags(TrainingConfig, absl.flags.FLAGS)
"""

from __future__ import annotations

import dataclasses
from typing import Any

from flags.column_config import Columns
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
class TrainingConfig(
    TestTimeAugmentation, Transfer, Optimization, Network, Columns, Data, RunFolder
):
    """One training run, complete and valid."""

    def check(self) -> None:
        """Checks what the parts demand of each other."""
        super().check()
        for name in ("unfreeze_from", "base_batch_norm", "layer_decay"):
            given = getattr(self, name)
            if given != getattr(TrainingConfig, name) and self.phase2_epochs == 0:
                raise CallerError(f"--{name}={given} is about phase 2, and --phase2_epochs=0")


def _parse_seeds(texts: tuple[str, ...]) -> tuple[int, ...]:
    """Reads --seeds.

    Raises:
        CallerError: they are not two or more different whole numbers.
    """
    wanted = "two or more different whole numbers, such as 1,2,3"
    if not all(text.strip().isdecimal() for text in texts):
        raise CallerError(f"--seeds={','.join(texts)} is not {wanted}")
    seeds = tuple(map(int, texts))
    if texts and len(set(seeds)) < max(2, len(seeds)):
        raise CallerError(f"--seeds={','.join(texts)} is not {wanted}")
    return seeds


@dataclasses.dataclass(frozen=True)
class Seeds(Flags):
    """Seeds of several runs that are evaluated apart and together."""

    seeds: tuple[int, ...] = flag(
        (),
        "Train once with each of these seeds instead of --seed, such as 1,2,3; evaluate each, and "
        "the mean of their probabilities.",
        parse=_parse_seeds,
        searchable=False,
        late=True,
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
