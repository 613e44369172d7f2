"""What can't be done, found out in a moment: before Beam is imported and before images are read.

check_flags(arguments, known=flags.FLAGS)
check(config, beam_arguments)
"""

from __future__ import annotations

import importlib.metadata
import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import NoReturn

from upath import UPath

from beam_jobs import output_folder, storage
from beam_jobs.pseudonyms import read_pseudonyms
from flags import command_line
from flags.conversion_config import ConversionConfig
from records.errors import CallerError


def check_flags(arguments: Sequence[str], known: Iterable[str]) -> None:
    """Refuses an argument that is neither a flag of this program nor an option of Beam.

    A runner brings options of its own, so with --runner Beam has to say what they are; without
    one all have their names in one file of it, which is read as text.

    Args:
        arguments: those that are no flags of this program.
        known: names of its flags.

    Raises:
        CallerError: names the argument, and the flag that comes closest.
    """
    names = [argument.partition("=")[0] for argument in arguments]
    if names and not names[0].startswith("-"):
        refuse(arguments[0], known)
    if "--runner" in names:
        return
    options = _read_options() if names else ""
    for name in names:  # a word that is none may be the value of the option before
        if name.startswith("-") and f"'{name}'" not in options:
            refuse(name, known)


def refuse(argument: str, known: Iterable[str]) -> NoReturn:
    """Refuses an argument nobody takes.

    Raises:
        CallerError: names it, and the flag that comes closest.
    """
    if argument.startswith("-"):
        raise CallerError(command_line.describe_unknown(argument, known))
    raise CallerError(command_line.describe_stray(argument))


def _read_options() -> str:
    """Reads the file of Beam that defines its options; importing Beam takes seconds."""
    beam = importlib.metadata.distribution("apache-beam")
    file = pathlib.Path(str(beam.locate_file("apache_beam/options/pipeline_options.py")))
    return file.read_text(encoding="utf-8")


def check(config: ConversionConfig, beam_arguments: Sequence[str] = ()) -> None:
    """Finds out what would end a conversion after its images were listed, which may take hours.

    Raises:
        CallerError: a folder or store is not there, can't be written or holds other records.
    """
    places = [storage.folder(place) for place in (config.data_dir, config.output_dir)]
    stores = [place for place in places if isinstance(place, UPath)]
    if stores:
        storage.configure(beam_arguments)
    for store in stores:
        storage.check_reachable(store)
    if isinstance(config.output_dir, pathlib.Path):
        _check_output_dir(config.output_dir)
    if config.dataset != "phantom":
        storage.check_folder(places[0])
    elif isinstance(places[0], UPath):
        raise CallerError(
            f"--data_dir={config.data_dir}: the phantom sample is drawn on this machine; "
            "give a local folder"
        )
    key = read_pseudonyms(config.hash_patients).fingerprint if config.hash_patients else ""
    for output in output_folder.list_outputs(config):
        job = output_folder.describe_job(config, output, key=key)
        output_folder.check_output(output, job, overwrite=config.overwrite)


def _check_output_dir(output_dir: pathlib.Path) -> None:
    existing = next(path for path in (output_dir, *output_dir.absolute().parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise CallerError(
            f"--output_dir={output_dir} can't be written: {existing} is no folder that you may "
            "write to"
        )
