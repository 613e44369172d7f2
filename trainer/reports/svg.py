"""Matplotlib figures -> inline SVG that takes its colours from the page's style sheet.

svg = histogram(labels, probabilities, names=("benign", "malignant"), threshold=0.5)

A figure names its colours by CSS variables (--ink, --class0, ...), so one drawing serves a light
and a dark page and print, and leaves its text as text in the page's own font.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Sequence

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from trainer.metrics.intervals import Floats

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
BINS = np.linspace(0, 1, 21)


def histogram_of_classes(
    labels: NDArray[np.int64], probabilities: Floats, *, names: Sequence[str], alt: str
) -> str:
    """Draws how probable the model took the true class of each image to be, [images, K]."""
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
    """Draws how many images of each class, one above the other, got which probability."""
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
    axes.set_ylabel("images")
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
        training: the measure on the training images.
        validation: the same on the validation images.
        boundaries: between which epochs a new phase starts, such as 10.5.
        alt: what the figure shows, in words.
    """
    marker = "o" if len(epochs) < 3 else None
    with style.context(["default", SETTINGS]):
        figure = Figure(figsize=(3.6, 3.2))
        axes = figure.subplots()
        axes.plot(
            epochs, training, color=MUTED, linestyle=(0, (3, 1.5)), marker=marker, label="training"
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
