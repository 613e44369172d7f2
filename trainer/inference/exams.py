"""Input images -> the breast each shows, without ever naming the patient.

exams = Exams()
place = exams.place(given, identity, origin)   # exam 1, left, CC
"""

from __future__ import annotations

import dataclasses
import re

from beam_jobs.imaging.dicom_file import Identity, Origin
from trainer.inference.inputs import InputImage

_CBIS = re.compile(
    r"(?:(?:Mass|Calc)-(?:Training|Test)_)?(\w+?)_(LEFT|RIGHT)_(CC|MLO)(?:_\d+)?(?:\.\w+)?"
)
"""CBIS-DDSM names PatientID, folders and files so, and the phantoms after it. Each image there is a
patient and a study of its own."""


@dataclasses.dataclass(frozen=True)
class Place:
    """What an image shows: the running number of its examination (None: unknown), side and view."""

    exam: int | None
    side: str
    view: str


class Exams:
    """Numbers examinations in the order in which they are met."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, ...], int] = {}

    def place(self, given: InputImage, identity: Identity, origin: Origin) -> Place:
        """Finds what an image shows: by the table, else its DICOM header, else CBIS-DDSM's names.

        Images of one patient from two studies (StudyInstanceUID) are two examinations: breasts
        change.
        """
        match = _match_cbis(given, identity)
        name, side, view = match.groups() if match else ("", "", "")
        key: tuple[str, ...] = ()
        if given.exam:
            key = ("table", given.exam)
        elif name:
            key = ("name", name)
        elif identity.patient_id:
            key = ("header", identity.patient_id, origin.study_uid)
        return Place(
            self._numbers.setdefault(key, len(self._numbers) + 1) if key else None,
            given.side or identity.side or origin.side or side.lower(),
            given.view or identity.view or view,
        )


def _match_cbis(given: InputImage, identity: Identity) -> re.Match[str] | None:
    names = [identity.patient_id] if identity.patient_id else reversed(given.path.parts)
    return next((match for name in names if (match := _CBIS.fullmatch(name))), None)
