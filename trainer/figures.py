"""The report's figures as inline SVG that takes its colours from the page's style sheet.

svg = histogram(labels, probabilities, names=("benign", "malignant"), threshold=0.5)

A figure names its colours by CSS variables (--ink, --class0, ...), so one drawing serves a light
and a dark page and print, and leaves its text as text in the page's own font.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from trainer import intervals, metrics
from trainer.intervals import Floats

INK, MUTED, RULE, ACCENT = "#1b1c1d", "#65686b", "#d8dadc", "#5e4b9c"
CLASSES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe & Ito, Color Universal Design, 2008: safe for the colour-blind."""
VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    RULE: "--rule",
    ACCENT: "--accent",
    **{colour: f"--class{label}" for label, colour in enumerate(CLASSES)},
}
SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "text.parse_math": False,
    "text.color": INK,
    "font.size": 10.5,
    "figure.facecolor": "none",
    "figure.constrained_layout.use": True,
    "axes.facecolor": "none",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}
GRID = np.linspace(0, 1, 201)
"""False positive rates at which the band of the ROC curve is drawn."""
BINS = np.linspace(0, 1, 21)


def roc(
    labels: NDArray[np.int64],
    probabilities: Floats,
    patients: NDArray[np.str_],
    *,
    threshold: float,
    alt: str,
) -> str:
    """Draws the ROC curve with its 95 % band, the diagonal and the point at the threshold.

    Args:
        labels: [films], 0 or 1, both present.
        probabilities: [films], of label 1, 0..1.
        patients: [films], for the resamples.
        threshold: probability above which a film counts as label 1.
        alt: what the figure shows, in words.
    """
    low, high = roc_band(labels, probabilities, patients, at=GRID)
    once = np.ones((1, len(labels)))
    ((across, up),) = roc_curves(labels, probabilities, once)
    point = metrics.measure(labels, probabilities, once, threshold=threshold)
    with style.context(["default", SETTINGS]):
        figure = Figure(figsize=(5, 5))
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=MUTED, linestyle=(0, (4, 4)), linewidth=1, label="chance")
        axes.fill_between(GRID, low, high, color=ACCENT, alpha=0.2, linewidth=0, label="95 % band")
        axes.plot(across, up, color=ACCENT, label="this model")
        axes.plot(
            1 - point["specificity"],
            point["recall"],
            color=INK,
            marker="o",
            linestyle="none",
            label=f"threshold {threshold}",
        )
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
        axes.set(xlabel="1 \u2212 specificity", ylabel="sensitivity")
        axes.legend(loc="lower right")
        return inline_svg(figure, name="roc", alt=alt)


def roc_of_classes(
    labels: NDArray[np.int64], probabilities: Floats, *, names: Sequence[str], alt: str
) -> str:
    """Draws a ROC curve of each class against the rest, where it has films, and the diagonal.

    Args:
        labels: [films], 0..K-1.
        probabilities: [films, K].
        names: of the classes.
        alt: what the figure shows, in words.
    """
    once = np.ones((1, len(labels)))
    with style.context(["default", SETTINGS]):
        figure = Figure(figsize=(5, 5))
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=MUTED, linestyle=(0, (4, 4)), linewidth=1, label="chance")
        for label, name in enumerate(names):
            truth = (labels == label).astype(np.int64)
            for across, up in roc_curves(truth, probabilities[:, label], once):
                axes.plot(across, up, color=CLASSES[label], label=name)
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
        axes.set(xlabel="1 \u2212 specificity", ylabel="sensitivity")
        axes.legend(loc="lower right")
        return inline_svg(figure, name="roc", alt=alt)


def histogram_of_classes(
    labels: NDArray[np.int64], probabilities: Floats, *, names: Sequence[str], alt: str
) -> str:
    """Draws how probable the model took the true class to be, for the films [films, K] of each."""
    with style.context(["default", SETTINGS]):
        figure = Figure(figsize=(5, max(5, 1.3 * len(names))))
        rows: Sequence[Axes] = figure.subplots(len(names), sharex=True, sharey=True)
        for label, axes in enumerate(rows):
            chosen = probabilities[labels == label, label]
            axes.hist(chosen, bins=BINS.tolist(), color=CLASSES[label], rwidth=0.9)
            _title(axes, f"truly {names[label]} ({len(chosen)})", CLASSES[label])
        rows[-1].set(xlim=(0, 1), xlabel="probability of the true class")
        return inline_svg(figure, name="histogram", alt=alt)


