"""Evaluates the model of a finished run again and rewrites its report.

python -m trainer evaluate --run=RUN
python -m trainer evaluate --run=RUN --tta=flip
python -m trainer evaluate --run=RUN --dataset_dir=DIR    the records have moved
"""

from __future__ import annotations

import dataclasses
import pathlib

from flags.data_config import Damage, RecordsFolder
from flags.finished_run import OfOneRun
from flags.tta_config import TestTimeAugmentation
from records import memory


@dataclasses.dataclass(frozen=True)
class Config(TestTimeAugmentation, Damage, RecordsFolder, OfOneRun):
    """Which run to evaluate, and how; all else is as it was trained."""


def run(config: Config) -> int:
    """Evaluates the run on its own test images; returns the exit code.

    Raises:
        CallerError: the run is not finished, or its records are not there or are others now.
    """
    memory.keep_freed(one_heap=True)  # before TensorFlow's threads begin
    from trainer.data import dataset

    directory = pathlib.Path(config.run)
    trained, data = dataset.open_again(
        directory, dataset_dir=config.dataset_dir, skip_damaged=config.skip_damaged
    )
    from trainer.commands import summary, train

    tta = config.tta or trained.tta
    train.evaluate_run(directory, data, batch_size=trained.batch_size, tta=tta)
    summary.print_scores(directory)
    return 0
