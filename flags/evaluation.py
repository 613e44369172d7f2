"""What can be asked of finished runs: flags -> EvaluationConfig, checked once.

config = EvaluationConfig.from_flags(absl.flags.FLAGS, ["image.dcm"])
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from absl import flags

from flags import fields, tta
from records.errors import CallerError

MODES = {
    "report": "score --run's predictions again and rewrite its report; quick, no TensorFlow",
    "compare": "put the runs named side by side, with paired tests on the same images",
    "ensemble": "average the models of the runs named and evaluate them as one",
    "explain": "draw what --run's model looks at",
    "predict": "ask --run's model about images of your own",
    "export": "write --run's model as SavedModel, ONNX and LiteRT, with a model card",
}
METHODS = {
    "gradcam": "Grad-CAM, from the last layer of the base, coarse",
    "hirescam": "HiResCAM, from its last layers at two resolutions, finer",
}
FORMATS = {
    "saved_model": "TensorFlow's, a folder",
    "onnx": "for onnxruntime and others",
    "litert": "LiteRT, once TensorFlow Lite, for phones",
    "card": "model_card.md, which every export writes, alone",
}
TAKES = {
    "report": ("run",),
    "compare": ("output_dir",),
    "ensemble": ("output_dir", "dataset_dir", "tta"),
    "explain": (
        *("run", "output_dir", "dataset_dir", "method", "split", "worst", "sanity", "pointing"),
        *("data_dir", "layer"),
    ),
    "predict": ("run", "output_dir", "images", "heat_maps"),
    "export": ("run", "output_dir", "formats"),
}
"""Flags that each mode goes by."""
_OF_ONE_RUN = ("report", "explain", "predict", "export")


@dataclasses.dataclass(frozen=True)
class EvaluationConfig:
    """One question to finished runs, complete and valid; the flags below say what fields mean.

    Attributes:
        arguments: what stands on the command line beside flags: runs, or images and folders.
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
    images: str | None = None
    heat_maps: bool = True
    # explain
    method: str = "gradcam"
    split: str = "test"
    worst: int = 12
    sanity: bool = False
    pointing: bool = False
    data_dir: str | None = None
    layer: str | None = None
    # export
    formats: str = "saved_model,onnx,litert"

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
        if self.tta is not None:
            fields.check_name("tta", self.tta, tta.VIEWS)
        if self.tta is not None and self.mode != "ensemble":
            raise CallerError(
                f"--tta={self.tta}: --mode={self.mode} goes by what the run was evaluated with; "
                f"evaluate "
                "it again with --mode=evaluate --tta"
            )
        for name in self.formats.split(","):
            fields.check_name("formats", name.strip(), FORMATS)
        if self.mode == "explain":
            self._check_explain()

    def _check_explain(self) -> None:
        asked = [name for name in ("sanity", "pointing", "layer") if getattr(self, name)]
        if len(asked) > 1:
            raise CallerError(f"--{' and --'.join(asked)} are two questions; ask one at a time")
        if self.pointing and self.data_dir is None:
            raise CallerError(
                "--pointing needs --data_dir, the folder of the images the records were made from"
            )
        if self.pointing and self.arguments:
            raise CallerError(
                f"--pointing plays the images of --split, not {self.arguments[0]}; leave it out"
            )

    @classmethod
    def from_flags(cls, values: flags.FlagValues, arguments: list[str]) -> EvaluationConfig:
        """Builds the configuration from parsed flags and what stands beside them.

        Raises:
            CallerError: something is missing or contradicts another; one line with the remedy.
        """
        names = [field.name for field in dataclasses.fields(cls) if field.name != "arguments"]
        given: dict[str, Any] = {name: values[name].value for name in names}
        return cls(arguments=tuple(arguments), **given)


def check_given(values: flags.FlagValues, training: Iterable[str]) -> None:
    """Refuses flags that were given but have no say in the mode asked for.

    Args:
        values: parsed flags.
        training: names of the trainer's own, which modes not in MODES go by.

    Raises:
        CallerError: there is one.
    """
    mode = values["mode"].value
    ours = [name for takes in TAKES.values() for name in takes]
    takes = ("mode", *TAKES[mode]) if mode in MODES else training
    for name in dict.fromkeys((*ours, *training)):
        if not values[name].present or name in takes:
            continue
        remedy = (
            f"which goes by {', '.join(f'--{taken}' for taken in TAKES[mode])}; leave it out"
            if mode in MODES
            else f"but in --mode={'|'.join(other for other in TAKES if name in TAKES[other])}"
        )
        raise CallerError(f"--{name} has no say in --mode={mode}, {remedy}")


def define() -> None:
    """Defines the flags; --mode is the trainer's."""
    text = flags.DEFINE_string
    text("run", None, "Folder of the finished run that is asked.")
    text(
        "output_dir",
        None,
        "Folder for what is written. Default: in the folder of the run asked; predictions/ for "
        "--mode=predict, runs/comparison for --mode=compare.",
    )
    text(
        "formats",
        EvaluationConfig.formats,
        fields.describe("What --mode=export writes, separated by commas", FORMATS),
    )
    _define_predict()
    _define_explain()


def _define_predict() -> None:
    flags.DEFINE_string(
        "images",
        None,
        "CSV of images for --mode=predict: path, and what files do not tell of them: exam, side, "
        "view. Images of one examination and side are averaged.",
    )
    flags.DEFINE_bool("heat_maps", True, "Draw a heat map of each image predicted.")


def _define_explain() -> None:
    flags.DEFINE_enum("method", "gradcam", list(METHODS), fields.describe("Heat maps", METHODS))
    flags.DEFINE_enum(
        "split", "test", ["test", "validation"], "Images --mode=explain looks at if none are named."
    )
    flags.DEFINE_integer(
        "worst",
        12,
        "How many of them: those whose truth the model found least likely. 0: all.",
        lower_bound=0,
    )
    flags.DEFINE_bool(
        "sanity", False, "Compare heat maps with those of the network made random layer by layer."
    )
    flags.DEFINE_bool(
        "pointing",
        False,
        "Measure how often heat maps are strongest on a lesion; needs --data_dir.",
    )
    flags.DEFINE_string(
        "data_dir",
        None,
        "Folder of the images that the records were made from: --pointing needs it, and heat maps "
        "of a split are laid over them instead of records.",
    )
    flags.DEFINE_string(
        "layer", None, "Draw the channels of this layer of the network, or of its base, instead."
    )
