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

_PLACEHOLDER = re.compile(
    r"|0+|x+|n/?a|none|null|test|patient|(no|un)[ _-]?(name|id|known)|"
    r"(de-?id|pseudonym|anon)[a-z]*|removed|deleted|-+|\?+",
    re.IGNORECASE,
)
"""PatientIDs that programs write in place of one: whose image it is they do not say."""


@dataclasses.dataclass(frozen=True)
class Place:
    """What an image shows: the running number of its examination (None: unknown), side and view.

    Attributes:
        known_by: what tells which images belong together; "" where nothing does.
    """

    exam: int | None
    side: str
    view: str
    known_by: str = ""


class Exams:
    """Numbers examinations in the order in which they are met."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, ...], int] = {}
        self._patients: dict[str, str] = {}

    def place(self, given: InputImage, identity: Identity, origin: Origin) -> Place:
        """Finds what an image shows: by the table, else its DICOM header, else CBIS-DDSM's names.

        An examination is a study (StudyInstanceUID), else a patient on a date: breasts change. An
        image whose header has neither stands alone, and so does one of a patient called ANON.
        """
        match = _match_cbis(given, identity)
        name, side, view = match.groups() if match else ("", "", "")
        if given.exam:
            key: tuple[str, ...] = ("table", given.exam)
        elif name:
            key = ("name", name)
        else:
            key = self._of_header(identity, origin)
        return Place(
            self._numbers.setdefault(key, len(self._numbers) + 1) if key else None,
            given.side or identity.side or side.lower(),
            given.view or identity.view or view,
            known_by=key[0] if key else "",
        )

    def _of_header(self, identity: Identity, origin: Origin) -> tuple[str, ...]:
        stated = identity.patient_id.strip()
        patient = "" if _PLACEHOLDER.fullmatch(stated) else stated
        if uid := identity.study_uid:
            # a study has one patient: another one's images bear a UID that is none
            first = self._patients.setdefault(uid, patient) or patient
            self._patients[uid] = first
            return ("study", uid) if patient in ("", first) else ("study", uid, patient)
        if patient and origin.study_date:
            return ("patient and date", patient, origin.study_date)
        return ()


def _match_cbis(given: InputImage, identity: Identity) -> re.Match[str] | None:
    names = [identity.patient_id] if identity.patient_id else reversed(given.path.parts)
    return next((match for name in names if (match := _CBIS.fullmatch(name))), None)
