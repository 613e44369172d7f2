"""Turns mammograms into sharded, pre-resized, enhanced TFRecords, one set for each size.

  python -m beam_jobs.tfrecords --dataset=cbis_ddsm --data_dir=DIR --sizes=2048x1376,512x512

Records go to <output_dir>/<dataset>/<H>x<W>/<recipe>/. An interrupted job goes on with the same
command. Apache Beam's own options (--runner, --direct_num_workers, ...) are passed on to Beam.
"""

from __future__ import annotations

from flags import interrupts

if __name__ == "__main__":
    interrupts.install()  # before slower imports

import logging
import sys

from absl import flags

from beam_jobs import early_checks
from flags import command_line, fields
from flags.conversion_config import ConversionConfig
from records.errors import CallerError


def main() -> None:
    """Runs the program with the flags of the command line."""
    command_line.run(run, lambda: fields.define(ConversionConfig), pass_unknown=True)


def run(beam_arguments: list[str]) -> int:
    """Converts one data set; returns the exit code.

    Raises:
        CallerError: something configured can't be done.
    """
    config = ConversionConfig.from_flags(flags.FLAGS)
    early_checks.check_flags(beam_arguments, flags.FLAGS)
    early_checks.check(config, beam_arguments)
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)  # what it raises says it all
    logging.getLogger().addFilter(lambda record: "apitools" not in str(record.msg))  # Beam's import
    # what takes seconds to import waits until the flags are known to be good
    if beam_arguments:
        from beam_jobs import pipeline

        if unknown := pipeline.find_unknown(beam_arguments):
            early_checks.refuse(unknown[0], flags.FLAGS)
    from beam_jobs import conversion, storage
    from beam_jobs.conversion_messages import Terminal

    try:
        made = conversion.convert(config, beam_arguments=beam_arguments, listener=Terminal(config))
    except storage.errors() as error:
        where, what = getattr(error, "filename", None), getattr(error, "strerror", None)
        place = f"{where}: " if where else ""
        raise CallerError(
            f"{place}{what or error}; mend that, then give the same command again: "
            "finished shards are kept"
        ) from error
    if made.rejected_fraction <= config.max_rejected:
        return 0
    print(
        f"error: {made.rejected_fraction:.1%} of the images were rejected, --max_rejected allows "
        f"{config.max_rejected:.1%}; the others are written, rejected.csv lists the reasons",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    main()
