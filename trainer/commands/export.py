"""A run's model for programs that are not this one, each file checked before it gets its name.

python -m trainer --mode=export --run=RUN [--formats=saved_model,onnx,litert] [--output_dir=DIR]

DIR (RUN/export unless given) gets saved_model/, model.onnx, model.tflite, what is known of them in
export.json, and model_card.md. Nothing here needs TensorFlow until a network is to be written.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
import shutil
from typing import TYPE_CHECKING, Any

from flags import command_line
from flags.evaluation import EvaluationConfig
from records import files
from records.errors import CallerError
from trainer.exports import model_card

if TYPE_CHECKING:
    from trainer.exports.check import Reference


def run(config: EvaluationConfig) -> int:
    """Writes the formats asked for, and the model card; returns the exit code.

    Raises:
        CallerError: the run is not finished, a package is missing, a file is there already, the
            folder can't be written, or a format does not give the model's probabilities.
    """
    assert config.run is not None
    if config.arguments:
        raise CallerError(command_line.describe_stray(config.arguments[0]))
    source = pathlib.Path(config.run)
    model_card.check_run(source)
    output = pathlib.Path(config.output_dir or source / "export")
    names = dict.fromkeys(name.strip() for name in config.formats.split(","))
    wanted = [name for name in names if name != "card"]
    try:
        output.mkdir(parents=True, exist_ok=True)
        if wanted:
            _export(source, output, wanted)
        card = model_card.write(source, output)
    except OSError as error:
        raise CallerError(
            f"{output} can't be written ({error.strerror}); give another --output_dir"
        ) from error
    print(f"model card: {card.resolve()}")
    return 0


def _export(source: pathlib.Path, output: pathlib.Path, wanted: list[str]) -> None:
    """Writes, checks and describes each format in turn; what is done stays if a later one fails."""
    described = _open_description(source, output)
    # TensorFlow is slow to import, so it waits until there is something to do
    from trainer.exports import check, formats

    for name in wanted:
        path = output / formats.FORMATS[name].file
        if path.exists():
            raise CallerError(f"{path} is there already; remove it or give another --output_dir")
        formats.check_packages(name)
    reference = check.open_reference(source)
    described["input"]["shape"] = list(reference.model.input_shape)
    described["output"]["shape"] = list(reference.model.output_shape)
    for name in wanted:
        entry = _write_format(name, source, output, reference)
        described["formats"][name] = entry
        files.write_json(output / model_card.EXPORT, described)
        checked = entry["checked_on"]
        print(
            f"{output / entry['file']}: {entry['bytes'] / 1e6:.1f} MB, "
            f"{entry['milliseconds_a_image']:.1f} ms an image (Keras "
            f"{checked['keras_milliseconds_a_image']:.1f}), at most "
            f"{entry['largest_difference']:.1g} from model.keras on {checked['images']} "
            f"{checked['source']}"
        )


def _write_format(
    name: str, source: pathlib.Path, output: pathlib.Path, reference: Reference
) -> dict[str, Any]:
    """Writes one format under its name if it passes the check; returns its entry of export.json."""
    from trainer.exports import check, formats

    kind = formats.FORMATS[name]
    temporary = output / f".{os.getpid()}-{kind.file}"
    try:
        formats.write(name, source / "model.keras", temporary)
        measured = check.check(kind.open(temporary), reference, what=kind.file)
        parts = sorted(p for p in (temporary, *temporary.rglob("*")) if p.is_file())
        entry = {
            "file": kind.file,
            "bytes": sum(part.stat().st_size for part in parts),
            "sha256": {
                str(pathlib.Path(kind.file, part.relative_to(temporary))): _digest(part)
                for part in parts
            },
            **kind.notes,
            **measured,
            "versions": kind.versions,
        }
        temporary.rename(output / kind.file)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink(missing_ok=True)
    return entry


def _open_description(source: pathlib.Path, output: pathlib.Path) -> dict[str, Any]:
    """Reads export.json, or begins it.

    Raises:
        CallerError: it is that of another model.
    """
    digest = _digest(source / "model.keras")
    path = output / model_card.EXPORT
    found = model_card.read(path)
    if found and found["model_sha256"] != digest:
        raise CallerError(f"{path} describes another model; give another --output_dir")
    return found or {
        "model_sha256": digest,
        "input": {"name": "pixels", "dtype": "uint16", "range": [0, 65535]},
        "output": {
            "name": "probability",
            "dtype": "float32",
            "meaning": model_card.meaning_of_output(model_card.read(source / "run.json")),
        },
        "formats": {},
    }


def _digest(path: pathlib.Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
