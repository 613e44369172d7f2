"""How both programs start and how they end: help, one line for a caller's mistake, exit codes.

Exit codes: 0 done, or stopped as asked; 1 done, but more than allowed went wrong; 2 a caller's
mistake; 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn

from absl import app, flags

from flags.fields import closest
from records.errors import CallerError, OutOfTime

_HELP = ("--help", "-help", "-h", "--helpfull", "--helpshort")


def run(
    program: Callable[[list[str]], int],
    define: Callable[[], None],
    *,
    argv: Sequence[str] | None = None,
    about: Callable[[], str] | None = None,
    unknown: Callable[[str], str] | None = None,
    pass_unknown: bool = False,
    arguments: int | None = 0,
) -> None:
    """Runs a program with parsed flags and exits with its code.

    Args:
        program: takes the arguments that are not its flags, returns the exit code.
        define: defines the program's flags.
        argv: the command line; None: that of this process.
        about: writes what --help prints above the flags; None: the docstring of the main module.
        unknown: writes the line for an unknown flag, given its name; None: `describe_unknown`.
        pass_unknown: whether unknown flags are the program's to evaluate; else they are errors.
        arguments: how many arguments that are not flags it takes at most; None: any number.
    """
    # TensorFlow's C++ start-up notes and Beam's bookkeeping are no news to anybody
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    before = set(flags.FLAGS)
    define()
    for name in set(flags.FLAGS) - before:  # what --help lists
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flags.FLAGS[name])

    def parse(given: Sequence[str]) -> list[str]:
        if set(_HELP).intersection(given):
            print(about() if about else (sys.modules["__main__"].__doc__ or "").strip())
            print(flags.FLAGS.main_module_help().partition(":\n")[2])  # without the path
            sys.exit(0)
        try:
            rest = flags.FLAGS(given, known_only=pass_unknown)
        except flags.UnrecognizedFlagError as error:
            name = error.flagname
            end(unknown(name) if unknown else describe_unknown(name, flags.FLAGS))
        except flags.Error as error:
            end(" ".join(str(error).split()))
        if not pass_unknown and arguments is not None and len(rest) > 1 + arguments:
            end(describe_stray(rest[1 + arguments]))
        return list(rest)

    def main(given: list[str]) -> int:
        try:
            return program(given[1:])
        except CallerError as error:
            end(str(error))
        except OutOfTime as stop:
            print(stop)
            return 0
        except KeyboardInterrupt:
            print("interrupted; give the same command again to go on", file=sys.stderr)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(130)  # threads of Beam and TensorFlow may still be at work

    app.run(main, list(argv) if argv is not None else None, flags_parser=parse)


def end(message: str) -> NoReturn:
    """Says a caller's mistake in one line and exits with code 2."""
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


def describe_stray(argument: str) -> str:
    """Writes the line for an argument nobody takes."""
    return f"argument {argument!r} is not a flag; flags are written --name=value"


def describe_unknown(argument: str, known: Iterable[str]) -> str:
    """Writes the line for a flag nobody knows, with the closest one that exists."""
    name = argument.lstrip("-").split("=")[0]
    return f"unknown flag --{name}{closest(name, known, lead='--') or '; --help lists them'}"