def histogram(
    labels: NDArray[np.int64],
    probabilities: Floats,
    *,
    names: Sequence[str],
    threshold: float,
    alt: str,
) -> str:
    """Draws how many films of each class, one above the other, got which probability."""
    with style.context(["default", SETTINGS]):
        figure = Figure(figsize=(5, 5))
        rows: Sequence[Axes] = figure.subplots(2, sharex=True, sharey=True)
        for label, axes in enumerate(rows):
            chosen = probabilities[labels == label]
            axes.hist(chosen, bins=BINS.tolist(), color=CLASSES[label], rwidth=0.9)
            axes.axvline(threshold, color=INK, linestyle=(0, (4, 4)), linewidth=1)
            _title(axes, f"truly {names[label]} ({len(chosen)})", CLASSES[label])
        rows[1].set(xlim=(0, 1), xlabel=f"probability of {names[1]}")
        return inline_svg(figure, name="histogram", alt=alt)


def _title(axes: Axes, text: str, colour: str) -> None:
    """Dresses one row of a histogram."""
    axes.set_title(text, loc="left", fontsize=10.5, fontweight="bold", color=colour)
    axes.set_ylabel("films")
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))


def curve(
    title: str,
    *,
    epochs: Floats,
    training: Floats,
    validation: Floats,
    boundaries: Sequence[float],
    alt: str,
) -> str:
    """Draws one measure over the epochs, [epochs] each, NaN where it was not measured.

    Args:
        title: name of the measure; also names the drawing.
        epochs: number of each epoch, from 1 on.
        training: the measure on the training films.
        validation: the same on the validation films.
        boundaries: between which epochs a new phase starts, such as 10.5.
        alt: what the figure shows, in words.
    """
    marker = "o" if len(epochs) < 3 else None
    with style.context(["default", SETTINGS]):
        figure = Figure(figsize=(3.6, 3.2))
        axes = figure.subplots()
        axes.plot(
            epochs,
            training,
            color=MUTED,
            linestyle=(0, (3, 1.5)),
            marker=marker,
            label="training",
        )
        axes.plot(epochs, validation, color=ACCENT, marker=marker, label="validation")
        for number, boundary in enumerate(boundaries, start=2):
            axes.axvline(boundary, color=INK, linewidth=0.9, linestyle=(0, (1, 2)))
            axes.text(
                boundary,
                1,
                f"\u00a0phase {number}",
                transform=axes.get_xaxis_transform(),
                va="top",
                fontsize=9,
            )
        axes.set(xlim=(epochs[0] - 0.5, epochs[-1] + 0.5), xlabel="epoch")
        axes.set_title(title, loc="left", fontsize=10.5, fontweight="bold")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
        return inline_svg(figure, name=re.sub(r"\W+", "-", title.lower()), alt=alt)


def roc_curves(
    labels: NDArray[np.int64], probabilities: Floats, weights: Floats
) -> Iterator[tuple[Floats, Floats]]:
    """Computes a ROC curve for each row of weights [rows, films] in which both classes weigh.

    Yields:
        (false positive rate, true positive rate), [distinct probabilities + 1] each, from 0 to 1.
    """
    negatives, positives = intervals.weights_by_score(labels, probabilities, weights)
    for pair in zip(negatives[:, ::-1], positives[:, ::-1], strict=True):
        across, up = (np.concatenate([[0.0], np.cumsum(one)]) for one in pair)
        if across[-1] > 0 and up[-1] > 0:
            yield across / across[-1], up / up[-1]


def roc_band(
    labels: NDArray[np.int64], probabilities: Floats, patients: NDArray[np.str_], *, at: Floats
) -> tuple[Floats, Floats]:
    """Computes the 95 % band of the true positive rate at the false positive rates `at` [n].

    Pointwise percentiles over the resamples of `metrics.bootstrap`; needs films of both classes.
    """
    rates = [
        np.interp(at, across, up)
        for weights in intervals.resample(
            patients, resamples=intervals.RESAMPLES, seed=intervals.SEED
        )
        for across, up in roc_curves(labels, probabilities, weights)
    ]
    low, high = np.percentile(np.array(rates), intervals.PERCENTILES, axis=0)
    return low, high


def inline_svg(figure: Figure, *, name: str, alt: str) -> str:
    """Turns a figure into an <svg> for inlining: own ids, page colours, no outside address."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<svg [^>]*viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1">', svg, count=1)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = svg.replace("url(#", f"url(#{name}-").replace('xlink:href="#', f'href="#{name}-')
    for colour, variable in VARIABLES.items():
        svg = svg.replace(f": {colour}", f": var({variable}, {colour})")
    label = html.escape(alt)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1).strip()
