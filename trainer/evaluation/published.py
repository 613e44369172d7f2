"""What was published for an experiment, and which experiment a run is one of.

published = of_run(run_dir, config, run)  # config.json and run.json; None if it is none of them
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
import shlex
from collections.abc import Iterable
from typing import Any

import flags
from flags import datasets
from flags.fields import flags_of
from flags.training_config import TrainingConfig
from records import user_text
from records.errors import CallerError
from trainer.data.run_json import RunDescription
from trainer.metrics import typed_json

FLAGFILES = pathlib.Path(flags.__file__).with_name("experiments")
SOURCES = {
    "S": "stated in the paper",
    "D": "the first author's dissertation",
    "P": "a co-author's list of results",
    "I": "inferred",
}
COMMAND = "command.txt"
"""File in a run folder that python -m trainer experiments made."""
IMAGES = 641
"""Test images of Jaamour et al. 2023."""
POLICIES = {"label_policy": "paper", "split_policy": "image", "leak_policy": "keep"}
"""How the authors made their labels and splits."""
_ANOTHER_SPLIT = "another split"


@dataclasses.dataclass(frozen=True)
class Published:
    """An experiment as its flagfile states it.

    Attributes:
        experiment: name of the flagfile.
        about: first sentence of its head comment.
        accuracy: as published, in percent; None if none is.
        source: where, a key of SOURCES, or "".
        notes: in what the run beside it is not the published experiment.
    """

    experiment: str
    about: str
    accuracy: float | None
    source: str
    notes: tuple[str, ...] = dataclasses.field(default=(), metadata=typed_json.ALWAYS)


def of_run(
    directory: pathlib.Path, config: dict[str, Any], run: RunDescription
) -> Published | None:
    """Finds the experiment of a run.

    `python -m trainer experiments` leaves the command of a run in its folder, and the command
    names the flagfile. Of any other run the configuration has to be that of the flagfile, on
    records of the same data set, size and recipe; where several files say the same, the folder's
    name decides.
    """
    command = directory / COMMAND
    if command.is_file():
        given = shlex.split(command.read_text(encoding="utf-8"))
        for path in (one.removeprefix("--flagfile=") for one in given if "--flagfile=" in one):
            if pathlib.Path(path).is_file():
                return beside(pathlib.Path(path), config, run)
    if not config or run.members:
        return None
    files = [path for path in sorted(FLAGFILES.glob("*.flags")) if is_experiment(path)]
    found = [beside(path, config, run) for path in files]
    same = [one for one in found if not set(one.notes) - {_ANOTHER_SPLIT}]
    named = [one for one in same if one.experiment == directory.name]
    return next(iter(named or (same if len(same) == 1 else [])), None)


def beside(flagfile: pathlib.Path, config: dict[str, Any], run: RunDescription) -> Published:
    """Reads a flagfile, and in what a run with config.json and run.json differs from it."""
    return dataclasses.replace(read(flagfile), notes=tuple(_differences(flagfile, config, run)))


def read(flagfile: pathlib.Path) -> Published:
    """Reads the head comment: what is tested, and `# Published accuracy: 67.40 % (S)` or `none`.

    Raises:
        CallerError: the line of the published accuracy can't be read.
    """
    text = user_text.read(flagfile)
    head = [line.lstrip("# ") for line in text.splitlines() if line.startswith("#")]
    about = " ".join(line for line in head if not line.startswith("Published"))
    about = re.sub(r"^[^:(]*\([^)]*\): ", "", about)  # "Experiment H (source): "
    about = re.split(r"[.;](?:\s|$)", about, maxsplit=1)[0]
    line = re.search(r"^# Published accuracy:(.*)$", text, re.MULTILINE)
    if line is None or line[1].strip() == "none":
        return Published(flagfile.stem, about, None, "")
    match = re.fullmatch(r"\s*([\d.]+) % \(([A-Z])\)\s*", line[1])
    if match is None or match[2] not in SOURCES:
        raise CallerError(
            f"{flagfile}: {line[0]!r} is not '# Published accuracy: 67.40 % (S)' or 'none'; "
            f"sources are {', '.join(SOURCES)}"
        )
    return Published(flagfile.stem, about, float(match[1]), match[2])


def is_experiment(flagfile: pathlib.Path) -> bool:
    """Whether a flagfile states a published accuracy, or that there is none."""
    return "\n# Published" in user_text.read(flagfile)


def _differences(
    flagfile: pathlib.Path, config: dict[str, Any], run: RunDescription
) -> Iterable[str]:
    """Names in what a run is not the experiment of the flagfile."""
    lines = user_text.read(flagfile).splitlines()
    given = dict(line[2:].split("=", 1) for line in lines if re.match("--[^=]+=", line))
    default = TrainingConfig().to_json()
    expected = TrainingConfig(
        **{name: _typed(text, default[name]) for name, text in given.items() if name in default}
    )
    meanings = flags_of(TrainingConfig)
    for name, wanted in expected.identity().items():
        pair = [config.get(name, wanted), wanted]
        if meanings[name].place:  # wherever that run or file lies
            pair = [one and pathlib.PurePath(one).name for one in pair]
        # run.json names the target really taken
        if name != "target" and not meanings[name].repeat and pair[0] != pair[1]:
            yield f"other {name}"
    data = (run.dataset, run.size, run.recipe)
    stated = pathlib.PurePath(given.get("dataset_dir", "")).parts[-3:]
    for name, value, wanted in zip(("data", "size", "recipe"), data, stated, strict=False):
        if value != wanted:
            yield f"other {name}"
    if run.unit != "image":
        yield "other unit"
    question = expected.target or datasets.DATASETS["cbis_ddsm"].target
    if run.target != question:
        yield "other target"
    if run.policies != POLICIES:
        yield _ANOTHER_SPLIT


def _typed(text: str, default: Any) -> Any:
    """Reads a flag's text as its default's type."""
    if isinstance(default, bool):
        return text.lower() in ("true", "1")
    return type(default)(text) if isinstance(default, int | float) else text
