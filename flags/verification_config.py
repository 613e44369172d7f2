"""Flags of the check of a folder of records -> VerificationConfig."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence

from absl import flags

from flags import fields
from flags.fields import Flags, flag
from records.errors import CallerError


def _folder(place: str) -> pathlib.Path:
    if "://" in place:
        raise CallerError(
            f"{place} lies in a store; verify reads folders of this machine, so copy the records "
            "here first"
        )
    path = pathlib.Path(place)
    if not path.is_dir():
        raise CallerError(f"{path} is not a folder; give the output of a conversion")
    return path


@dataclasses.dataclass(frozen=True)
class VerificationConfig(Flags):
    """One check.

    Attributes:
        directory: folder of records, or one above several; no flag, but the argument.
    """

    directory: pathlib.Path
    against: pathlib.Path | None = flag(
        None,
        "Another folder of records: it is checked too, then both are compared (schema, fractions "
        "of every class, intensities, native sizes, images and patients that stand in both).",
        parse=_folder,
        place=True,
    )

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
        return fields.from_flags(cls, values, directory=_folder(fields.expand_home(arguments[0])))
