"""The only Beam wiring: shards in, shards written. Pixels never cross a shuffle."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import apache_beam as beam
import cv2
from apache_beam.metrics import Metrics
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineRunner

from beam_jobs import shards


class WriteShard(beam.DoFn):
    """Writes one shard, whole, to every output that still lacks it."""

    def setup(self) -> None:
        """Leaves the cores to Beam: its workers are the parallelism."""
        cv2.setNumThreads(1)

    def process(self, shard: shards.Shard):  # type: ignore[no-untyped-def]
        """Writes the shard; yields its name."""
        shards.write(shard)
        Metrics.counter("beam_jobs", "films").inc(len(shard.films))
        yield shard.name


# threads of this process, one a core (0): OpenCV and numpy let go of the GIL
_DIRECT_DEFAULTS = ("--direct_num_workers=0", "--direct_running_mode=multi_threading")


def parse_options(arguments: Sequence[str]) -> tuple[PipelineOptions, list[str]]:
    """Reads Beam's own options, with defaults for running on this machine.

    Returns:
        the options, and the arguments that Beam does not know either.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for options in PipelineOptions.__subclasses__():
        options._add_argparse_args(parser)  # Beam's own way to collect them
    _, unknown = parser.parse_known_args(list(arguments))
    return PipelineOptions([*_DIRECT_DEFAULTS, *arguments]), unknown


def choose_runner(options: PipelineOptions) -> PipelineRunner | str:
    """Takes the runner asked for; by default this very process.

    Beam's DirectRunner would first try to download a binary.
    """
    name = options.view_as(StandardOptions).runner
    return FnApiRunner() if name in (None, "DirectRunner") else name


def run(planned: Sequence[shards.Shard], options: PipelineOptions) -> None:
    """Writes the shards; returns when all are written.

    Raises:
        Exception: what stopped a worker, with Beam's account of where.
    """
    with beam.Pipeline(runner=choose_runner(options), options=options) as pipeline:
        _ = (
            pipeline
            | "List shards" >> beam.Create(list(planned), reshuffle=True)
            | "Write shards" >> beam.ParDo(WriteShard())
        )
