"""Turns mammograms into sharded, pre-resized, enhanced TFRecords, one set for each size.

  python -m beam_jobs.tfrecords --dataset=cbis_ddsm --data_dir=DIR --sizes=2048x1376,512x512

Records go to <output_dir>/<dataset>/<H>x<W>/<recipe>/. An interrupted job goes on with the same
command. Apache Beam's own options (--runner, --direct_num_workers, ...) are passed on to Beam.
"""

from __future__ import annotations

import logging
import os
import pathlib
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from absl import flags
from upath import UPath

from beam_jobs import storage
from flags import command_line, datasets, fields, recipe
from flags.conversion import ConversionConfig
from records.errors import CallerError

if TYPE_CHECKING:
    from beam_jobs.imaging.decode import Options
    from beam_jobs.pseudonyms import Pseudonyms
    from beam_jobs.shards import Output
    from beam_jobs.sources.source_row import SourceRow
    from records.manifest import Job, Manifest

PHANTOM_NOTICE = """\
==========================================================================================
  NO REAL IMAGES: this is the built-in sample of SYNTHETIC PHANTOMS. Nothing learned from
  it says anything about mammograms. For real images give --dataset and --data_dir.
=========================================================================================="""


def main() -> None:
    """Runs the program with the flags of the command line."""
    command_line.run(run, lambda: fields.define(ConversionConfig), pass_unknown=True)


def run(beam_arguments: list[str]) -> int:
    """Converts one data set; returns the exit code.

    Raises:
        CallerError: something asked for can't be done.
    """
    config = ConversionConfig.from_flags(flags.FLAGS)
    try:
        return _run(config, beam_arguments, dry_run=config.dry_run)
    except storage.errors() as error:
        where, what = getattr(error, "filename", None), getattr(error, "strerror", None)
        place = f"{where}: " if where else ""
        raise CallerError(
            f"{place}{what or error}; mend that, then give the same command again: "
            "finished shards are kept"
        ) from error


def _run(config: ConversionConfig, beam_arguments: list[str], *, dry_run: bool) -> int:
    if beam_arguments:
        _refuse_unknown(beam_arguments)
    # slow imports wait until the flags are known to be good
    from beam_jobs import lock, output_folder, shards, splits
    from beam_jobs.pseudonyms import read_pseudonyms

    output_dir = storage.folder(config.output_dir)
    _check_places(config, beam_arguments)
    key = config.hash_patients
    pseudonyms = read_pseudonyms(key) if key is not None else None
    _decode_options(config)  # says at once if the decoder is not there
    images = _list_images(config, pseudonyms)
    outputs = [
        shards.Output(
            output_dir / config.dataset / str(size) / recipe.folder_name(text),
            size=size,
            recipe=text,
        )
        for size in config.sizes
        for text in config.recipes
    ]
    plans = {
        output: splits.summarise(
            images, split_policy=config.split_policy, record_bytes=output.record_bytes
        )
        for output in outputs
    }
    _print_plan(config, plans[outputs[0]], sum(p["bytes_to_write"] for p in plans.values()))
    mark = pseudonyms.fingerprint if pseudonyms else ""
    jobs = {
        output: output_folder.describe_job(config, output, images, key=mark) for output in outputs
    }
    if not dry_run and not plans[outputs[0]]["found"]:
        raise CallerError(
            f"none of the {plans[outputs[0]]['listed']} images listed was found under "
            f"{config.data_dir}; give the folder of the images, or see what is listed by --dry_run"
        )
    for output in outputs:
        output_folder.check_output(output, jobs[output], overwrite=config.overwrite)
    if dry_run:
        for output in outputs:
            if not output.work_folder.exists():  # its records keep the plan they were made by
                output_folder.write_plan(output, plans[output])
        return 0
    with lock.hold(outputs):
        for output in outputs:
            # again: another job may have come and gone since
            output_folder.check_output(output, jobs[output], overwrite=config.overwrite)
            output_folder.open_output(output, jobs[output], overwrite=config.overwrite)
            output_folder.write_plan(output, plans[output])
        return _convert(config, images, jobs, beam_arguments, pseudonyms)


def _import_pipeline() -> ModuleType:
    """Imports Beam without its notes on optional clouds, and quiets its bookkeeping."""
    logging.disable(logging.WARNING)
    from beam_jobs import pipeline

    logging.disable(logging.NOTSET)
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)  # what it raises says it all
    return pipeline


def _refuse_unknown(beam_arguments: Sequence[str]) -> None:
    unknown = _import_pipeline().find_unknown(beam_arguments)
    if unknown:
        raise CallerError(command_line.describe_unknown(unknown[0], flags.FLAGS))


