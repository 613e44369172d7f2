"""The report of a run: one page that needs nothing but itself.

path = write(run_dir, examples)  # reads run_dir's files, writes run_dir/report.html
"""

from __future__ import annotations

import base64
import csv
import dataclasses
import importlib.resources
import itertools
import json
import math
import pathlib
from collections.abc import Sequence
from typing import Any

import cv2
import jinja2
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from flags import catalogue
from flags.errors import CallerError
from trainer import class_metrics, figures, metrics, predictions
from trainer.intervals import Floats

TEMPLATE = "report.html.j2"
EXAMPLE_HEIGHT = 420
"""Pixels; taller films are made smaller in the report."""
MEASURES = {"Loss": "loss", "AUC": "auc", "Accuracy": "accuracy"}
"""Title of a training curve -> column of history.csv; the validation's has val_ before it."""


@dataclasses.dataclass(frozen=True, eq=False)
class ExampleFilm:
    """A film to show in the report.

    Attributes:
        film_id: its name.
        pixels: [height, width] uint8, 0 (black) to 255 (white).
        label: the truth.
        probability: the model's probability of label 1, 0..1; of the answer if there are more than
            two classes.
        answer: the class the model calls it.
    """

    film_id: str
    pixels: NDArray[np.uint8]
    label: int
    probability: float
    answer: int

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 2 or not self.pixels.size:
            raise CallerError(
                f"example film {self.film_id!r} has pixels {self.pixels.dtype} of shape "
                f"{list(self.pixels.shape)}, wanted uint8 [height, width]"
            )

    @property
    def png(self) -> str:
        """The film as a data URI, at most EXAMPLE_HEIGHT pixels tall."""
        height, width = self.pixels.shape
        small: NDArray[Any] = self.pixels
        if height > EXAMPLE_HEIGHT:
            size = (max(1, round(width * EXAMPLE_HEIGHT / height)), EXAMPLE_HEIGHT)
            small = cv2.resize(self.pixels, size, interpolation=cv2.INTER_AREA)
        done, data = cv2.imencode(".png", small)
        assert done
        return "data:image/png;base64," + base64.b64encode(data.tobytes()).decode()


def write(run_dir: pathlib.Path, examples: Sequence[ExampleFilm]) -> pathlib.Path:
    """Writes run_dir/report.html from the other files of the run, the same bytes for the same ones.

    It reads config.json, run.json, history.csv, predictions.csv and metrics.json; a
    cross-validation has no history.csv of its own, and its run.json lists the folds.

    Args:
        run_dir: folder of a finished run.
        examples: films to show; they are grouped by truth and answer, surest first.

    Returns:
        Path of the report.

    Raises:
        CallerError: a file is missing, lacks a value, or does not belong to the others.
    """
    scores, run = _json(run_dir / "metrics.json"), _json(run_dir / "run.json")
    films = predictions.read(run_dir / "predictions.csv")
    try:
        mine = [film for film in films if film.split in ("", scores["split"])]
        _check_same_films(run_dir, scores, mine)
        text = template(TEMPLATE).render(
            run=run,
            config=_json(run_dir / "config.json"),
            metrics=scores,
            names=run["label_names"],
            catalogue=catalogue,
            curves=[] if "folds" in run else _curves(run_dir / "history.csv"),
            examples=_groups(examples, len(run["label_names"])),
            several=len(run["label_names"]) > 2,
            **_commonest(scores, run["label_names"]),
            **_figures(scores, mine, run["label_names"]),
        )
    except (KeyError, jinja2.UndefinedError) as error:
        raise CallerError(
            f"the files of {run_dir} lack a value the report needs: {error}; "
            "write them anew with --mode=evaluate"
        ) from error
    predictions.write_whole(run_dir / "report.html", text)
    return run_dir / "report.html"


def template(name: str) -> jinja2.Template:
    """Reads a page's template, in which `style` is the look of the report, for other pages."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(score=_score, share=_share, number=_number)
    package = importlib.resources.files("trainer")
    look = environment.from_string(package.joinpath(TEMPLATE).read_text("utf-8"))
    style = "".join(look.blocks["style"](look.new_context()))
    return environment.from_string(
        package.joinpath(name).read_text("utf-8"), globals={"style": Markup(style)}
    )


def _json(path: pathlib.Path) -> dict[str, Any]:
    """Reads an object from a file of the run."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise CallerError(f"{path} does not exist; --run_dir wants a finished run") from None
    except ValueError as error:
        raise CallerError(f"{path} is not JSON: {error}; remove it and evaluate again") from error
    if not isinstance(content, dict):
        raise CallerError(f"{path} holds {type(content).__name__}, wanted an object")
    return content


def _check_same_films(
    run_dir: pathlib.Path, scores: dict[str, Any], films: Sequence[predictions.Prediction]
) -> None:
    """Refuses scores that were not computed from these predictions."""
    classes = len(scores["labels"])
    if classes > 2:
        labels, of_classes, _ = class_metrics.columns(films, classes)
        answers = class_metrics.answers_of(of_classes, ordinal=scores["ordinal"])
        cells = class_metrics.confusion_matrix(labels, answers, classes)
    else:
        labels, probabilities, _ = metrics.columns(films, scores["split"])
        cells = metrics.confusion_matrix(labels, probabilities, threshold=scores["threshold"])
    if cells.tolist() != scores["confusion_matrix"]:
        raise CallerError(
            f"{run_dir}/metrics.json has confusion matrix {scores['confusion_matrix']}, but "
            f"predictions.csv gives {cells.tolist()} for split {scores['split']!r}; "
            "evaluate again with --mode=evaluate so that both are of the same model"
        )


