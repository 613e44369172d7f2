"""A run's model for programs that are not this one, each file checked before it gets its name.

for entry in export(run_dir, output_dir, ["onnx"]):   # entries of export.json
    ...

The folder gets saved_model/, model.onnx, model.tflite, and what is known of them in export.json.
Nothing here needs TensorFlow until a network is to be written.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from records import files, version
from records.errors import CallerError
from records.schema import FULL_SCALE
from trainer.data import run_folder
from trainer.exports import export_json, metadata, model_card
from trainer.exports.export_json import Export, ExportedFile, Metadata, Port
from trainer.metrics import typed_json

if TYPE_CHECKING:
    from trainer.exports.check import Reference


def export(
    source: pathlib.Path, output: pathlib.Path, wanted: Sequence[str], *, overwrite: bool = False
) -> Iterator[ExportedFile]:
    """Writes, checks and describes each format in turn; what is done stays if a later one fails.

    Args:
        source: folder of a finished run.
        output: an existing folder.
        wanted: keys of `formats.FORMATS`; none: nothing is done.
        overwrite: whether to replace what an earlier call wrote, which export.json lists.

    Yields:
        the entry of export.json of each format, once its file has its name.

    Raises:
        CallerError: a package is missing, a file is there already, or a format does not give the
            model's probabilities.
    """
    if not wanted:
        return
    about = metadata.describe(source)
    described = _open_description(source, output, about, overwrite=overwrite)
    # TensorFlow is slow to import, so it waits until there is something to do
    from trainer.exports import check, formats

    networks = _networks_of(source)
    for network in networks:
        if columns := run_folder.read_description(network).side_inputs:
            raise CallerError(
                f"{network} takes {', '.join(columns)} beside the pixels, exported files pixels "
                "alone; use python -m trainer predict, or train without --side_inputs"
            )
    for name in wanted:
        path = output / formats.FORMATS[name].file
        if path.exists() and not (overwrite and name in described.formats):
            hint = "--overwrite to replace it" if name in described.formats else "remove it"
            raise CallerError(f"{path} is there already; {hint}, or give another --output_dir")
        if name in described.formats:
            _check_own(output, described.formats[name])
        formats.check_packages(name)
    with tempfile.TemporaryDirectory(dir=output) as scratch:
        model = networks[0] / "model.keras"
        if len(networks) > 1:
            model = pathlib.Path(scratch) / "model.keras"
            metadata.average(networks, model)
        reference = check.open_reference(networks[0], model)
        described = dataclasses.replace(
            described,
            input=dataclasses.replace(described.input, shape=reference.model.input_shape),
            output=dataclasses.replace(described.output, shape=reference.model.output_shape),
        )
        for name in wanted:
            entry = _write_format(name, model, output, reference, about)
            described.formats[name] = entry
            files.write_json(output / export_json.FILE, typed_json.to_json(described))
            yield entry


def _write_format(
    name: str,
    model: pathlib.Path,
    output: pathlib.Path,
    reference: Reference,
    about: Metadata,
) -> ExportedFile:
    """Writes one format under its name if it passes the check; returns its entry of export.json."""
    from trainer.exports import check, formats

    kind = formats.FORMATS[name]
    temporary = output / f".{os.getpid()}-{kind.file}"
    try:
        formats.write(name, model, temporary)
        kind.describe(temporary, about)
        checked = check.check(kind.open(temporary), reference, what=kind.file)
        parts = sorted(p for p in (temporary, *temporary.rglob("*")) if p.is_file())
        entry = ExportedFile(
            file=kind.file,
            bytes=sum(part.stat().st_size for part in parts),
            sha256={
                str(pathlib.Path(kind.file, part.relative_to(temporary))): model_card.sha256(part)
                for part in parts
            },
            opset=kind.opset,
            versions=kind.versions,
            **vars(checked),
        )
        _remove(output / kind.file)  # the one that --overwrite replaces
        temporary.rename(output / kind.file)
    finally:
        _remove(temporary)
    return entry


def _check_own(output: pathlib.Path, entry: ExportedFile) -> None:
    """Makes sure that a format to be replaced holds files of ours alone.

    Raises:
        CallerError: its folder holds another.
    """
    folder = output / pathlib.Path(entry.file).name
    for path in sorted(folder.rglob("*")) if not folder.is_symlink() else ():
        if not path.is_dir() and path.relative_to(output).as_posix() not in entry.sha256:
            raise CallerError(
                f"{path} was not written by export, which is to replace {folder.name}; move it, "
                "or give another --output_dir"
            )


def _remove(path: pathlib.Path) -> None:
    """Removes a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _networks_of(source: pathlib.Path) -> list[pathlib.Path]:
    return run_folder.members_of(source, run_folder.read_description(source))


def _open_description(
    source: pathlib.Path, output: pathlib.Path, about: Metadata, *, overwrite: bool
) -> Export:
    """Reads export.json, or begins it; what it lists of another model is removed if overwritten.

    Raises:
        CallerError: it is that of another model.
    """
    digest = model_card.digest_of(source)
    found = export_json.read(output)
    if found and found.model_sha256 != digest:
        if not overwrite:
            raise CallerError(
                f"{output / export_json.FILE} describes another model; give another --output_dir, "
                "or --overwrite to replace its files"
            )
        for entry in found.formats.values():
            _check_own(output, entry)
        for entry in found.formats.values():
            _remove(output / pathlib.Path(entry.file).name)
        found = None
    return Export(
        program=version.describe(),
        model_sha256=digest,
        input=Port(name="pixels", dtype="uint16", shape=(), range=(0, FULL_SCALE)),
        output=Port(name="probability", dtype="float32", shape=(), meaning=about.output),
        about=about,
        formats=dict(found.formats) if found else {},
    )
