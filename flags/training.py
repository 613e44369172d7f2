"""Flags of a training run -> TrainingConfig, the parts of which are dataclasses of their own.

define(TrainingConfig)
config = from_flags(TrainingConfig, absl.flags.FLAGS)
"""

from __future__ import annotations

import dataclasses

from flags import evaluation
from flags.data import Data
from flags.fields import Flags, flag
from flags.network import Network
from flags.optimization import Optimization
from flags.search import Search
from flags.transfer import Transfer
from flags.tta import TestTimeAugmentation
from records.errors import CallerError

MODES = {
    "train": "train, evaluate on the test split, write the report; resumes an interrupted run",
    "evaluate": "evaluate the model of --run_dir again and rewrite its report",
    "cross_validate": "train once for each fold, which is evaluated by the run that never saw it; "
    "the test split is left alone",
    "tune": "search the flags that --space names, with Optuna; evaluated on the validation images",
}


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
    Search, TestTimeAugmentation, Transfer, Optimization, Network, Data, RunFolder
):
    """One training run, complete and valid."""

    mode: str = flag("train", "What to do", choices={**MODES, **evaluation.MODES}, searchable=False)

    def check(self) -> None:
        """Checks what the parts demand of each other.

        Raises:
            CallerError: two flags contradict each other.
        """
        super().check()
        if self.unfreeze_from is not None and self.phase2_epochs == 0:
            raise CallerError(
                f"--unfreeze_from={self.unfreeze_from} is about phase 2, and --phase2_epochs=0"
            )
        self._check_mode()

    def _check_mode(self) -> None:
        if self.mode == "evaluate" and self.run_dir is None:
            raise CallerError("--mode=evaluate needs --run_dir, the folder of a finished run")
        if self.mode == "tune" and self.space is None:
            raise CallerError(
                "--mode=tune needs --space, a file that names what to search; see docs/training.md"
            )
        if self.mode != "tune" and self.space is not None:
            raise CallerError(f"--space={self.space} goes with --mode=tune")
        if self.mode == "tune" and self.test_fold is not None:
            raise CallerError(
                "--mode=tune evaluates on the validation images; leave out --test_fold"
            )
        if self.mode == "cross_validate" and (self.fold != 0 or self.test_fold is not None):
            raise CallerError(
                "--mode=cross_validate evaluates every fold in turn; leave out --fold and "
                "--test_fold"
            )
        if self.mode in ("cross_validate", "tune") and self.strategy == "multi_worker":
            raise CallerError(
                f"--mode={self.mode} begins many runs and does not go with "
                "--strategy=multi_worker; run the folds one by one with --test_fold"
            )
