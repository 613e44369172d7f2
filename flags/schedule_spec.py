"""The language of --schedule: how the learning rate falls over the epochs of a phase.

  constant    step:factor=0.5:every=10    exponential:rate=0.99    cosine:end=0.01

A schedule is `name[:parameter=value]*`; what is left out has its default. The arithmetic stands in
`trainer.training.optimizers`.
"""

from __future__ import annotations

from flags.spec import Kind, Language, Parameter, Spec
from records.errors import CallerError

_END = {"end": Parameter(0.0, 0, 1, "fraction of the rate that is left after the last epoch")}
# a rate of 0 trains nothing: only what is left at the very end may be 0
SCHEDULES = {
    "constant": Kind(),
    "step": Kind(
        parameters={
            "factor": Parameter(0.5, 0, 1, "what the rate is multiplied by", above=True),
            "every": Parameter(10, 1, 10_000, "epochs between two cuts"),
        }
    ),
    # Abdelhafiz et al. 2019 report rates that decay by 0.99 an epoch
    "exponential": Kind(
        parameters={
            "rate": Parameter(0.99, 0, 1, "what each epoch multiplies the rate by", above=True)
        }
    ),
    "linear": Kind(parameters=_END),
    "sqrt": Kind(),
    "cosine": Kind(parameters=_END),
}
"""Name -> its parameters."""
_LANGUAGE = Language("schedule", "schedule", SCHEDULES)


def parse(text: str) -> Spec:
    """Reads a schedule.

    Raises:
        CallerError: one line saying what is wrong with it and what would do.
    """
    schedule, *more = _LANGUAGE.read(text)
    if more:
        raise CallerError(f"--schedule={text} names {1 + len(more)} schedules; keep one")
    return schedule


def describe() -> str:
    """Writes the help of --schedule."""
    forms = [
        name + "".join(f"[:{key}={one.default}]" for key, one in kind.parameters.items())
        for name, kind in SCHEDULES.items()
    ]
    about = {key: one.about for kind in SCHEDULES.values() for key, one in kind.parameters.items()}
    return (
        f"How the learning rate falls from epoch to epoch of a phase: {', '.join(forms)}. "
        + "; ".join(f"{key}: {text}" for key, text in about.items())
        + "."
    )
