"""What the check of a folder of records can be told: arguments -> VerificationConfig."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence

from absl import flags

from records.errors import CallerError


@dataclasses.dataclass(frozen=True)
class VerificationConfig:
    """One check.

    Attributes:
        directory: folder of records, or one above several.
        against: another folder of records to compare with, or None.
    """

    directory: pathlib.Path
    against: pathlib.Path | None = None

    @classmethod
    def from_flags(cls, values: flags.FlagValues, arguments: Sequence[str]) -> VerificationConfig:
        """Builds the configuration from parsed flags and what is no flag.

        Raises:
            CallerError: there is no folder, or it does not exist.
        """
        if not arguments:
            raise CallerError(
                "no folder given; write python -m beam_jobs.verify DIR, DIR being "
                "<output_dir>/<dataset>/<H>x<W>/<recipe> of a conversion, or a folder above it"
            )
        for place in (arguments[0], values.against or ""):
            if "://" in place:
                raise CallerError(
                    f"{place} lies in a store; verify reads folders of this machine, so copy the "
                    "records here first"
                )
        config = cls(
            pathlib.Path(arguments[0]), pathlib.Path(values.against) if values.against else None
        )
        for path in filter(None, (config.directory, config.against)):
            if not path.is_dir():
                raise CallerError(f"{path} is not a folder; give the output of a conversion")
        return config


def define() -> None:
    """Defines the program's flags on absl's FLAGS."""
    flags.DEFINE_string(
        "against",
        None,
        "Another folder of records: it is checked too, then both are compared (schema, "
        "fractions of "
        "every class, intensities, native sizes, images and patients that stand in both).",
    )
