"""The page that puts runs of experiments beside the published figures: comparison.html.

path = write(root, {"h": pathlib.Path("flags/experiments/h.flags")}, ["h"], errors={})
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from flags.errors import CallerError
from trainer import predictions, report, run_folder
from trainer.predictions import Prediction

MEASURES = ("accuracy", "precision", "recall", "f1", "auc")
SOURCES = {
    "S": "stated in the paper",
    "D": "the first author's dissertation",
    "P": "a co-author's list of results",
    "I": "inferred",
}
PUBLISHED_FILMS = 641
"""Test films of Jaamour et al. 2023."""
PUBLISHED_POLICIES = {"label_policy": "paper", "split_policy": "image", "leak_policy": "keep"}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of one experiment.

    Attributes:
        name: that of its flagfile.
        about: first sentence of the flagfile's head comment.
        published: accuracy in percent, None if none is.
        source: where it is published, a key of SOURCES, or "".
        scores: metrics.json, None if the run is not finished.
        run: run.json, None likewise.
        films: predictions.
        error: why it failed, "" if it did not.
    """

    name: str
    about: str
    published: float | None
    source: str
    scores: dict[str, Any] | None = None
    run: dict[str, Any] | None = None
    films: tuple[Prediction, ...] = ()
    error: str = ""

    @property
    def minutes(self) -> float:
        """All phases and the evaluation."""
        return sum(self.run["minutes"].values()) if self.run else 0.0

    @property
    def difference(self) -> float | None:
        """Accuracy less the published one, in points."""
        value = self.scores["accuracy"]["value"] if self.scores else None
        return None if value is None or self.published is None else 100 * value - self.published

    @property
    def published_protocol(self) -> bool:
        """Whether labels and splits are made as the authors made theirs."""
        return self.run is not None and self.run["policies"] == PUBLISHED_POLICIES


def write(
    root: pathlib.Path,
    flagfiles: Mapping[str, pathlib.Path],
    names: Sequence[str],
    errors: Mapping[str, str],
) -> pathlib.Path:
    """Writes root/comparison.html.

    Args:
        root: folder of the runs, each under its experiment's name.
        flagfiles: name -> flagfile of every experiment.
        names: those that were to be run now; finished runs of others are shown too.
        errors: name -> why it failed.
    """
    shown = [name for name in flagfiles if name in names or (root / name / "report.html").is_file()]
    outcomes = [read(flagfiles[name], root / name, errors.get(name, "")) for name in shown]
    finished = [outcome for outcome in outcomes if outcome.scores]
    page = report.template("comparison.html.j2").render(
        outcomes=outcomes,
        measures=MEASURES,
        sources=SOURCES,
        groups=group_by_films(finished),
        agreement=agree(finished),
        standard_error=lambda films, share: 100 * math.sqrt(share * (1 - share) / films),
        published_films=PUBLISHED_FILMS,
        synthetic=any(outcome.run and outcome.run["synthetic"] for outcome in finished),
    )
    predictions.write_whole(root / "comparison.html", page)
    return root / "comparison.html"


def read(flagfile: pathlib.Path, directory: pathlib.Path, error: str) -> Outcome:
    """Reads what a flagfile says of itself and what its run, if it is finished, has come to."""
    head = [
        line.lstrip("# ")
        for line in flagfile.read_text(encoding="utf-8").splitlines()
        if line.startswith("#")
    ]
    published, source = read_published(flagfile)
    text = " ".join(line for line in head if not line.startswith("Published"))
    text = re.sub(r"^[^:(]*\([^)]*\): ", "", text)  # "Experiment H (source): "
    about = re.split(r"[.;](?:\s|$)", text, maxsplit=1)[0]
    outcome = Outcome(flagfile.stem, about, published, source, error=error)
    if error or not (directory / "report.html").is_file():
        return dataclasses.replace(outcome, error=error or "not finished")
    return dataclasses.replace(
        outcome,
        scores=run_folder.read_json(directory / "metrics.json"),
        run=run_folder.read_json(directory / "run.json"),
        films=tuple(predictions.read(directory / "predictions.csv")),
    )


def read_published(flagfile: pathlib.Path) -> tuple[float | None, str]:
    """Reads the line `# Published accuracy: 67.40 % (S)`; `none` where there is no figure.

    Returns:
        accuracy in percent or None, and the letter of its source or "".

    Raises:
        CallerError: the line is there and says something else.
    """
    text = flagfile.read_text(encoding="utf-8")
    line = re.search(r"^# Published accuracy:(.*)$", text, re.MULTILINE)
    if line is None or line[1].strip() == "none":
        return None, ""
    match = re.fullmatch(r"\s*([\d.]+) % \(([A-Z])\)\s*", line[1])
    if match is None or match[2] not in SOURCES:
        raise CallerError(
            f"{flagfile}: {line[0]!r} is not '# Published accuracy: 67.40 % (S)' or 'none'; "
            f"sources are {', '.join(SOURCES)}"
        )
    return float(match[1]), match[2]


def group_by_films(outcomes: Sequence[Outcome]) -> list[tuple[int, list[str]]]:
    """Groups experiments judged on the very same films with the same labels: (films, names)."""
    groups: dict[frozenset[tuple[str, int]], list[str]] = {}
    for outcome in outcomes:
        key = frozenset((film.film_id, film.label) for film in outcome.films)
        groups.setdefault(key, []).append(outcome.name)
    return [(len(films), names) for films, names in groups.items()]


def agree(outcomes: Sequence[Outcome]) -> dict[str, int] | None:
    """Counts, among the films all experiments were judged on, who calls them right.

    Returns:
        "films", "all_right", "all_wrong" and "divided"; None below two experiments, where no film
        is common to all, or where they ask different questions.
    """
    if len(outcomes) < 2 or len({o.run["target"] for o in outcomes if o.run}) > 1:
        return None
    right: list[dict[tuple[str, int], bool]] = []
    for outcome in outcomes:
        assert outcome.scores is not None
        threshold = outcome.scores.get("threshold")
        if threshold is None:
            return None
        right.append(
            {(f.film_id, f.label): (f.probability > threshold) == f.label for f in outcome.films}
        )
    common = set.intersection(*(set(films) for films in right))
    if not common:
        return None
    votes = [sum(films[film] for films in right) for film in common]
    counts = {"all_right": votes.count(len(right)), "all_wrong": votes.count(0)}
    return {"films": len(votes), **counts, "divided": len(votes) - sum(counts.values())}
