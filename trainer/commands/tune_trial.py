"""One trial of a search, in a process of its own: python -m trainer.commands.tune_trial.

Reads its configuration, one line of JSON, from standard input, trains, and evaluates nothing. It
ends when standard input does: a trial never outlives the search that began it.
"""

from __future__ import annotations

from flags import interrupts

if __name__ == "__main__":
    interrupts.install()  # before slower imports

import json
import os
import sys
import threading

from flags import command_line
from flags.training_config import TrainingConfig
from records import memory
from records.errors import CallerError


def main() -> None:
    """Trains the configuration on standard input."""
    config = TrainingConfig(**json.loads(sys.stdin.readline()))
    threading.Thread(target=_watch, daemon=True).start()
    memory.keep_freed(one_heap=True)  # before TensorFlow's threads begin
    from trainer.commands import train

    try:
        train.train(config, with_test=False)
    except CallerError as error:
        command_line.end(str(error))


def _watch() -> None:
    """Waits for the other end of standard input to be closed, by whatever end the search took."""
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main()
