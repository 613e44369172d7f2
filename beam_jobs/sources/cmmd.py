"""CMMD: a workbook with one row a breast, and DICOM images that say which breast they show.

Cui et al., The Chinese Mammography Database, The Cancer Imaging Archive, 2021. Side and view
stand in the headers alone; the names of files and folders do not tell them.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from beam_jobs.imaging.dicom_file import NOBODY, Identity
from beam_jobs.sources import csv_rows, data_files, table_cells
from beam_jobs.sources.source_options import DEFAULTS, SourceOptions
from beam_jobs.sources.source_row import SourceRow
from beam_jobs.storage import Folder

TABLE = "CMMD_clinicaldata_revision.xlsx"
_COLUMNS = ("ID1", "LeftRight", "abnormality", "classification")
_VIEWS = ("CC", "MLO")
_SIDES = {"L": "left", "R": "right"}
_ABNORMALITIES = {
    "mass": "mass",
    "calcification": "calcification",
    "both": "mass+calcification",
}
_PATHOLOGIES = {"Benign": "benign", "Malignant": "malignant"}


@dataclasses.dataclass(frozen=True)
class _Breast:
    """One row of the workbook."""

    patient_id: str
    side: str
    abnormality: str
    pathology: str
    age: str = ""


def read(data_dir: Folder, options: SourceOptions = DEFAULTS) -> list[SourceRow]:
    """Lists two images (CC and MLO) of each breast in the workbook, and all other images found.

    An image without a row for its breast has no label: it is listed and left out.

    Args:
        data_dir: folder with workbook and images, searched recursively.
        options: cache and report of headers.

    Raises:
        CallerError: the workbook is missing or is not as published; with row and column.
    """
    found = data_files.list_files(data_dir)
    table = csv_rows.find(
        data_dir, found, TABLE, hint="put it beside the images (docs/data.md says where to get it)"
    )
    breasts = csv_rows.parse(
        table, csv_rows.read(table, columns=_COLUMNS, ragged=True), _parse_record
    )
    csv_rows.check_unique(table, map(" ".join, map(_key, breasts)))
    candidates = [file for file in found if file.name.lower().endswith(".dcm")]
    patients = {breast.patient_id for breast in breasts}
    identities = data_files.scan_headers(
        data_dir,
        candidates,
        cache=options.cache,
        keep_patient_id=patients.__contains__,
        report=options.report,
    )
    by_breast = _group(candidates, identities)
    images = [image for breast in breasts for image in _list_images(breast, by_breast, identities)]
    return images + list(_list_others(by_breast, set(map(_key, breasts)), identities))


def _parse_record(record: csv_rows.Record) -> _Breast:
    """Reads a record; raises ValueError with column, value and what is allowed."""
    return _Breast(
        patient_id=record.demand("ID1"),
        side=record.choose("LeftRight", _SIDES),
        abnormality=record.choose("abnormality", _ABNORMALITIES),
        pathology=record.choose("classification", _PATHOLOGIES),
        age=table_cells.read("age", "Age", record.cells.get("Age", ""), {}),
    )


_Key = tuple[str, str]


def _key(breast: _Breast) -> _Key:
    return breast.patient_id, breast.side


def _group(
    candidates: Sequence[data_files.DataFile], identities: Mapping[str, Identity]
) -> dict[_Key, list[data_files.DataFile]]:
    """Gathers the files of each breast; a second download of a file is passed over."""
    grouped: dict[_Key, dict[tuple[str, ...], data_files.DataFile]] = collections.defaultdict(dict)
    for file in candidates:
        identity = identities.get(file.path, NOBODY)
        copy = (identity.series_uid, identity.view, file.name) if identity.series_uid else ()
        key = identity.patient_id, identity.side
        grouped[key].setdefault(copy or (file.path,), file)
    return {key: list(members.values()) for key, members in grouped.items()}


def _list_images(
    breast: _Breast,
    by_breast: Mapping[_Key, Sequence[data_files.DataFile]],
    identities: Mapping[str, Identity],
) -> Iterator[SourceRow]:
    """Yields the images found of a breast, then those of its two that were not."""
    seen: collections.Counter[str] = collections.Counter()
    for file in by_breast.get(_key(breast), ()):
        view = identities[file.path].view
        seen[view] += 1
        yield file.add_to(_image(breast, view, seen[view]))
    absent = [view for view in _VIEWS if view not in seen]
    for view in absent[: max(0, len(_VIEWS) - seen.total())]:
        yield _image(breast, view, 1)


def _image(breast: _Breast, view: str, number: int) -> SourceRow:
    name = "_".join(filter(None, (breast.patient_id, breast.side[0].upper(), view)))
    return SourceRow(
        image_id=name if number == 1 else f"{name}_{number}",
        patient_id=breast.patient_id,
        side=breast.side,
        view=view,
        pathology=breast.pathology,
        abnormality=breast.abnormality,
        age=breast.age,
    )


def _list_others(
    by_breast: Mapping[_Key, Sequence[data_files.DataFile]],
    labelled: set[_Key],
    identities: Mapping[str, Identity],
) -> Iterator[SourceRow]:
    """Yields the files without a row, each with what is amiss."""
    for (patient_id, side), members in by_breast.items():
        if (patient_id, side) in labelled:
            continue
        if not patient_id:
            reason = "table: no row for this patient"
        elif not side:
            reason = "header: no ImageLaterality (0020,0062)"
        else:
            reason = "table: no row for this breast"
        for file in members:
            view = identities.get(file.path, NOBODY).view
            image = SourceRow(file.path, patient_id, side, view, pathology="", excluded=reason)
            yield file.add_to(image)
