"""Plots of metrics: ROC, precision-recall and reliability curves -> inline SVG.

svg = roc(labels, probabilities, patients, points={"threshold 0.5": (0.2, 0.7)}, alt="...")
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from trainer.metrics import curves
from trainer.metrics.curves import Bin, Curve
from trainer.metrics.intervals import Floats
from trainer.reports.svg import ACCENT, CLASSES, INK, MUTED, SETTINGS, inline_svg

GRID = np.linspace(0, 1, 201)
"""Places across at which bands are drawn."""
DASHED = (0, (4, 4))
MARKERS = ("o", "D", "s")
Points = Mapping[str, tuple[float, float]]
"""What stands in the legend -> where, across and up."""
Labels = tuple[str, str]
"""What is written along the axes, across and up."""
LABELS = {
    "roc": ("1 \u2212 specificity (false alarms)", "sensitivity (found)"),
    "pr": ("recall (sensitivity)", "precision"),
}
_Draw = Callable[[Axes], None]


def roc(
    labels: NDArray[np.int64],
    probabilities: Floats,
    patients: NDArray[np.str_] | None,
    *,
    points: Points,
    alt: str,
) -> str:
    """Draws the ROC curve with its 95 % band, the diagonal and the points of thresholds.

    Args:
        labels: [images], 0 or 1, both present.
        probabilities: [images], of label 1, 0..1.
        patients: [images], for the resamples; None: no band.
        points: (1 - specificity, sensitivity) of each threshold.
        alt: what the figure shows, in words.
    """
    (curve,) = curves.roc_curves(labels, probabilities, np.ones((1, len(labels))))

    def draw(axes: Axes) -> None:
        _chance(axes)
        if patients is not None:
            computed = curves.roc_curves, curves.interpolate
            _fill(axes, curves.band(*computed, labels, probabilities, patients, at=GRID))
        axes.plot(*curve, color=ACCENT, label="this model")

    return _square("roc", draw, labels=LABELS["roc"], points=points, alt=alt)


def of_classes(
    kind: Literal["roc", "pr"],
    labels: NDArray[np.int64],
    probabilities: Floats,
    *,
    names: Sequence[str],
    alt: str,
) -> str:
    """Draws a curve of each class against the rest, where both have images.

    Args:
        kind: "roc", or "pr" for precision over recall.
        labels: [images], 0..K-1.
        probabilities: [images, K].
        names: of the classes.
        alt: what the figure shows, in words.
    """
    compute = curves.roc_curves if kind == "roc" else curves.precision_recall_curves
    once = np.ones((1, len(labels)))

    def draw(axes: Axes) -> None:
        if kind == "roc":
            _chance(axes)
        for label, name in enumerate(names):
            truth = (labels == label).astype(np.int64)
            for curve in compute(truth, probabilities[:, label], once):
                if kind == "roc":
                    axes.plot(*curve, color=CLASSES[label], label=name)
                else:
                    _steps(axes, curve, colour=CLASSES[label], label=name)

    return _square(kind, draw, labels=LABELS[kind], points={}, alt=alt)


def precision_recall(
    labels: NDArray[np.int64],
    probabilities: Floats,
    patients: NDArray[np.str_] | None,
    *,
    points: Points,
    alt: str,
) -> str:
    """Draws precision over recall with its 95 % band and the fraction of label 1, which is chance.

    Args: as `roc` has them; points are (recall, precision).
    """
    weights = np.ones((1, len(labels)))
    (curve,) = curves.precision_recall_curves(labels, probabilities, weights)

    def draw(axes: Axes) -> None:
        fraction = float(labels.mean())
        axes.axhline(
            fraction, color=MUTED, linestyle=DASHED, linewidth=1, label=f"chance {fraction:.2f}"
        )
        if patients is not None:
            computed = curves.precision_recall_curves, curves.step
            _fill(axes, curves.band(*computed, labels, probabilities, patients, at=GRID))
        _steps(axes, curve, colour=ACCENT, label="this model")

    return _square("pr", draw, labels=LABELS["pr"], points=points, alt=alt)


def _fill(axes: Axes, ends: tuple[Floats, Floats]) -> None:
    axes.fill_between(GRID, *ends, color=ACCENT, alpha=0.2, linewidth=0, label="95 % band")


def reliability(bins: Sequence[Bin], *, name: str, labels: Labels, alt: str) -> str:
    """Draws how often what was predicted came true: a dot for each bin, its area the images in it.

    Args:
        bins: of `trainer.metrics.curves.reliability`.
        name: of the drawing, its own on the page.
        labels: what stands across and up.
        alt: what the figure shows, in words.
    """
    middles = np.array([one.probability for one in bins])
    fractions = np.array([one.fraction for one in bins])
    low, high = np.array([(one.low, one.high) for one in bins]).T
    images = np.array([one.images for one in bins])
    few, many = images.min(), images.max()
    size = f"{few} images each" if few == many else f"{few} to {many} images each"

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=MUTED, linestyle=DASHED, linewidth=1, label="ideal")
        axes.vlines(
            middles, low, high, color=ACCENT, alpha=0.5, linewidth=2.5, label="95 % interval"
        )
        axes.scatter(middles, fractions, 60 * images / many, color=ACCENT, label=size, zorder=3)

    return _square(name, draw, labels=labels, points={}, alt=alt)


def _square(name: str, draw: _Draw, *, labels: Labels, points: Points, alt: str) -> str:
    """Draws a figure of rates, both axes 0..1: one dress for all of them."""
    with style.context(["default", SETTINGS]):
        figure = Figure(figsize=(5, 5.7))
        axes = figure.subplots()
        draw(axes)
        for marker, (label, point) in zip(MARKERS, points.items(), strict=False):
            axes.plot(*point, color=INK, marker=marker, linestyle="none", label=label)
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
        axes.set(xlabel=labels[0], ylabel=labels[1])
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2)
        return inline_svg(figure, name=name, alt=alt)


def _chance(axes: Axes) -> None:
    axes.plot([0, 1], [0, 1], color=MUTED, linestyle=DASHED, linewidth=1, label="chance")


def _steps(axes: Axes, curve: Curve, *, colour: str, label: str) -> None:
    """Draws a precision-recall curve from recall 0 on."""
    recall, precision = curve
    across, up = np.concatenate([[0.0], recall]), np.concatenate([precision[:1], precision])
    axes.plot(across, up, color=colour, label=label, drawstyle="steps-pre")
