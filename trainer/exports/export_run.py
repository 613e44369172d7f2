"""A run's model for programs that are not this one, each file checked before it gets its name.

for entry in export(run_dir, output_dir, ["onnx"]):   # entries of export.json
    ...

The folder gets saved_model/, model.onnx, model.tflite, and what is known of them in export.json.
Nothing here needs TensorFlow until a network is to be written.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
import shutil
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from records import files
from records.errors import CallerError
from trainer.exports import model_card

if TYPE_CHECKING:
    from trainer.exports.check import Reference


def export(
    source: pathlib.Path, output: pathlib.Path, wanted: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Writes, checks and describes each format in turn; what is done stays if a later one fails.

    Args:
        source: folder of a finished run.
        output: an existing folder.
        wanted: keys of `formats.FORMATS`.

    Yields:
        the entry of export.json of each format, once its file has its name.

    Raises:
        CallerError: a package is missing, a file is there already, or a format does not give the
            model's probabilities.
    """
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
        yield entry


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
