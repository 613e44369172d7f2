"""Plots of a comparison: for each metric, the difference of every run from the baseline.

panels = draw(content)  # of comparison.json
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Literal

from markupsafe import Markup
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from records.printable import printable
from trainer.evaluation.comparison_json import ComparedRuns, Difference
from trainer.reports import svg
from trainer.reports.comparison_words import heading, signed

STEP = 0.05
"""The axis reaches a multiple of this to either side."""
NAME = 40
"""Letters of a run's name that fit on a panel."""


@dataclasses.dataclass(frozen=True)
class Row:
    """A run of a panel: its name, its difference, and that of the published values if known."""

    name: str
    difference: Difference
    published: float | None


def draw(content: ComparedRuns) -> list[Markup]:
    """Draws a panel for each metric, all on one scale; none where nothing is compared."""
    published = _published_differences(content)
    rows = {
        measure: [
            Row(
                one.run,
                one.metrics[measure],
                published.get(one.run) if measure == "accuracy" else None,
            )
            for one in content.comparisons
        ]
        for measure in content.measures
    }
    ends = [
        abs(value)
        for row in itertools.chain(*rows.values())
        for value in (row.difference.value, *(row.difference.interval or ()), row.published)
        if value is not None
    ]
    reach = STEP * math.ceil(max([STEP, *ends]) / STEP + 0.2)
    return [
        Markup(_draw(measure, some, reach=reach, baseline=str(content.baseline)))
        for measure, some in rows.items()
        if some
    ]


def _published_differences(content: ComparedRuns) -> dict[str, float]:
    """Published accuracy of each run less that of the baseline, where both are published."""
    accuracy = {
        run.name: run.published.accuracy / 100
        for run in content.runs
        if run.published and run.published.accuracy is not None
    }
    if content.baseline not in accuracy:
        return {}
    return {name: value - accuracy[content.baseline] for name, value in accuracy.items()}


def _draw(measure: str, rows: Sequence[Row], *, reach: float, baseline: str) -> str:
    """Draws one panel: a line for each run, its name above its interval."""
    differences = "; ".join(f"{row.name} {_write(row.difference)}" for row in rows)
    with style.context(["default", svg.SETTINGS]):
        figure = Figure(figsize=(3.6, 0.9 + 0.5 * len(rows)))
        axes = figure.subplots()
        axes.axvline(0, color=svg.INK, linewidth=1)
        for place, row in enumerate(rows):
            _draw_row(axes, place, row)
            short = row.name if len(row.name) <= NAME else f"\u2026{row.name[-NAME:]}"
            axes.text(
                -reach, place - 0.3, printable(short), fontsize=9, parse_math=False
            ).set_in_layout(False)
        axes.set(xlim=(-reach, reach), ylim=(len(rows) - 0.5, -0.8))
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_title(heading(measure), loc="left", fontsize=10.5, fontweight="bold")
        return svg.inline_svg(
            figure,
            name=f"difference-{measure}",
            alt=f"{heading(measure)} less that of {baseline}: {differences}.",
        )


def _write(difference: Difference) -> str:
    """Writes a difference with its interval."""
    if difference.value is None:
        return "not defined"
    ends = " to ".join(map(signed, difference.interval or ()))
    return signed(difference.value) + (f" ({ends})" if ends else "")


def _draw_row(axes: Axes, place: int, row: Row) -> None:
    """Draws the difference of one run, its interval and the published difference."""
    difference = row.difference
    if difference.value is None:
        axes.text(0, place, " not defined", va="center", fontsize=9, color=svg.MUTED)
        return
    sure = difference.more_than_noise
    colour = svg.ACCENT if sure else svg.MUTED
    if difference.interval is not None:
        axes.plot(difference.interval, [place, place], color=colour, linewidth=2)
    filled: Literal["full", "none"] = "full" if sure else "none"
    axes.plot(difference.value, place, "o", color=colour, fillstyle=filled, markersize=7)
    if row.published is not None:
        other = svg.CLASSES[1]
        axes.plot(row.published, place, "D", color=other, fillstyle="none", markersize=7)