def _commonest(scores: dict[str, Any], names: Sequence[str]) -> dict[str, str]:
    """Names the class most films are of, and the one most are called; the first of equals."""
    cells = np.array(scores["confusion_matrix"])
    majority, answer = (names[int(cells.sum(axis=axis).argmax())] for axis in (1, 0))
    return {"majority": majority, "answer": answer}


def _figures(
    scores: dict[str, Any], films: Sequence[predictions.Prediction], names: Sequence[str]
) -> dict[str, Markup | None]:
    """Draws what is drawn from predictions; None where there is nothing to draw."""
    if len(names) > 2:
        return _figures_of_classes(films, names)
    labels, probabilities, patients = metrics.columns(films, scores["split"])
    auc = scores["auc"]
    roc = histogram = None
    if auc["value"] is not None:
        alt = f"ROC curve of {len(films)} films, area {_score(auc['value'])}, with its 95 % band."
        drawing = figures.roc(
            labels, probabilities, patients, threshold=scores["threshold"], alt=alt
        )
        roc = Markup(drawing)
    if len(films):
        histogram = Markup(
            figures.histogram(
                labels,
                probabilities,
                names=names,
                threshold=scores["threshold"],
                alt=f"Histograms of the probability of {names[1]}: {(labels == 0).sum()} films "
                f"that are {names[0]}, {(labels == 1).sum()} that are {names[1]}.",
            )
        )
    return {"roc": roc, "histogram": histogram}


def _figures_of_classes(
    films: Sequence[predictions.Prediction], names: Sequence[str]
) -> dict[str, Markup | None]:
    """Draws the same of more than two classes."""
    if not films:
        return {"roc": None, "histogram": None}
    labels, of_classes, _ = class_metrics.columns(films, len(names))
    roc = figures.roc_of_classes(
        labels,
        of_classes,
        names=names,
        alt=f"ROC curves of {', '.join(names)}, each against the rest, of {len(films)} films.",
    )
    histogram = figures.histogram_of_classes(
        labels,
        of_classes,
        names=names,
        alt="Histograms of the probability of the true class: "
        + ", ".join(f"{(labels == n).sum()} films {name}" for n, name in enumerate(names)),
    )
    return {"roc": Markup(roc), "histogram": Markup(histogram)}


def _curves(path: pathlib.Path) -> list[Markup]:
    """Draws each measure of history.csv over the epochs; none if no epoch was trained."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError:
        raise CallerError(f"{path} does not exist; --run_dir wants a finished run") from None
    if not rows:
        return []
    epochs = _column(path, rows, "epoch")
    changes = [
        (epochs[index] + epochs[index + 1]) / 2
        for index, (row, after) in enumerate(itertools.pairwise(rows))
        if row["phase"] != after["phase"]
    ]
    curves = []
    for title, column in MEASURES.items():
        training, validation = (_column(path, rows, name) for name in (column, f"val_{column}"))
        alt = (
            f"{title} over {len(rows)} epochs; at the last {_score(training[-1])} on training "
            f"films, {_score(validation[-1])} on validation films."
        )
        drawing = figures.curve(
            title,
            epochs=epochs,
            training=training,
            validation=validation,
            boundaries=changes,
            alt=alt,
        )
        curves.append(Markup(drawing))
    return curves


def _column(path: pathlib.Path, rows: Sequence[dict[str, str]], name: str) -> Floats:
    """Reads a column [epochs] of history.csv, NaN where it is empty."""
    try:
        return np.array([float(row[name] or "nan") for row in rows])
    except (ValueError, TypeError) as error:  # TypeError: the row is too short
        raise CallerError(f"{path}, column {name!r}, is not all numbers: {error}") from error


def _groups(
    examples: Sequence[ExampleFilm], classes: int
) -> list[tuple[int, bool, list[ExampleFilm]]]:
    """Sorts films into (truth, right, films surest first); none at all if there are no films."""
    if not examples:
        return []
    middle = 0.5 if classes == 2 else 0.0
    ordered = sorted(examples, key=lambda film: (-abs(film.probability - middle), film.film_id))
    truths = (1, 0) if classes == 2 else range(classes)
    return [
        (
            truth,
            right,
            [f for f in ordered if f.label == truth and (f.answer == truth) == right],
        )
        for truth in truths
        for right in (True, False)
    ]


def _score(value: float | None) -> str:
    """Writes a score with three decimals."""
    return "not stated" if value is None or not math.isfinite(value) else f"{value:.3f}"


def _share(part: float, whole: float) -> str:
    """Writes a part of a whole in percent."""
    return f"{100 * part / whole:.1f} %" if whole else "\u2013"


def _number(value: float | None, decimals: int = 0) -> str:
    """Writes a count or a measurement with its thousands apart by a thin no-break space."""
    if value is None or not math.isfinite(value):
        return "not stated"
    return f"{value:,.{decimals}f}".replace(",", "\u202f")
