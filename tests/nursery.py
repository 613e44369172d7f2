"""Runs Python programs one after the other, each in a fork of a process that has imported much.

A program's own imports are most of the time that a short run takes: two seconds with Beam, six with
TensorFlow. Reads a line of JSON for each program from stdin and answers with its exit code.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import logging
import os
import runpy
import sys
import traceback
from typing import Any, NoReturn

PROGRAMS = ("beam_jobs.pipeline", "tensorflow", "keras", "sklearn.metrics", "matplotlib.pyplot")
"""What is imported beforehand; nothing of it starts a thread or reads the flags."""


def become(order: dict[str, Any]) -> NoReturn:
    """Runs a program in this process, as `python -m` does, and ends with it.

    The process ends without freeing what the nursery imported: that takes seconds.
    """
    for stream, path in ((1, order["out"]), (2, order["err"])):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, stream)
        os.close(file)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.chdir(order["cwd"])
    sys.path[0] = order["cwd"]
    sys.argv = [order["module"], *order["arguments"]]
    code: object = 0
    try:
        runpy.run_module(order["module"], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code or 0
        if not isinstance(code, int):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    """Imports, then forks for every line."""
    for name in PROGRAMS:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    logging.root.handlers.clear()  # Beam warns while it is imported
    gc.freeze()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            become(json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
