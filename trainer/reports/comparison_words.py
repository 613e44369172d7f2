"""Text of a comparison: comparison.json -> sentences and a table for the terminal.

lines = [*table(content), *content["sentences"]]
"""

from __future__ import annotations

from collections.abc import Sequence

from records.printable import counted
from trainer.evaluation.comparison_json import ComparedRuns, Comparison, Difference
from trainer.evaluation.paired_comparison import ALPHA
from trainer.metrics.metric_table import BY_KEY


def title(measure: str) -> str:
    """Names a metric within a sentence."""
    return BY_KEY[measure].title


def heading(measure: str) -> str:
    """Names a metric over a column or a plot."""
    return BY_KEY[measure].heading


def describe(comparison: Comparison, baseline: str) -> str:
    """Writes which differences of a run from the baseline are more than noise, which unknown."""
    metrics = comparison.metrics
    tested = {name: p for name, metric in metrics.items() if (p := metric.p) is not None}
    sure = [name for name in tested if metrics[name].more_than_noise]
    alone = [name for name, p in tested.items() if name not in sure and p < ALPHA]
    same = [name for name in tested if metrics[name].interval == (0, 0)]
    open_ = [name for name in tested if name not in (*sure, *alone, *same)]
    unknown = [name for name in metrics if name not in tested]
    clauses = []
    if len(same) == len(metrics):
        clauses.append("every metric is the same, in nearly every resample")
    elif sure:
        clauses.append(f"more than noise: {_differences(sure, metrics)}")
    elif tested:
        clauses.append("no difference is more than noise")
    if alone:
        clauses.append(
            f"{_differences(alone, metrics)} might count if no other test had been made, "
            "not among all of this comparison"
        )
    if open_:
        shown = "auc" if "auc" in open_ else open_[0]
        low, high = map(signed, metrics[shown].interval or ())
        clauses.append(
            f"no difference shown in {_list(open_)}, which does not make them equal: in "
            f"{title(shown)} anything from {low} to {high} fits these {comparison.unit}s"
        )
    if same and len(same) < len(metrics):
        clauses.append(f"the same in nearly every resample: {_list(same)}")
    if unknown:
        clauses.append(f"nothing is known of {_list(unknown)}")
    images = _images(comparison, baseline)
    return f"{comparison.run} against {baseline}, {images}: {'; '.join(clauses)}."


def signed(difference: float) -> str:
    """Writes a difference with its sign; what rounds to nothing has no minus."""
    return f"{round(difference, 3) + 0.0:+.3f}"


def sum_up(comparisons: Sequence[Comparison], baseline: str) -> list[str]:
    """Writes it for each run; of several, first which differ at all."""
    sentences = [describe(one, baseline) for one in comparisons]
    if len(comparisons) < 2:
        return sentences
    differ = [
        one.run
        for one in comparisons
        if any(metric.more_than_noise for metric in one.metrics.values())
    ]
    which = f": {', '.join(differ)}" if differ else ""
    first = (
        f"Of {len(comparisons)} runs {len(differ) or 'none'} "
        f"{'differ' if len(differ) > 1 else 'differs'} from {baseline} by more than noise in any "
        f"metric{which}."
    )
    return [first, *sentences]


def table(content: ComparedRuns) -> list[str]:
    """Lays runs and metrics out as lines of text; an asterisk marks what is more than noise."""
    differences = {one.run: one.metrics for one in content.comparisons}
    rows = [["", f"{content.unit}s", *map(title, content.measures)]]
    for run in content.runs:
        cells = [
            _cell(run.scores[name].value, differences.get(run.name, {}).get(name))
            for name in content.measures
        ]
        rows.append([run.name, str(run.images), *cells])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _cell(value: float | None, difference: Difference | None) -> str:
    text = "-" if value is None else f"{value:.3f}"
    if difference is None or difference.value is None:
        return text
    return f"{text} {signed(difference.value)}{'*' if difference.more_than_noise else ''}"


def _differences(names: list[str], metrics: dict[str, Difference]) -> str:
    parts = []
    for name in names:
        value, low, high = (signed(getattr(metrics[name], key)) for key in ("value", "low", "high"))
        parts.append(f"{title(name)} {value} (95 % {low} to {high})")
    return ", ".join(parts)


def _images(comparison: Comparison, baseline: str) -> str:
    images = counted(comparison.images, f"{comparison.unit}s")
    where = f"{images} of {counted(comparison.patients, 'patients')}"
    if comparison.same_images:
        return f"the same {where}"
    first, second = comparison.not_shared
    apart = f"{first} more of {baseline}, {second} more of {comparison.run}"
    if comparison.labels_differ:
        apart += f", {comparison.labels_differ} left out whose labels differ"
    return f"the only common {where} ({apart})"


def _list(names: list[str]) -> str:
    *first, last = map(title, names)
    return f"{', '.join(first)} and {last}" if first else last
