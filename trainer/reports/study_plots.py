"""Plots of a search as inline SVG, in the look of `trainer.reports.svg`."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter
from optuna.trial import FrozenTrial

from flags.search_space import Dimension
from trainer.reports.svg import ACCENT, INK, MUTED, SETTINGS, inline_svg


def history(trials: Sequence[FrozenTrial], *, monitor: str, minimize: bool) -> str:
    """Draws the score of each finished trial and the best so far."""
    numbers = [trial.number for trial in trials]
    values = _values(trials)
    best = list(itertools.accumulate(values, min if minimize else max))
    with style.context(["default", SETTINGS]):
        figure = Figure(figsize=(5, 3.4))
        axes = figure.subplots()
        axes.plot(numbers, best, color=ACCENT, drawstyle="steps-post", label="best so far")
        axes.plot(numbers, values, "o", color=INK, markersize=4, label="trial")
        axes.set(xlabel="trial", ylabel=monitor)
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.legend(loc="best")
        alt = f"{monitor} of {len(trials)} trials in their order; the best is {best[-1]:.4f}."
        return inline_svg(figure, name="history", alt=alt)


def importance(fractions: Mapping[str, float]) -> str:
    """Draws a bar for the fraction of each flag, 0..1, the largest on top."""
    names = list(fractions)[::-1]
    with style.context(["default", SETTINGS]):
        figure = Figure(figsize=(5, 0.8 + 0.45 * len(names)))
        axes = figure.subplots()
        axes.barh(names, [fractions[name] for name in names], color=ACCENT, height=0.6)
        axes.set(xlim=(0, 1), xlabel="fraction of the variance of the scores")
        axes.grid(visible=False, axis="y")
        listed = ", ".join(f"{name} {fraction:.2f}" for name, fraction in fractions.items())
        return inline_svg(figure, name="importance", alt=f"Importance: {listed}.")


def slice_of(trials: Sequence[FrozenTrial], dimension: Dimension, *, monitor: str) -> str:
    """Draws the score of each finished trial over its value of one flag."""
    named = dimension.kind == "choices"
    places = [
        dimension.values.index(trial.params[dimension.name])
        if named
        else trial.params[dimension.name]
        for trial in trials
    ]
    with style.context(["default", SETTINGS]):
        figure = Figure(figsize=(3.6, 3))
        axes = figure.subplots()
        axes.plot(places, _values(trials), "o", color=ACCENT, alpha=0.7)
        axes.set_title(dimension.name, loc="left", fontsize=10.5, fontweight="bold")
        axes.set_ylabel(monitor, color=MUTED)
        if named:
            axes.set_xticks(range(len(dimension.values)), [str(v) for v in dimension.values])
            axes.set_xlim(-0.5, len(dimension.values) - 0.5)
        elif dimension.kind == "log":
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter(NullFormatter())
        elif dimension.kind == "int":
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        alt = f"{monitor} of {len(trials)} trials over {dimension.name}."
        return inline_svg(figure, name=f"slice-{dimension.name}", alt=alt)


def _values(trials: Sequence[FrozenTrial]) -> list[float]:
    return [trial.value for trial in trials if trial.value is not None]
