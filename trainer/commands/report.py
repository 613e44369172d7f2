"""Scores a finished run's predictions again and rewrites its report; seconds, no TensorFlow.

python -m trainer report --run=RUN
"""

from __future__ import annotations

import dataclasses
import pathlib

from flags.finished_run import OfOneRun


@dataclasses.dataclass(frozen=True)
class Config(OfOneRun):
    """The run whose report is written."""


def run(config: Config) -> int:
    """Computes metrics.json anew and writes report.html; returns the exit code.

    Raises:
        CallerError: the run lacks a file, or its files do not belong together.
    """
    from trainer.data import run_folder

    directory = pathlib.Path(config.run)
    run_folder.read_description(directory)  # before slow libraries are imported
    from trainer.reports import report_page

    print(f"report: {report_page.rescore(directory).resolve()}")
    return 0
