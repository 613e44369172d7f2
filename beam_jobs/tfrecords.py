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

from flags import catalogue, command_line, conversion
from flags.conversion import ConversionConfig
from flags.errors import CallerError

if TYPE_CHECKING:
    from beam_jobs.imaging.decode import Options
    from beam_jobs.shards import Output
    from beam_jobs.sources.film import Film

PHANTOM_NOTICE = """\
==========================================================================================
  NO REAL FILMS: this is the built-in sample of SYNTHETIC PHANTOMS. Nothing learned from
  it says anything about mammograms. For real films give --dataset and --data_dir.
=========================================================================================="""


def main() -> None:
    """Runs the program with the flags of the command line."""
    command_line.run(run, conversion.define, pass_unknown=True)


def run(beam_arguments: list[str]) -> int:
    """Converts one data set; returns the exit code.

    Raises:
        CallerError: something asked for can't be done.
    """
    config = ConversionConfig.from_flags(flags.FLAGS)
    dry_run = flags.FLAGS.dry_run
    if beam_arguments:
        _refuse_unknown(beam_arguments)
    # slow imports wait until the flags are known to be good
    from beam_jobs import manifest, shards, splits
    from beam_jobs.imaging import decode

    options = decode.Options(
        max_pixels=config.max_pixels,
        window=config.window,
        frame=config.frame,
        decoder=config.decoder,
    )
    _check_output_dir(config.output_dir)
    films = _list_films(config)
    outputs = [
        shards.Output(
            config.output_dir / config.dataset / str(size) / recipe, size=size, recipe=recipe
        )
        for size in config.sizes
        for recipe in config.recipes
    ]
    plans = {
        output: splits.summarise(
            films, split_policy=config.split_policy, record_bytes=output.record_bytes
        )
        for output in outputs
    }
    _print_plan(config, plans[outputs[0]], sum(p["bytes_to_write"] for p in plans.values()))
    jobs = {output: manifest.describe_job(config, output, films) for output in outputs}
    if not dry_run and not plans[outputs[0]]["found"]:
        raise CallerError(
            f"none of the {plans[outputs[0]]['listed']} films listed was found under "
            f"{config.data_dir}; give the folder of the films, or see what is listed by --dry_run"
        )
    for output in outputs:
        manifest.check_output(output, jobs[output], overwrite=config.overwrite)
    for output in outputs:
        if not dry_run:
            manifest.open_output(output, jobs[output], overwrite=config.overwrite)
        manifest.write_plan(output, plans[output])
    if dry_run:
        return 0
    return _convert(config, films, outputs, jobs, beam_arguments, decode_options=options)


def _import_pipeline() -> ModuleType:
    """Imports Beam without its notes on optional clouds, and quiets its bookkeeping."""
    logging.disable(logging.WARNING)
    from beam_jobs import pipeline

    logging.disable(logging.NOTSET)
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)  # what it raises says it all
    return pipeline


def _refuse_unknown(beam_arguments: Sequence[str]) -> None:
    pipeline = _import_pipeline()
    options, unknown = pipeline.parse_options(beam_arguments)
    if unknown:
        raise CallerError(command_line.describe_unknown(unknown[0], flags.FLAGS))
    pipeline.choose_runner(options)


def _check_output_dir(output_dir: pathlib.Path) -> None:
    """Finds out before films are read, which may take hours, that nothing could be written."""
    existing = next(path for path in (output_dir, *output_dir.absolute().parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise CallerError(
            f"--output_dir={output_dir} can't be written: {existing} is no folder that you may "
            "write to"
        )


def _list_films(config: ConversionConfig) -> list[Film]:
    from beam_jobs import progress
    from beam_jobs.sources import listing, phantom

    if config.dataset == "phantom":
        print(PHANTOM_NOTICE, file=sys.stderr)
        with progress.Reporter(f"making phantoms in {config.data_dir}", "films") as reporter:
            phantom.make(config.data_dir, listing.phantom_sample(config), report=reporter.update)
    with progress.Reporter(f"reading headers in {config.data_dir}", "files") as reporter:
        return listing.list_films(
            config,
            cache=config.output_dir / config.dataset / "headers.csv",
            report=reporter.update,
        )


def _convert(
    config: ConversionConfig,
    films: Sequence[Film],
    outputs: Sequence[Output],
    jobs: dict[Output, dict[str, Any]],
    beam_arguments: Sequence[str],
    *,
    decode_options: Options,
) -> int:
    from beam_jobs import manifest, progress, shards

    pipeline = _import_pipeline()

    planned = shards.plan(
        config.dataset,
        films,
        outputs,
        data_dir=config.data_dir,
        films_per_shard=config.films_per_shard,
        options=decode_options,
    )
    todo = [rest for shard in planned if (rest := shards.unfinished(shard))]
    if todo:
        options, _ = pipeline.parse_options(beam_arguments)
        with progress.watch(planned):
            pipeline.run(todo, options)
    worst = 0.0
    for output in outputs:
        made = None if todo else manifest.read_manifest(output)
        if made is None:
            made = manifest.close_output(output, jobs[output], films, planned)
        totals = made["totals"]
        worst = max(worst, totals["rejected"] / max(totals["rejected"] + totals["written"], 1))
        _print_result(output, made)
    if worst > config.max_rejected:
        print(
            f"error: {worst:.1%} of the films were rejected, --max_rejected allows "
            f"{config.max_rejected:.1%}; the others are written, rejected.csv lists the reasons",
            file=sys.stderr,
        )
        return 1
    return 0


def _print_plan(config: ConversionConfig, plan: dict[str, Any], bytes_to_write: int) -> None:
    title = catalogue.DATASETS[config.dataset].title
    print(f"{title}: {plan['listed']} films listed, {plan['found']} found in {config.data_dir}")
    for name, split in plan["splits"].items():
        labels = ", ".join(f"{count} {label}" for label, count in split["labels"].items())
        print(
            f"  {name:6} {split['films']:5} films of {split['patients']:4} patients: {labels}"
            f" ({split['found']} found)"
        )
    for reason, count in plan["excluded"].items():
        print(f"  {count} films left out by {reason}")
    if plan["leaked_patients"]:
        print(
            f"  {len(plan['leaked_patients'])} patients stand in both official sets "
            f"(--leak_policy={config.leak_policy})"
        )
    print(f"  {bytes_to_write / 1e6:,.0f} MB to write", flush=True)
    if plan["missing"]:
        print(
            f"warning: {plan['missing']} of {plan['listed']} films listed have no file in "
            f"{config.data_dir}; sources.csv will name them",
            file=sys.stderr,
        )


def _print_result(output: Output, made: dict[str, Any]) -> None:
    totals = made["totals"]
    print(
        f"{output.directory}: {totals['written']} films in {len(made['shards'])} shards, "
        f"{totals['bytes'] / 1e6:,.0f} MB; {totals['rejected']} rejected, "
        f"{totals['missing']} missing, {totals['excluded']} excluded"
    )
    for reason, count in made["rejected"].items():
        print(f"  rejected: {count} {reason}", file=sys.stderr)
    print(f"  look at {output.directory / 'preview.png'}")


if __name__ == "__main__":
    main()
