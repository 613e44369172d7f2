"""A finished run as it is compared: its predictions, and what they are of.

run = read(pathlib.Path("runs/a"), name="a")
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flags.errors import CallerError
from trainer import class_metrics, metrics, predictions, published
from trainer.intervals import Floats
from trainer.predictions import Prediction
from trainer.published import Published

MEASURES = ("accuracy", "precision", "recall", "f1", "auc")
"""Those of the paper's table of experiments (Jaamour et al. 2023, Fig 8)."""
MEASURES_OF_CLASSES = ("accuracy", "balanced_accuracy", "macro_f1", "auc")
"""Of more than two classes."""


@dataclasses.dataclass(frozen=True)
class ComparedRun:
    """A finished run, a cross-validation or an ensemble.

    Attributes:
        name: how it is called here.
        directory: its folder.
        scores: metrics.json.
        run: run.json.
        films: film id -> prediction.
        experiment: the published experiment it is one of, if it is.
    """

    name: str
    directory: pathlib.Path
    scores: dict[str, Any]
    run: dict[str, Any]
    films: dict[str, Prediction]
    experiment: Published | None

    @property
    def question(self) -> str:
        """What the model tells apart."""
        return f"{self.run['target']} ({' or '.join(self.run['label_names'])})"

    @property
    def several(self) -> bool:
        """Whether there are more than two classes."""
        return len(self.run["label_names"]) > 2

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of the figures that are compared."""
        return MEASURES_OF_CLASSES if self.several else MEASURES

    @property
    def minutes(self) -> float:
        """All phases and the evaluation; 0 where it is not told."""
        return sum(self.run.get("minutes", {}).values())

    def measure(self, film_ids: list[str], weights: Floats) -> dict[str, Floats]:
        """Computes the figures of some films for every row of weights [rows, films]: [rows]."""
        films = [self.films[film_id] for film_id in film_ids]
        if self.several:
            labels, shares, _ = class_metrics.columns(films, len(self.run["label_names"]))
            figures = class_metrics.measure(labels, shares, weights, ordinal=self._ordinal)
        else:
            labels, probabilities = labels_of(films), probabilities_of(films)
            figures = metrics.measure(labels, probabilities, weights, threshold=metrics.THRESHOLD)
        return {name: figures[name] for name in self.measures}

    def right(self, film_ids: list[str]) -> NDArray[np.bool_]:
        """Says which of some films are called right, [films]."""
        films = [self.films[film_id] for film_id in film_ids]
        if self.several:
            labels, shares, _ = class_metrics.columns(films, len(self.run["label_names"]))
            return class_metrics.answers_of(shares, ordinal=self._ordinal) == labels
        return (probabilities_of(films) > metrics.THRESHOLD) == (labels_of(films) == 1)

    @property
    def _ordinal(self) -> bool:
        return self.run.get("kind") == "ordinal"


def labels_of(films: list[Prediction]) -> NDArray[np.int64]:
    """Takes the labels [films] out."""
    return np.array([film.label for film in films], np.int64)


def probabilities_of(films: list[Prediction]) -> Floats:
    """Takes the probabilities of label 1, [films], out."""
    return np.array([film.probability for film in films], np.float64)


def read(
    directory: pathlib.Path, *, name: str, flagfile: pathlib.Path | None = None
) -> ComparedRun:
    """Reads a finished run.

    Args:
        directory: its folder.
        name: how to call it.
        flagfile: that of its experiment, if it is known.

    Raises:
        CallerError: a file is missing or damaged, or they are not of one evaluation.
    """
    if not directory.is_dir():
        raise CallerError(f"{directory} is not a folder; name folders of finished runs")
    films = predictions.read(directory / "predictions.csv")
    if not films:
        raise CallerError(f"{directory}/predictions.csv holds no film; evaluate the run again")
    scores, run = (_read_json(directory / file) for file in ("metrics.json", "run.json"))
    config = _read_json(directory / "config.json", default={})
    missing = {"target", "label_names", "policies"} - run.keys()
    if missing:
        raise CallerError(
            f"{directory}/run.json lacks {', '.join(sorted(missing))}; evaluate the run again"
        )
    experiment = (
        published.beside(flagfile, config, run)
        if flagfile
        else published.of_run(directory.resolve(), config, run)
    )
    made = ComparedRun(
        name, directory, scores, run, {film.film_id: film for film in films}, experiment
    )
    _check(made)
    return made


def _check(run: ComparedRun) -> None:
    """Refuses scores that are not those of the predictions, and labels that are no class."""
    classes = len(run.run["label_names"])
    for film in run.films.values():
        if max(2, len(film.probabilities)) != classes:
            raise CallerError(
                f"{run.directory}: run.json names {classes} classes, predictions.csv has "
                f"{max(2, len(film.probabilities))}; evaluate the run again"
            )
    accuracy = float(run.right(list(run.films)).mean())
    said = run.scores.get("accuracy", {}).get("value")
    if said is None or abs(said - accuracy) > 1e-9:
        raise CallerError(
            f"{run.directory}: metrics.json has accuracy {said}, predictions.csv gives "
            f"{accuracy}; score it again with --mode=report --run={run.directory}"
        )


def _read_json(path: pathlib.Path, default: dict[str, Any] | None = None) -> dict[str, Any]:
    """Reads an object; the default, if there is one, where there is no file."""
    if default is not None and not path.is_file():
        return default
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CallerError(f"{path} does not exist; name folders of finished runs") from None
    except ValueError as error:
        raise CallerError(f"{path} is damaged ({error}); evaluate the run again") from error
    if not isinstance(content, dict):
        raise CallerError(f"{path} holds {type(content).__name__}, wanted an object")
    return content
