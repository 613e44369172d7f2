"""The flag that names a finished run: --run, the same for every verb that takes one."""

from __future__ import annotations

import dataclasses
import pathlib

from flags.fields import Flags, flag
from records.errors import CallerError


@dataclasses.dataclass(frozen=True)
class OfOneRun(Flags):
    """Flags of a verb that takes the folder of one finished run."""

    run: str = flag("", "Folder of the finished run.", place=True)

    def check(self) -> None:
        """Checks that a run is named, and there: before any slow library is imported."""
        super().check()
        if not self.run:
            raise CallerError("--run=RUN is missing, the folder of a finished run")
        if not pathlib.Path(self.run).is_dir():
            raise CallerError(f"--run={self.run} is not a folder; give that of a finished run")


@dataclasses.dataclass(frozen=True)
class AnyModality(Flags):
    """Flag of a verb that takes images of one's own."""

    any_modality: bool = flag(
        False, "Take images that are no mammograms by their headers too (CT, MR, chest, ...)."
    )
