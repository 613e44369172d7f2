"""Model card: the files of a run -> model_card.md.

path = write(run_dir, output_dir)

After Mitchell et al., Model Cards for Model Reporting, FAT* 2019, section 4. Every number is read
from the run's files; what they do not hold is "not measured". Needs no TensorFlow.
"""

from __future__ import annotations

import collections
import csv
import hashlib
import importlib.resources
import pathlib
from typing import Any

import jinja2

from flags import datasets, own_base
from flags.fields import flags_of
from flags.training_config import TrainingConfig
from records import files
from records.printable import counted
from trainer.data import run_folder
from trainer.data.run_json import RunDescription
from trainer.evaluation import calibration
from trainer.exports import card_limits, card_scores, export_json

TEMPLATE = "model_card.md.j2"
CARD = "model_card.md"


class _NotMeasured(jinja2.ChainableUndefined):
    """A value that the run's files do not hold."""

    def __str__(self) -> str:
        return card_scores.ABSENT


def write(run_dir: pathlib.Path, output_dir: pathlib.Path) -> pathlib.Path:
    """Writes the card of a finished run; returns its path.

    Raises:
        CallerError: a file of the run is damaged.
    """
    path = run_dir / "config.json"
    config = run_folder.read_json(path) if path.is_file() else {}
    run = run_folder.read_description(run_dir)
    evaluated = (run_dir / run_folder.METRICS).is_file()
    scores = run_folder.read_metrics(run_dir) if evaluated else None
    environment = jinja2.Environment(
        undefined=_NotMeasured, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters["counted"] = counted
    text = importlib.resources.files("trainer.exports").joinpath(TEMPLATE).read_text("utf-8")
    card = environment.from_string(text).render(
        run=run,
        config={**config, "base": own_base.short_name(config["base"])},
        scores=scores,
        export=export_json.read(output_dir),
        digest=digest_of(run_dir),
        no_threshold=calibration.why_no_threshold(run_dir, run.folds),
        meaning=meaning_of_output(run),
        policies=_policies(run),
        splits=_splits(run),
        changed=_changed_flags(config),
        epochs=_epochs(run_dir / "history.csv"),
        limits=card_limits.list_limits(run, scores),
        tables=card_scores,
        calibration=card_scores.calibration(scores, calibration.read(run_dir)) if scores else "",
    )
    with files.keeping(output_dir, (CARD,)):  # somebody may have written on
        files.write_text(output_dir / CARD, card)
    return output_dir / CARD


def digest_of(run_dir: pathlib.Path) -> str:
    """Digests model.keras, of several networks their digests; says so where one is gone."""
    members = run_folder.members_of(run_dir, run_folder.read_description(run_dir))
    models = [member / "model.keras" for member in members]
    if not all(model.is_file() for model in models):
        return card_scores.ABSENT
    first, *others = digests = [sha256(model) for model in models]
    return hashlib.sha256("".join(digests).encode()).hexdigest() if others else first


def sha256(path: pathlib.Path) -> str:
    """Digests a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def meaning_of_output(run: RunDescription) -> str:
    """Describes the outputs of a network for an image, by kind of target."""
    names = run.label_names
    if run.kind == "classes":
        return f"the probabilities of {', '.join(names)}, which add up to 1"
    if run.ordinal:
        return "the probabilities that the grade is " + ", ".join(f"above {n}" for n in names[:-1])
    return f"the probability of {names[1]}; what is left to 1 is {names[0]}"


def _policies(run: RunDescription) -> list[tuple[str, str, str]]:
    """Lists what each policy is about, its name, and what it means."""
    known = {
        "label_policy": ("Labels", datasets.LABEL_POLICIES),
        "split_policy": ("Split", datasets.SPLIT_POLICIES),
        "leak_policy": ("Patients in both official sets", datasets.LEAK_POLICIES),
    }
    return [(known[key][0], name, known[key][1][name]) for key, name in run.policies.items()]


def _splits(run: RunDescription) -> str:
    """Tabulates who trained, validated and evaluated."""
    names = run.label_names
    rows = [
        (
            f"{name} ({', '.join(split.folds)})",
            split.images,
            split.patients,
            *(split.labels[label] for label in names),
            split.left_out + split.filtered + split.damaged,
        )
        for name, split in run.splits.items()
    ]
    return card_scores.tabulate(("split", "images", "patients", *names, "left out"), rows)


def _changed_flags(config: dict[str, Any]) -> list[str]:
    """Lists flags that decide what is learned and are not at their default; no folders' names."""
    meanings, changed = flags_of(TrainingConfig), []
    for key, default in TrainingConfig().identity().items():
        value = config.get(key, default)
        if value != default:
            shown = pathlib.Path(value).name if meanings[key].place else value
            changed.append(f"--{key}={shown}")
    return changed


def _epochs(history: pathlib.Path) -> str:
    """Counts the epochs of each phase."""
    if not history.is_file():
        return card_scores.ABSENT
    with history.open(newline="", encoding="utf-8") as file:
        counts = collections.Counter(row["phase"] for row in csv.DictReader(file))
    return ", ".join(f"{count} in phase {phase}" for phase, count in sorted(counts.items()))
