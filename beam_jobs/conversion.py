"""The conversion from first to last: ConversionConfig -> folders of records, and what is in them.

made = convert(config)
for output, manifest in made.manifests.items(): ...

It prints nothing: whoever wants to follow it passes a `Listener`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from upath import UPath

from beam_jobs import (
    conversion_progress,
    early_checks,
    image_list,
    output_folder,
    shards,
    splits,
    storage,
)
from beam_jobs.finished_output import close_output
from beam_jobs.imaging import decode
from beam_jobs.output_folder import Output
from beam_jobs.pseudonyms import Pseudonyms, read_pseudonyms
from beam_jobs.sources import data_files, phantom
from beam_jobs.sources.phantom_image import Sample
from beam_jobs.sources.source_row import SourceRow
from flags.conversion_config import ConversionConfig
from records import files
from records.errors import CallerError
from records.manifest import Manifest
from records.preprocessing import parse_aspect

Plans = Mapping[Output, Mapping[str, Any]]
"""Content of plan.json of each output."""


class Listener:
    """Hears of each stage of a conversion; this one keeps silent."""

    def count(self, what: str, unit: str) -> contextlib.AbstractContextManager[Callable[..., None]]:
        """Opens a stage that counts; its value is called with (done, total, megabytes)."""
        return contextlib.nullcontext(lambda *_: None)

    def note(self, line: str) -> None:
        """Hears what a user should know of the tables."""

    def sample(self) -> None:
        """Hears that the images are synthetic phantoms."""

    def plan(self, plans: Plans) -> None:
        """Hears what is to be written, before anything is."""

    def finish(self, output: Output, manifest: Manifest) -> None:
        """Hears that an output is whole."""


@dataclasses.dataclass(frozen=True)
class Conversion:
    """What a conversion planned and wrote.

    Attributes:
        plans: plan.json of each output.
        manifests: manifest.json of each output; none after a dry run.
    """

    plans: Plans
    manifests: Mapping[Output, Manifest]

    @property
    def rejected_fraction(self) -> float:
        """Largest fraction of the images read that an output rejected."""
        totals = [manifest.totals for manifest in self.manifests.values()]
        return max((t.rejected / max(t.rejected + t.written, 1) for t in totals), default=0.0)


def convert(
    config: ConversionConfig,
    *,
    beam_arguments: Sequence[str] = (),
    listener: Listener | None = None,
) -> Conversion:
    """Converts one data set to records, one folder for each size and recipe.

    What an interrupted call finished is kept by the next one of the same configuration.

    Args:
        config: the conversion; of a dry run only plan.json is written.
        beam_arguments: options of Apache Beam.
        listener: hears of each stage.

    Raises:
        CallerError: something configured can't be done.
        OSError: or another of `storage.errors`; a file can't be read or written.
    """
    listener = listener or Listener()
    early_checks.check(config, beam_arguments)
    pseudonyms = read_pseudonyms(config.hash_patients) if config.hash_patients else None
    options = _decode_options(config)  # fails at once if the decoder is not there
    images = _list_images(config, pseudonyms, listener)
    outputs = output_folder.list_outputs(config)
    plans = _plan(config, outputs, images)
    listener.plan(plans)
    if not config.dry_run:
        _check_any_found(config, plans[outputs[0]])
    key = pseudonyms.fingerprint if pseudonyms else ""
    jobs = {o: output_folder.describe_job(config, o, images, key=key) for o in outputs}
    for output, job in jobs.items():
        output_folder.check_output(output, job, overwrite=config.overwrite)
    if config.dry_run:
        for output in outputs:
            if not output.work_folder.exists():  # its records keep the plan they were made by
                output_folder.write_plan(output, plans[output])
        return Conversion(plans, {})
    with hold(outputs):
        for output, job in jobs.items():
            # again: another job may have come and gone since
            output_folder.check_output(output, job, overwrite=config.overwrite)
            output_folder.open_output(output, job, overwrite=config.overwrite)
            output_folder.write_plan(output, plans[output])
        planned = shards.plan(
            config.dataset,
            images,
            outputs,
            data_dir=storage.folder(config.data_dir),
            images_per_shard=config.images_per_shard,
            options=options,
        )
        written = _write_shards(planned, outputs, beam_arguments, listener)
        shown = [pseudonyms.hide_path(image) for image in images] if pseudonyms else images
        manifests = {}
        for output, job in jobs.items():
            manifest = None if written else output_folder.read_manifest(output)
            if manifest is None:
                manifest = close_output(output, job, images, planned, shown=shown)
            manifests[output] = manifest
            listener.finish(output, manifest)
    return Conversion(plans, manifests)


def _plan(config: ConversionConfig, outputs: Sequence[Output], images: list[SourceRow]) -> Plans:
    return {
        output: splits.summarise(
            images,
            split_policy=config.split_policy,
            record_bytes=output.record_bytes,
            unit=config.unit,
        )
        for output in outputs
    }


def _check_any_found(config: ConversionConfig, plan: Mapping[str, Any]) -> None:
    if not plan["listed"] and plan["excluded"]:
        counts = ", ".join(f"{count} by {why}" for why, count in plan["excluded"].items())
        raise CallerError(f"{config.data_dir}: every image is left out: {counts}")
    if not plan["found"]:
        raise CallerError(
            f"none of the {plan['listed']} images listed was found under "
            f"{config.data_dir}; give the folder of the images, or see what is listed by --dry_run"
        )


@contextlib.contextmanager
def hold(outputs: Iterable[Output]) -> Iterator[None]:
    """Makes the folders of the outputs and keeps other jobs out of them.

    Stores know no locks: there nobody is kept out. Two jobs of the same configuration write the
    same bytes, those of another are refused by job.json.

    Raises:
        CallerError: another job is at work there, or the folder can't be written.
    """
    with contextlib.ExitStack() as stack:
        for output in outputs:
            path = output.work_folder / "lock"
            if not isinstance(path, UPath):
                busy = (
                    f"{output.directory} is being written by another job; wait for it, or give "
                    "another --output_dir"
                )
                stack.enter_context(files.hold(path, busy=busy))
        yield


def _decode_options(config: ConversionConfig) -> decode.Options:
    return decode.Options(
        max_pixels=config.max_pixels,
        window=config.window,
        frame=config.frame,
        decoder=config.decoder,
        at_least=config.at_least,
        invert=config.invert != "none",
        aspect=parse_aspect(config.aspect),
    )


def _list_images(
    config: ConversionConfig, pseudonyms: Pseudonyms | None, listener: Listener
) -> list[SourceRow]:
    """Lists the images, of the built-in sample after drawing them."""
    if config.dataset == "phantom":
        assert isinstance(config.data_dir, pathlib.Path)
        listener.sample()
        with listener.count(f"making phantoms in {config.data_dir}", "images") as report:
            phantom.make(config.data_dir, _phantom_sample(config), report=report)
    with listener.count(f"reading headers in {config.data_dir}", "files") as report:
        cache = storage.folder(config.output_dir) / config.dataset / "headers.csv"
        if pseudonyms and data_files.is_own_cache(cache):
            files.remove(cache)  # an earlier job's: it holds the data set's own names
        return image_list.list_images(
            config,
            cache=None if pseudonyms else cache,
            report=report,
            note=listener.note,
            pseudonyms=pseudonyms,
        )


def _phantom_sample(config: ConversionConfig) -> Sample:
    """Returns the phantoms configured by --phantom_images and --phantom_size."""
    sample = Sample()
    if config.phantom_images is not None:
        sample = dataclasses.replace(sample, images=config.phantom_images)
    if config.phantom_size is not None:
        size = config.phantom_size
        sample = dataclasses.replace(sample, height=size.height, width=size.width)
    return sample


def _write_shards(
    planned: Sequence[shards.Shard],
    outputs: Sequence[Output],
    beam_arguments: Sequence[str],
    listener: Listener,
) -> bool:
    """Writes the shards that are not finished; returns whether there were any."""
    todo = [rest for shard in planned if (rest := shards.unfinished(shard))]
    if todo:
        for output in outputs:
            output_folder.withdraw(output)
        with (
            listener.count("converting", "images") as report,
            conversion_progress.watch(planned, report),
        ):
            # Beam takes seconds to import, and not all conversions get here
            from beam_jobs import pipeline

            pipeline.run(todo, beam_arguments)
    return bool(todo)
