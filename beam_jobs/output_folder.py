"""An output folder before its shards are written: job.json and plan.json; resumed or refused.

fingerprint  what was configured: flags, images, library versions; decides resume or refuse
data_fingerprint  what came out: the SHA-256 of all shards
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from beam_jobs import storage
from beam_jobs.sources.source_row import SourceRow
from beam_jobs.storage import Folder
from flags import recipe_spec
from flags.conversion_config import ConversionConfig
from records import files, folder, schema
from records.errors import CallerError
from records.image_size import ImageSize
from records.manifest import Job, Ledger, Manifest

_REMEDY = "give another --output_dir, or remove the folder"
# libraries whose version may change a pixel or a split
_LIBRARIES = ("imagecodecs", "numpy", "opencv-python-headless", "pydicom", "scikit-learn", "scipy")


@dataclasses.dataclass(frozen=True)
class Output:
    """One folder of records.

    Attributes:
        recipe: in the language of `flags.recipe_spec`.
        unit: what one record holds, a key of `schema.VIEWS`; the same for all outputs of a job.
    """

    directory: Folder
    size: ImageSize
    recipe: str
    unit: str = "image"

    @property
    def record_bytes(self) -> int:
        """Bytes of pixels in one record."""
        return 2 * self.size.height * self.size.width * max(len(schema.VIEWS[self.unit]), 1)

    @property
    def work_folder(self) -> Folder:
        """Where ledgers, and files not yet whole, lie."""
        return self.directory / folder.WORK_FOLDER

    def read_ledger(self, shard: str) -> Ledger:
        """Reads what a finished shard holds; see `records.folder.read_ledger`."""
        return folder.read_ledger(folder.ledger_path(self.directory, shard))


def list_outputs(config: ConversionConfig) -> list[Output]:
    """Lists the folders of a conversion, one for each size and recipe."""
    root = storage.folder(config.output_dir) / config.dataset
    suffix = "" if config.unit == "image" else f"-{config.unit}"
    return [
        Output(
            root / str(size) / f"{recipe_spec.folder_name(text)}{suffix}",
            size=size,
            recipe=text,
            unit=config.unit,
        )
        for size in config.sizes
        for text in config.recipes
    ]


def describe_job(
    config: ConversionConfig,
    output: Output,
    images: Sequence[SourceRow] | None = None,
    *,
    key: str = "",
) -> Job:
    """Returns all that decides the bytes of an output.

    Args:
        config: the conversion.
        output: the folder.
        images: every image the tables list, as they are named there; None before they are read.
        key: tells which key their names are hashed with, "" if they are not.
    """
    rows = [
        [
            *(image.image_id, bool(image.path), image.split, image.excluded, image.clinical()),
            *([image.unit_id] if output.unit != "image" else []),
            *(stated for stated in (image.inverted, image.aspect) if stated is not None),
        ]
        for image in images or ()
    ]
    # Pillow decodes wavelet levels, and nothing else here
    libraries = (*_LIBRARIES, "pillow") if config.at_least else _LIBRARIES
    return Job(
        schema_version=schema.SCHEMA_VERSION,
        settings=config.identity(),
        size=output.size,
        recipe=recipe_spec.folder_name(output.recipe),
        steps=recipe_spec.canonical(output.recipe),
        images="" if images is None else hashlib.sha256(json.dumps(rows).encode()).hexdigest(),
        versions={name: importlib.metadata.version(name) for name in libraries},
        hash_patients=key,
    )


def check_output(output: Output, job: Job, *, overwrite: bool) -> None:
    """Refuses a folder that holds records of another job, or something else.

    Args:
        output: the folder.
        job: the one wanted; its images are not compared before they are read.
        overwrite: whether another job's records may be replaced.

    Raises:
        CallerError: names what differs and what to do.
    """
    path = output.work_folder / folder.JOB
    if storage.is_file(path):
        found, wanted = files.read_json(path, remedy=_REMEDY), job.to_json()
        keys = (wanted.keys() | found.keys()) - {"fingerprint", *([] if job.images else ["images"])}
        changed = [
            _describe_change(key, found.get(key), wanted.get(key))
            for key in sorted(keys)
            if wanted.get(key) != found.get(key)
        ]
        if changed and not overwrite:
            raise CallerError(
                f"{output.directory} holds records made with other {', '.join(changed)}; "
                "give another --output_dir, or --overwrite to replace them"
            )
    elif output.directory.is_dir():
        # a job killed before it wrote job.json leaves these
        names = {entry.name for entry in output.directory.iterdir()}
        others = names - {"plan.json", folder.WORK_FOLDER}
        if any(not name.startswith(".plan.json.") for name in others):
            raise CallerError(
                f"{output.directory} is not empty and was not made by this program; "
                "give another --output_dir"
            )


def _describe_change(key: str, before: Any, now: Any) -> str:
    """Writes what differs between two jobs, with the values where they say something."""
    if key == "images":  # a digest
        return "images (other names, splits or labels)"
    if isinstance(before, dict) and isinstance(now, dict):
        differing = [one for one in sorted({**before, **now}) if before.get(one) != now.get(one)]
        before, now = (
            ", ".join(f"{one} {values.get(one)}" for one in differing) for values in (before, now)
        )
    before, now = ("none" if value is None else value for value in (before, now))
    return f"{key} ({before}, now {now})"


def open_output(output: Output, job: Job, *, overwrite: bool) -> None:
    """Makes the folder of an output, or resumes the same job where it stopped.

    Raises:
        CallerError: the folder can't be written.
    """
    path, content = output.work_folder / folder.JOB, job.to_json()
    with _writing(output):
        if overwrite and storage.is_file(path) and files.read_json(path, remedy=_REMEDY) != content:
            _remove_records(output)
        storage.make_folder(output.work_folder)
        for entry in storage.entries(output.work_folder):
            if files.whole_name(entry.name):
                files.remove(entry)
        for entry in storage.entries(output.directory):  # of a job killed while it wrote its tables
            if files.whole_name(entry.name) in folder.FILES:
                files.remove(entry)
        files.write_json(path, content)


def write_plan(output: Output, plan: Mapping[str, Any]) -> None:
    """Writes plan.json, so that it can be read before the images are."""
    with _writing(output):
        storage.make_folder(output.directory)
        files.write_json(output.directory / "plan.json", plan)


@contextlib.contextmanager
def _writing(output: Output) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CallerError(
            f"{output.directory} can't be written: {error.strerror or error}"
        ) from error


def withdraw(output: Output) -> None:
    """Removes manifest.json before shards are written anew.

    A job killed after the last of them would else leave a manifest that speaks of the old ones.

    Raises:
        OSError: it can't be removed.
    """
    files.remove(output.directory / folder.MANIFEST)


def read_manifest(output: Output) -> Manifest | None:
    """Reads manifest.json of a finished output, None before that."""
    if not storage.is_file(output.directory / folder.MANIFEST):
        return None
    return folder.read_manifest(output.directory, remedy=_REMEDY)


def _remove_records(output: Output) -> None:
    """Removes what this program wrote, and nothing else that may lie there.

    job.json goes last: whoever is killed meanwhile leaves a folder known as this program's.
    """
    withdraw(output)
    for path in storage.entries(output.directory):
        if path.name in folder.FILES or folder.is_shard(path.name):
            files.remove(path)
    for path in storage.entries(output.work_folder):
        if folder.is_shard(path.name.removesuffix(".json")):
            files.remove(path)
    files.remove(output.work_folder / folder.JOB)
