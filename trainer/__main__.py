"""Trains a network on records made by beam_jobs.tfrecords, evaluates it, and writes a report.

  python -m trainer --base=mobilenetv2
  python -m trainer --flagfile=flags/experiments/h.flags --dataset_dir=DIR
  python -m trainer cross_validate --run_dir=runs/folds
  python -m trainer predict --run=RUN IMAGE_OR_FOLDER...
  python -m trainer predict --help

Everything goes into one run folder, report.html among it. An interrupted run goes on with the
same command. Research use only, not for diagnosis.
"""

from __future__ import annotations

import os

from flags import interrupts

if __name__ == "__main__":
    interrupts.install()  # before slower imports

from flags import verbs

# Network folders may refuse locks: HDF5 would fail at the first epoch. A run has a lock of its own.
os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")

VERBS = verbs.Verbs(package="trainer.commands", program="python -m trainer", default="train")
"""A file of trainer/commands that defines Config and run is a verb."""


def main() -> None:
    """Runs the verb that the command line names, with the flags behind it."""
    verbs.run(VERBS, about=__doc__ or "")


if __name__ == "__main__":
    main()
