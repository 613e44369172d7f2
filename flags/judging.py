"""What can be asked of finished runs: flags -> JudgingConfig, checked once.

config = JudgingConfig.from_flags(absl.flags.FLAGS, ["film.dcm"])
"""

from __future__ import annotations

import dataclasses
from typing import Any

from absl import flags

from flags import test_time
from flags.errors import CallerError

MODES = {
    "report": "score --run's predictions again and rewrite its report; quick, no TensorFlow",
    "compare": "put the runs named side by side, with paired tests on the same films",
    "ensemble": "average the models of the runs named and judge them as one",
    "explain": "draw what --run's model looks at",
    "predict": "ask --run's model about films of your own",
    "export": "write --run's model as SavedModel, ONNX and LiteRT, with a model card",
}
_OF_ONE_RUN = ("report", "explain", "predict", "export")


@dataclasses.dataclass(frozen=True)
class JudgingConfig:
    """One question to finished runs, complete and valid; the flags below say what fields mean.

    Attributes:
        arguments: what stands on the command line beside flags: runs, or films and folders.
        dataset_dir: a flag of the trainer's, like tta.
    """

    mode: str
    arguments: tuple[str, ...] = ()
    run: str | None = None
    output_dir: str | None = None
    # ensemble
    dataset_dir: str | None = None
    tta: str | None = None
    # predict
    films: str | None = None
    heat_maps: bool = True

    def __post_init__(self) -> None:
        if self.mode in _OF_ONE_RUN and self.run is None:
            raise CallerError(f"--mode={self.mode} needs --run, the folder of a finished run")
        if self.mode == "compare" and len(self.arguments) < 2:
            raise CallerError(
                "--mode=compare needs two or more folders of finished runs: "
                "python -m trainer --mode=compare runs/a runs/b"
            )
        if self.mode == "ensemble" and not (self.arguments and self.output_dir):
            raise CallerError(
                "--mode=ensemble needs folders of finished runs, or of a cross-validation, and one "
                "to write to: python -m trainer --mode=ensemble runs/a runs/b --output_dir=runs/ab"
            )
        test_time.check(self.tta)

    @classmethod
    def from_flags(cls, values: flags.FlagValues, arguments: list[str]) -> JudgingConfig:
        """Builds the configuration from parsed flags and what stands beside them.

        Raises:
            CallerError: something is missing or contradicts another; one line with the remedy.
        """
        names = [field.name for field in dataclasses.fields(cls) if field.name != "arguments"]
        given: dict[str, Any] = {name: values[name].value for name in names}
        return cls(arguments=tuple(arguments), **given)


def define() -> None:
    """Defines the flags; --mode is the trainer's."""
    text = flags.DEFINE_string
    text("run", None, "Folder of the finished run that is asked.")
    text(
        "output_dir",
        None,
        "Folder for what is written. Default: beside the run asked; predictions/ for "
        "--mode=predict.",
    )
    text(
        "films",
        None,
        "CSV of films for --mode=predict: path, and what files do not tell of them: exam, side, "
        "view. Films of one examination and side are averaged.",
    )
    flags.DEFINE_boolean("heat_maps", True, "Draw a heat map of each film predicted.")
