"""A program that sends itself a signal when it comes to a function.

python -m tests.flags.interrupted SIGINT beam_jobs.shards:write beam_jobs.tfrecords ARGUMENTS...
"""

from __future__ import annotations

import importlib
import operator
import os
import runpy
import signal
import sys
from typing import Any


def main(name: str, where: str, program: str, *arguments: str) -> None:
    """Runs the program, interrupted at the beginning of the function."""
    path, _, dotted = where.partition(":")
    *owner, attribute = dotted.split(".")
    holder: Any = importlib.import_module(path)
    if owner:
        holder = operator.attrgetter(".".join(owner))(holder)
    whole = getattr(holder, attribute)

    def interrupted(*given: Any, **named: Any) -> Any:
        os.kill(os.getpid(), getattr(signal, name))
        return whole(*given, **named)

    setattr(holder, attribute, interrupted)
    sys.argv = [program, *arguments]
    runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
