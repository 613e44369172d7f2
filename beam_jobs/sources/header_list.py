"""A folder of DICOM files -> what their headers say they show, one row a file.

for header in list_headers(folder, data_files.list_files(folder)): print(header.identity.side)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from beam_jobs.imaging import dicom_file
from beam_jobs.sources.data_files import DataFile, read_each
from beam_jobs.storage import Folder


@dataclasses.dataclass(frozen=True)
class Header:
    """A DICOM file and what it says of itself."""

    file: DataFile
    identity: dicom_file.Identity
    origin: dicom_file.Origin

    @property
    def examination(self) -> tuple[str, ...]:
        """What tells one examination of a patient from another."""
        uid = self.identity.study_uid
        return (uid,) if uid else (self.identity.patient_id, self.origin.study_date)

    def columns(self) -> dict[str, object]:
        """Returns what is known, by column."""
        return {
            "path": self.file.path,
            "patient_id": self.identity.patient_id,
            "accession": self.origin.accession,
            "study_date": self.origin.study_date,
            "side": self.identity.side,
            "view": self.identity.view,
            **{
                key: value
                for key, value in (vars(self.origin) | vars(self.identity)).items()
                if key not in ("patient_id", "accession", "study_date", "side", "view")
            },
            "bytes": self.file.bytes,
        }


COLUMNS = tuple(Header(DataFile("", 0, 0), dicom_file.NOBODY, dicom_file.Origin()).columns())


def list_headers(
    data_dir: Folder,
    files: Sequence[DataFile],
    *,
    report: Callable[[int, int], None] | None = None,
) -> list[Header]:
    """Reads the header of every DICOM file; other files are left out.

    Args:
        data_dir: folder the paths are relative to.
        files: candidates.
        report: called with (files done, all files).
    """

    def read(path: Folder) -> tuple[dicom_file.Identity, dicom_file.Origin] | None:
        identity = dicom_file.read_identity(path)
        return None if identity == dicom_file.NOBODY else (identity, dicom_file.read_origin(path))

    return [Header(file, *said) for file, said in read_each(data_dir, files, read, report=report)]
