"""Flags of a search: what to vary, what to try next, how many trials."""

from __future__ import annotations

import dataclasses

from flags.fields import Flags, flag

SAMPLERS = {
    "tpe": "what did well so far, tree-structured Parzen estimators",
    "random": "at random",
    "grid": "every combination",
}
PRUNERS = {
    "none": "every trial is trained to its end",
    "median": "a trial worse than the median of the others at the same epoch is stopped",
}


@dataclasses.dataclass(frozen=True)
class Search(Flags):
    """A search for the flags that do best on the validation images."""

    space: str | None = flag(
        None,
        "File that names what to search, with lines such as 'dropout = 0 0.2 0.5'.",
        identity=False,
        searchable=False,
        place=True,
    )
    sampler: str = flag("tpe", "What to try next", choices=SAMPLERS, searchable=False)
    pruner: str = flag("none", "Which trials to stop early", choices=PRUNERS, searchable=False)
    trials: int = flag(
        20, "Trials of a search, all together.", low=1, identity=False, searchable=False
    )
    processes: int = flag(1, "Trials at a time.", low=1, identity=False, searchable=False)
