"""Images and their DICOM headers -> what kind each is, where its table disagrees, what is left out.

identities = read_headers(images, data_dir, cache=None, report=None, patients=True)
images = leave_out(describe(images, identities), identities, special_views="exclude", ...)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from beam_jobs.imaging import image_kind
from beam_jobs.imaging.dicom_file import NOBODY, Identity
from beam_jobs.sources import data_files
from beam_jobs.sources.data_files import DataFile
from beam_jobs.sources.source_row import SourceRow
from beam_jobs.storage import Folder

_ANOTHER = "?"
"""In place of a PatientID that no table has: it may name a person."""


def read_headers(
    images: Sequence[SourceRow],
    data_dir: Folder,
    *,
    cache: Folder | None,
    report: Callable[[int, int], None] | None,
    patients: bool,
) -> dict[str, Identity]:
    """Reads the headers of the images found; path -> what it says, for those that are DICOM.

    Args:
        images: as a source lists them.
        data_dir: folder their paths are relative to.
        cache: see `data_files.scan_headers`.
        report: called with (headers read, headers to read).
        patients: whether the tables' patients are to be compared with the headers'.
    """
    names = {image.patient_id for image in images}
    found = {image.path: image for image in images if image.path}
    return data_files.scan_headers(
        data_dir,
        [DataFile(image.path, image.bytes, image.modified_ns) for image in found.values()],
        cache=cache,
        keep_patient_id=names.__contains__,
        report=report,
        other=_ANOTHER if patients else "",
    )


def describe(
    images: Sequence[SourceRow], identities: Mapping[str, Identity], *, patients: bool
) -> list[SourceRow]:
    """Adds what headers say: modality, intent, kind, what disagrees; side, view, age if not stated.

    Args:
        images: as a source lists them.
        identities: path -> what its header says.
        patients: whether PatientID and the table's patients may be the same names.
    """
    # only where some agree are the header's names known to be the table's
    same = patients and any(
        identities.get(image.path, NOBODY).patient_id == image.patient_id for image in images
    )
    described = []
    for image in images:
        one = identities.get(image.path, NOBODY)
        differing = [image.discrepancies, *one.disagreements(side=image.side, view=image.view)]
        another = patients and one.patient_id not in ("", image.patient_id)
        if another and (same or one.patient_id != _ANOTHER):
            differing.append("patient: the header names another")
        described.append(
            dataclasses.replace(
                image,
                side=image.side or one.side,
                view=image.view or one.view,
                modality=one.modality,
                intent=one.intent,
                kind=one.kind,
                age=image.age or one.age,
                discrepancies="; ".join(filter(None, differing)),
            )
        )
    return described


def leave_out(
    images: Sequence[SourceRow],
    identities: Mapping[str, Identity],
    *,
    special_views: str,
    any_modality: bool,
) -> list[SourceRow]:
    """Excludes what is no mammogram and, unless they are kept, special views and raw twins.

    Splits are assigned before, so that they do not depend on which files are there.
    """
    strangers = {
        index: f"not a mammogram by its header: {one.stranger}; --any_modality to insist"
        for index, image in enumerate(images)
        if (one := identities.get(image.path, NOBODY)).stranger and not any_modality
    }
    rest = [index for index, image in enumerate(images) if image.path and index not in strangers]
    special: dict[int, str] = {}
    if special_views == "exclude":
        found = image_kind.find_special([_view_of(images[index], identities) for index in rest])
        special = {
            index: f"special_views=exclude: {reason}"
            for index, reason in zip(rest, found, strict=True)
            if reason
        }
    reasons = {**strangers, **special}
    return [
        dataclasses.replace(image, split="", excluded=reasons[index])
        if index in reasons and not image.excluded
        else image
        for index, image in enumerate(images)
    ]


def _view_of(
    image: SourceRow, identities: Mapping[str, Identity]
) -> tuple[tuple[str, ...], str, str]:
    study = identities.get(image.path, NOBODY).study_uid
    return (image.patient_id, study, image.side, image.view), image.kind, image.intent
