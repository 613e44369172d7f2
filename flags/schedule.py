"""The language of --schedule: how the learning rate falls over the epochs of a phase.

  constant    step:factor=0.5:every=10    exponential:rate=0.99    cosine:end=0.01

A schedule is `name[:parameter=value]*`; what is left out has its default.
"""

from __future__ import annotations

import dataclasses
import math

from flags import fields
from flags.steps import Parameter
from records.errors import CallerError

_END = {"end": Parameter(0.0, 0, 1, "fraction of the rate that is left after the last epoch")}
SCHEDULES: dict[str, dict[str, Parameter]] = {
    "constant": {},
    "step": {
        "factor": Parameter(0.5, 0, 1, "what the rate is multiplied by"),
        "every": Parameter(10, 1, 10_000, "epochs between two cuts"),
    },
    # Abdelhafiz et al. 2019 report rates that decay by 0.99 an epoch
    "exponential": {"rate": Parameter(0.99, 0, 1, "what each epoch multiplies the rate by")},
    "linear": _END,
    "sqrt": {},
    "cosine": _END,
}
"""Name -> its parameters."""


@dataclasses.dataclass(frozen=True)
class Schedule:
    """A schedule, complete.

    Attributes:
        name: key of `SCHEDULES`.
        parameters: value of every parameter of it.
    """

    name: str
    parameters: dict[str, float]

    def fraction(self, epoch: int, *, epochs: int) -> float:
        """Returns the part of the learning rate, 0 to 1, that an epoch is trained with.

        Args:
            epoch: counted from the first one after the warm-up, 0 to epochs - 1.
            epochs: how many there are at most.
        """
        given, progress = self.parameters, epoch / epochs
        match self.name:
            case "step":
                return given["factor"] ** (epoch // int(given["every"]))
            case "exponential":
                return given["rate"] ** epoch
            case "linear":
                return 1 - (1 - given["end"]) * progress
            case "sqrt":
                return 1 / math.sqrt(1 + epoch)
            case "cosine":  # Loshchilov and Hutter 2017, equation 5, one cycle
                return given["end"] + (1 - given["end"]) * (1 + math.cos(math.pi * progress)) / 2
        return 1.0


def parse(text: str) -> Schedule:
    """Reads a schedule.

    Raises:
        CallerError: one line saying what is wrong with it and what would do.
    """
    name, *words = "".join(text.split()).split(":")
    fields.check_name("schedule", name, SCHEDULES)
    known = SCHEDULES[name]
    values = {key: float(parameter.default) for key, parameter in known.items()}
    for word in words:
        key, _, value = word.partition("=")
        if key not in known:
            takes = ", ".join(f"{k}={p.default}" for k, p in known.items()) or "no parameter"
            raise CallerError(f"--schedule={text}: {name} has no '{key}'; it takes {takes}")
        whole = isinstance(known[key].default, int)
        try:
            number = float(int(value) if whole else value)
        except ValueError:
            number = math.nan
        # a rate of 0 trains nothing: only what is left at the very end may be 0
        if not known[key].low <= number <= known[key].high or (number == 0 and key != "end"):
            kind = "a whole number" if whole else "a number"
            raise CallerError(
                f"--schedule={text}: {word} is not {kind} from {known[key].range}"
                f"{'' if key == 'end' else ' and more than 0'}"
            )
        values[key] = number
    return Schedule(name, values)


def describe() -> str:
    """Writes the help of --schedule."""
    forms = [
        name + "".join(f"[:{key}={parameter.default}]" for key, parameter in known.items())
        for name, known in SCHEDULES.items()
    ]
    about = {
        key: parameter.about for known in SCHEDULES.values() for key, parameter in known.items()
    }
    return (
        f"How the learning rate falls from epoch to epoch of a phase: {', '.join(forms)}. "
        + "; ".join(f"{key}: {text}" for key, text in about.items())
        + "."
    )