def _check_places(config: ConversionConfig, beam_arguments: Sequence[str]) -> None:
    """Finds out before images are read, which may take hours, that nothing could be written."""
    places = [storage.folder(place) for place in (config.data_dir, config.output_dir)]
    stores = [place for place in places if isinstance(place, UPath)]
    if stores:
        _import_pipeline()
        storage.configure(beam_arguments)
    for store in stores:
        storage.check_reachable(store)
    if isinstance(config.output_dir, pathlib.Path):
        _check_output_dir(config.output_dir)
    if config.dataset == "phantom" and not isinstance(config.data_dir, pathlib.Path):
        raise CallerError(
            f"--data_dir={config.data_dir}: the phantom sample is drawn on this machine; "
            "give a local folder"
        )


def _check_output_dir(output_dir: pathlib.Path) -> None:
    existing = next(path for path in (output_dir, *output_dir.absolute().parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise CallerError(
            f"--output_dir={output_dir} can't be written: {existing} is no folder that you may "
            "write to"
        )


def _decode_options(config: ConversionConfig) -> Options:
    from beam_jobs.imaging import decode

    return decode.Options(
        max_pixels=config.max_pixels,
        window=config.window,
        frame=config.frame,
        decoder=config.decoder,
    )


def _list_images(config: ConversionConfig, pseudonyms: Pseudonyms | None) -> list[SourceRow]:
    from beam_jobs import progress
    from beam_jobs.sources import listing, phantom

    if config.dataset == "phantom":
        assert isinstance(config.data_dir, pathlib.Path)
        print(PHANTOM_NOTICE, file=sys.stderr)
        with progress.Reporter(f"making phantoms in {config.data_dir}", "images") as reporter:
            phantom.make(config.data_dir, listing.phantom_sample(config), report=reporter.update)
    with progress.Reporter(f"reading headers in {config.data_dir}", "files") as reporter:
        cache = storage.folder(config.output_dir) / config.dataset / "headers.csv"
        if pseudonyms:  # it holds the data set's own names: one of an earlier job must go too
            cache.unlink(missing_ok=True)
        return listing.list_images(
            config,
            cache=None if pseudonyms else cache,
            report=reporter.update,
            pseudonyms=pseudonyms,
        )


def _convert(
    config: ConversionConfig,
    images: Sequence[SourceRow],
    jobs: dict[Output, Job],
    beam_arguments: Sequence[str],
    pseudonyms: Pseudonyms | None,
) -> int:
    from beam_jobs import output_folder, progress, shards

    pipeline = _import_pipeline()

    planned = shards.plan(
        config.dataset,
        images,
        list(jobs),
        data_dir=storage.folder(config.data_dir),
        images_per_shard=config.images_per_shard,
        options=_decode_options(config),
    )
    todo = [rest for shard in planned if (rest := shards.unfinished(shard))]
    if todo:
        for output in jobs:
            output_folder.withdraw(output)
        with progress.watch(planned):
            pipeline.run(todo, beam_arguments)
    shown = [pseudonyms.hide_path(image) for image in images] if pseudonyms else images
    worst = 0.0
    for output, job in jobs.items():
        made = None if todo else output_folder.read_manifest(output)
        if made is None:
            made = output_folder.close_output(output, job, images, planned, shown=shown)
        totals = made.totals
        worst = max(worst, totals.rejected / max(totals.rejected + totals.written, 1))
        _print_result(output, made)
    if worst > config.max_rejected:
        print(
            f"error: {worst:.1%} of the images were rejected, --max_rejected allows "
            f"{config.max_rejected:.1%}; the others are written, rejected.csv lists the reasons",
            file=sys.stderr,
        )
        return 1
    return 0


def _print_plan(config: ConversionConfig, plan: dict[str, Any], bytes_to_write: int) -> None:
    title = datasets.DATASETS[config.dataset].title
    print(f"{title}: {plan['listed']} images listed, {plan['found']} found in {config.data_dir}")
    for name, split in plan["splits"].items():
        labels = ", ".join(f"{count} {label}" for label, count in split["labels"].items())
        print(
            f"  {name:6} {split['images']:5} images of {split['patients']:4} patients: {labels}"
            f" ({split['found']} found)"
        )
    for reason, count in plan["excluded"].items():
        print(f"  {count} images left out by {reason}")
    if plan["leaked_patients"]:
        print(
            f"  {len(plan['leaked_patients'])} patients stand in both official sets "
            f"(--leak_policy={config.leak_policy})"
        )
    print(f"  {bytes_to_write / 1e6:,.0f} MB to write", flush=True)
    if plan["missing"]:
        print(
            f"warning: {plan['missing']} of {plan['listed']} images listed have no file in "
            f"{config.data_dir}; sources.csv will name them",
            file=sys.stderr,
        )


def _print_result(output: Output, made: Manifest) -> None:
    totals = made.totals
    print(
        f"{output.directory}: {totals.written} images in {len(made.shards)} shards, "
        f"{totals.bytes / 1e6:,.0f} MB; {totals.rejected} rejected, "
        f"{totals.missing} missing, {totals.excluded} excluded"
    )
    for reason, count in made.rejected.items():
        print(f"  rejected: {count} {reason}", file=sys.stderr)
    print(f"  look at {output.directory / 'preview.png'}")


if __name__ == "__main__":
    main()
