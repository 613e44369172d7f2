"""Subcommands of a program: each is a module of one package, with its flags and what it does.

verbs.run("trainer.commands", program="python -m trainer", default="train", about=__doc__)

A verb is a module that defines `Config`, a dataclass of flags, and `run(config) -> exit code`; the
first paragraph of its docstring is its line in the list. A field `arguments` of Config takes what
stands beside the flags, a field `passed_on` also the flags that are not the verb's. Modules load
no slow library before `run`, so that help and mistakes come at once.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import pkgutil
import sys
from types import ModuleType

from absl import flags

from flags import command_line, fields

_FEW = 12
"""Flags of a verb that an error message may list."""


@dataclasses.dataclass(frozen=True)
class Verbs:
    """The verbs of one program.

    Attributes:
        package: dotted name of the package whose modules they are.
        program: how the program is called.
        default: the verb of a command line that names none.
    """

    package: str
    program: str
    default: str

    def find(self, name: str) -> ModuleType | None:
        """Imports the module of a verb; None where there is no such verb."""
        path = f"{self.package}.{name}"
        if not name.isidentifier() or importlib.util.find_spec(path) is None:
            return None
        module = importlib.import_module(path)
        return module if hasattr(module, "Config") else None

    def all(self) -> dict[str, ModuleType]:
        """Imports every verb, the default one first."""
        package = importlib.import_module(self.package)
        names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
        names.sort(key=lambda name: name != self.default)
        return {name: module for name in names if (module := self.find(name)) is not None}

    def list(self) -> str:
        """Writes a line for each verb, the first paragraph of its module's docstring."""
        return "\n".join(f"  {name:<16}{_summary(module)}" for name, module in self.all().items())

    def describe_unknown_verb(self, name: str) -> str:
        """Writes the line for a word that is no verb: the nearest one, and all."""
        known = list(self.all())
        hint = fields.closest(name, known) or ";"
        return (
            f"{name!r} is no command of {self.program}{hint} commands are {', '.join(known)}; "
            "flags are written --name=value"
        )

    def describe_stray(self, word: str) -> str:
        """Writes the line for a word beside the flags of a verb that takes none."""
        if self.find(word) is None:
            return command_line.describe_stray(word)
        return f"the command comes first: {self.program} {word} ..."

    def describe_unknown_flag(self, flag: str, verb: str, value: str = "") -> str:
        """Writes the line for a flag that the verb lacks: whose it is, or the closest one.

        Args:
            flag: its name.
            verb: what was to be done.
            value: of --mode, which named the verb before there were words.
        """
        every = self.all()
        if flag == "mode":
            known = "" if value in every else f"; commands are {', '.join(every)}"
            return f"--mode is gone: {self._usage(value, every.get(value))}{known}"
        owners = [
            other
            for other, module in every.items()
            if {flag, flag.removeprefix("no")} & set(fields.flags_of(module.Config))
        ]
        own = list(fields.flags_of(every[verb].Config))
        if verb in owners:  # absl takes --noNAME for flags that are true or false alone
            return f"unknown flag --{flag}; --{flag.removeprefix('no')} takes a value"
        if flag == "threshold":
            return (
                "unknown flag --threshold; it is chosen on the validation images, see "
                "calibration.json; for another one, read the probabilities of predictions.csv"
            )
        if not owners:
            theirs = [name for module in every.values() for name in fields.flags_of(module.Config)]
            near = fields.closest(flag, own) or set(command_line.called_elsewhere(flag)) & set(own)
            return command_line.describe_unknown(flag, own if near else theirs)
        takes = ", ".join(f"--{name}" for name in own)
        hint = f"; {verb} takes {takes}" if len(own) <= _FEW else ""
        return f"--{flag} belongs to: {self.program} {'|'.join(owners)}{hint}"

    def _usage(self, name: str, module: ModuleType | None) -> str:
        run = " --run=RUN" if module and "run" in fields.flags_of(module.Config) else ""
        word = name if module else "COMMAND"
        return f"{self.program}{'' if word == self.default else f' {word}'}{run} ..."


def run(verbs: Verbs, *, about: str) -> None:
    """Runs the verb that the first word of the command line names, and exits with its code."""
    program, *words = sys.argv
    named = bool(words) and not words[0].startswith("-")
    verb = words.pop(0) if named else verbs.default
    module = verbs.find(verb)
    if module is None:
        command_line.end(verbs.describe_unknown_verb(verb))
    config: type[fields.Flags] = module.Config
    taken = {field.name for field in dataclasses.fields(config)}

    def start(rest: list[str]) -> int:
        if rest and not taken & {"arguments", "passed_on"}:
            command_line.end(verbs.describe_stray(rest[0]))
        given = {
            name: fields.expand_home(tuple(rest)) for name in taken & {"arguments", "passed_on"}
        }
        code: int = module.run(fields.from_flags(config, flags.FLAGS, **given))
        return code

    def describe() -> str:
        if named:
            return (module.__doc__ or "").strip()
        return f"{about.strip()}\n\ncommands:\n{verbs.list()}\n\nflags of {verb}:"

    command_line.run(
        start,
        lambda: fields.define(config),
        argv=[program, *words],
        about=describe,
        unknown=lambda flag: verbs.describe_unknown_flag(flag, verb, _value_of(flag, words)),
        pass_unknown="passed_on" in taken,
        arguments=None,
    )


def _value_of(flag: str, words: list[str]) -> str:
    """Returns the value of a flag, written --flag=value or --flag value; "" if there is none."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, equals, value = word.lstrip("-").partition("=")
        if name == flag:
            return value if equals else following
    return ""


def _summary(module: ModuleType) -> str:
    return " ".join((module.__doc__ or "").strip().partition("\n\n")[0].split())
