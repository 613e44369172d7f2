"""Writes a run's model as SavedModel, ONNX and LiteRT, with a model card.

  python -m trainer export --run=RUN
  python -m trainer export --run=RUN --formats=onnx --output_dir=DIR
  python -m trainer export --run=RUN --formats=card

A cross-validation or an ensemble is written as one network, the mean of its members. Each file
carries recipe, classes, calibration and thresholds, and is checked against model.keras before it
gets its name; export.json holds what is known of them.
ONNX needs more packages: pip install -c constraints.txt -e '.[export]'.
"""

from __future__ import annotations

import dataclasses
import pathlib
from typing import TYPE_CHECKING

from flags import own_folder
from flags.fields import flag
from flags.finished_run import OfOneRun
from records.errors import CallerError

if TYPE_CHECKING:
    from trainer.exports.export_json import ExportedFile

FORMATS = {
    "saved_model": "TensorFlow's, a folder",
    "onnx": "for onnxruntime and others",
    "litert": "LiteRT, once TensorFlow Lite, for phones",
    "card": "model_card.md, which every export writes, alone",
}


@dataclasses.dataclass(frozen=True)
class Config(OfOneRun):
    """What to write of which run, and where to."""

    output_dir: str | None = flag(None, "Folder of the files. Default: RUN/export.", place=True)
    formats: tuple[str, ...] = flag(
        ("saved_model", "onnx", "litert"), "What to write, separated by commas", choices=FORMATS
    )
    overwrite: bool = flag(
        False,
        "Replace formats that an earlier call left in the folder; if they are of another model, "
        "all of them.",
    )


def run(config: Config) -> int:
    """Writes the formats wanted, and the model card; returns the exit code.

    Raises:
        CallerError: the run is not finished, a package is missing, a file is there already, the
            folder can't be written, or a format does not give the model's probabilities.
    """
    from trainer.data import run_folder

    source = pathlib.Path(config.run)
    run_folder.members_finished(source)
    from trainer.exports import export_run, model_card  # with TensorFlow

    output = pathlib.Path(config.output_dir or source / "export")
    wanted = [name for name in dict.fromkeys(config.formats) if name != "card"]
    if wanted and run_folder.read_description(source).views:
        raise CallerError(
            f"--run={source} takes several views together, {', '.join(wanted)} are written of "
            "networks of one image only; take --formats=card, and model.keras of the run, which "
            "Keras opens without this program"
        )
    try:
        with own_folder.make(output):
            exported = export_run.export(source, output, wanted, overwrite=config.overwrite)
            for entry in exported:
                _print(output, entry)
            card = model_card.write(source, output)
    except OSError as error:
        raise CallerError(
            f"{output} can't be written ({error.strerror}); give another --output_dir"
        ) from error
    print(f"model card: {card.resolve()}")
    return 0


def _print(output: pathlib.Path, entry: ExportedFile) -> None:
    """Prints the size, speed and deviation of a format that was written."""
    on = entry.checked_on
    print(
        f"{output / entry.file}: {entry.bytes / 1e6:.1f} MB, "
        f"{entry.milliseconds_a_image:.1f} ms an image (Keras "
        f"{on.keras_milliseconds_a_image:.1f}), at most "
        f"{entry.largest_difference:.1g} from model.keras on {on.images} {on.source}"
    )
