"""How both programs start and how they end: help, one line for a caller's mistake, exit codes.

Exit codes: 0 done, or stopped as configured; 1 done, but more than allowed went wrong; 2 a caller's
mistake; 130 interrupted.
"""

from __future__ import annotations

import os
import pathlib
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn

from absl import app, flags

from flags import interrupts, terminal
from flags.fields import closest
from records import user_text, version
from records.errors import CallerError, OutOfTime
from records.printable import printable

_HELP = ("--help", "-help", "-h", "--helpfull", "--helpshort")

_ELSEWHERE = {
    "epochs epoch num_epochs n_epochs": ("phase1_epochs", "phase2_epochs"),
    "lr learning_rate rate": ("phase1_learning_rate", "phase2_learning_rate"),
    "patience early_stopping": ("phase1_patience", "phase2_patience"),
    "batch bs batchsize": ("batch_size",),
    "model network backbone arch": ("base", "run"),
    "checkpoint model_path pretrained": ("weights", "run"),
    "data input input_dir records tfrecords": ("data_dir", "dataset_dir"),
    "out output out_dir": ("output_dir", "run_dir"),
    "size image_size img_size": ("sizes",),
    "gpu gpus device devices": ("strategy",),
    "label task": ("target",),
    "amp fp16 dtype": ("precision",),
}
"""What other programs call a flag -> what it is called here, where the program has it."""
_WANTED = {"bool": "true or false", "int": "a whole number", "float": "a number"}
"""Type of a flag, as absl names it -> what its value has to be."""


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
    interrupts.install()
    terminal.prepare()
    # libraries' advice to developers, TensorFlow's C++ start-up notes and Beam's bookkeeping are no
    # news to anybody
    warnings.filterwarnings("ignore", category=FutureWarning)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    before = set(flags.FLAGS)
    define()
    for name in set(flags.FLAGS) - before:  # what --help lists
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flags.FLAGS[name])

    def parse(given: Sequence[str]) -> list[str]:
        _answer_questions(given, about)
        try:
            rest = flags.FLAGS(expand_flagfiles(given), known_only=pass_unknown)
        except flags.UnrecognizedFlagError as error:
            name = error.flagname
            end(unknown(name) if unknown else describe_unknown(name, flags.FLAGS))
        except flags.Error as error:
            end(_describe_wrong(error))
        if not pass_unknown and arguments is not None and len(rest) > 1 + arguments:
            end(describe_stray(rest[1 + arguments]))
        return list(rest)

    given = list(argv) if argv is not None else None
    app.run(lambda rest: _exit_code(program, rest[1:]), given, flags_parser=parse)


def _answer_questions(given: Sequence[str], about: Callable[[], str] | None) -> None:
    """Prints what --version or --help ask for, and exits."""
    if "--version" in given[1:]:
        print(version.PROGRAM)
        sys.exit(0)
    if set(_HELP).intersection(given):
        print(about() if about else (sys.modules["__main__"].__doc__ or "").strip())
        print(flags.FLAGS.main_module_help().partition(":\n")[2])  # without the path
        sys.exit(0)


def _exit_code(program: Callable[[list[str]], int], arguments: list[str]) -> int:
    """Runs the program; a caller's mistake, or the machine's, is one line."""
    try:
        return program(arguments)
    except CallerError as error:
        end(str(error))
    except OSError as error:
        if error.strerror is None or isinstance(error, BrokenPipeError):
            raise
        place = f"{error.filename}: " if error.filename else ""
        end(f"{place}{error.strerror}; mend that, then give the same command again")
    except OutOfTime as stop:
        print(stop)
        return 0
    except KeyboardInterrupt:
        interrupts.leave()  # threads of Beam and TensorFlow may still be at work


def expand_flagfiles(given: Sequence[str], inside: tuple[str, ...] = ()) -> list[str]:
    """Replaces --flagfile=FILE by the flags in it, as absl does, in any encoding.

    Args:
        given: words of a command line.
        inside: the files in which these words stand.
    """
    words = list(given)
    expanded: list[str] = []
    while words:
        word = words.pop(0)
        if word == "--":
            return [*expanded, word, *words]
        name, equals, path = word.partition("=")
        if name not in ("--flagfile", "-flagfile"):
            expanded.append(word)
            continue
        path = path if equals else (words.pop(0) if words else "")
        if path and path not in inside:  # a file that names itself is read once
            lines = map(str.strip, _read_flagfile(path).splitlines())
            flags_of_file = [line for line in lines if line and not line.startswith(("#", "//"))]
            expanded += expand_flagfiles(flags_of_file, (*inside, path))
    return expanded


def _read_flagfile(path: str) -> str:
    try:
        return user_text.read(pathlib.Path(path).expanduser())
    except (OSError, CallerError) as error:
        end(f"--flagfile={path} can't be read: {getattr(error, 'strerror', None) or error}")


def end(message: str) -> NoReturn:
    """Prints a caller's mistake in one line and exits with code 2."""
    print(f"error: {printable(message)}", file=sys.stderr)
    sys.exit(2)


def describe_stray(argument: str) -> str:
    """Writes the line for an argument nobody takes."""
    return f"argument {argument!r} is not a flag; flags are written --name=value"


def _describe_wrong(error: flags.Error) -> str:
    """Writes the line for a flag of which absl can't take the value."""
    line = " ".join(str(error).split())
    if name := line.partition("Missing value for flag ")[2]:
        return f"{name} has no value; flags are written --name=value"
    given = line.partition(": ")[0].removeprefix("flag ")
    name = given.partition("=")[0].removeprefix("--")
    wanted = _WANTED.get(flags.FLAGS[name].flag_type()) if name in flags.FLAGS else None
    return f"{given} is not {wanted}" if wanted else line


def describe_unknown(argument: str, known: Iterable[str]) -> str:
    """Writes the line for a flag nobody knows: what it is called here, else the closest one."""
    name, known = argument.lstrip("-").split("=")[0], set(known)
    if meant := [f"--{one}" for one in called_elsewhere(name) if one in known]:
        return f"unknown flag --{name}; did you mean {' and '.join(meant)}?"
    return (
        f"unknown flag --{name}{closest(name, sorted(known), lead='--') or '; --help lists them'}"
    )


def called_elsewhere(name: str) -> tuple[str, ...]:
    """Names the flags that other programs call so."""
    wanted = name.lower().replace("-", "_")
    return next((here for names, here in _ELSEWHERE.items() if wanted in names.split()), ())
