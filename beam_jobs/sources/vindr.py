"""VinDr-Mammo: breasts graded by BI-RADS, and boxes around the findings on each film.

Nguyen et al., Scientific Data 10:277, 2023. Films are images/<study_id>/<image_id>.dicom. The
tables state no pathology.
"""

from __future__ import annotations

import ast
import collections
import dataclasses
from collections.abc import Mapping, Sequence

from beam_jobs.sources import csv_rows, files
from beam_jobs.sources.film import Film, Lesion, Roi
from beam_jobs.storage import Folder
from flags.errors import CallerError

BREASTS = "breast-level_annotations.csv"
FINDINGS = "finding_annotations.csv"
_HINT = "give the folder of the release, with images/ in it"
_BREAST_COLUMNS = (
    "study_id",
    "image_id",
    "laterality",
    "view_position",
    "breast_birads",
    "breast_density",
    "split",
)
_BOX = ("xmin", "ymin", "xmax", "ymax")
_FINDING_COLUMNS = ("image_id", "finding_categories", "finding_birads", *_BOX)
_SIDES = {"L": "left", "R": "right"}
_VIEWS = {"CC": "CC", "MLO": "MLO"}
_SPLITS = {"training": "train", "test": "test"}
_GRADES = {f"BI-RADS {grade}": str(grade) for grade in range(7)}
_DENSITIES = {"": "", **{f"DENSITY {grade}": grade for grade in "ABCD"}}
_NO_FINDING = "No Finding"
_CATEGORIES = {
    "Mass": "mass",
    "Suspicious Calcification": "calcification",
    "Asymmetry": "asymmetry",
    "Focal Asymmetry": "focal asymmetry",
    "Global Asymmetry": "global asymmetry",
    "Architectural Distortion": "architectural distortion",
    "Skin Thickening": "skin thickening",
    "Skin Retraction": "skin retraction",
    "Nipple Retraction": "nipple retraction",
    "Suspicious Lymph Node": "suspicious lymph node",
}


def read(data_dir: Folder) -> list[Film]:
    """Lists the films of the breast table, with findings, and the file of each where it is there.

    Args:
        data_dir: folder of the release, searched recursively.

    Raises:
        CallerError: a table is missing or is not as published, or the two do not agree.
    """
    found = files.list_files(data_dir)
    breasts = csv_rows.find(data_dir, found, BREASTS, hint=_HINT)
    findings = csv_rows.find(data_dir, found, FINDINGS, hint=_HINT)
    films = csv_rows.parse(breasts, csv_rows.read(breasts, columns=_BREAST_COLUMNS), _parse_breast)
    csv_rows.check_unique(breasts, (film.film_id for film in films))
    by_film: dict[str, list[Roi]] = collections.defaultdict(list)
    records = csv_rows.read(findings, columns=_FINDING_COLUMNS)
    for image_id, roi in csv_rows.parse(findings, records, _parse_finding):
        if roi is not None:
            number = str(len(by_film[image_id]) + 1)
            by_film[image_id].append(dataclasses.replace(roi, lesion_id=number))
    strangers = by_film.keys() - {film.film_id for film in films}
    if strangers:
        raise CallerError(
            f"{findings} has image_id {min(strangers)}, which {BREASTS} does not list; "
            "the two tables belong together"
        )
    by_path = {
        "/".join(file.path.split("/")[-2:]): file for file in found if file.name.endswith(".dicom")
    }
    return [_complete(film, by_film.get(film.film_id, ()), by_path) for film in films]


def _parse_breast(record: csv_rows.Record) -> Film:
    """Reads a record; raises ValueError with column, value and what is allowed."""
    return Film(
        film_id=record.demand("image_id"),
        patient_id=record.demand("study_id"),  # one study a patient: no other key is published
        side=record.choose("laterality", _SIDES),
        view=record.choose("view_position", _VIEWS),
        pathology="",
        density=record.choose("breast_density", _DENSITIES),
        assessment=record.choose("breast_birads", _GRADES),
        official_split=record.choose("split", _SPLITS),
    )


def _parse_finding(record: csv_rows.Record) -> tuple[str, Roi | None]:
    """Reads a record; None where nothing was found; raises ValueError with column and value."""
    text = record.cells["finding_categories"]
    try:
        names = ast.literal_eval(text)  # a Python list as text
    except (SyntaxError, ValueError):
        names = None
    if not isinstance(names, list) or not names:
        raise ValueError(f"finding_categories {text!r} is not a list such as ['Mass']")
    if names == [_NO_FINDING]:
        return record.demand("image_id"), None
    unknown = [name for name in names if name not in _CATEGORIES]
    if unknown:
        raise ValueError(
            f"finding_categories {unknown[0]!r} is not one of "
            + ", ".join([*_CATEGORIES, _NO_FINDING])
        )
    lesion = Lesion(
        pathology="",
        abnormality="+".join(_CATEGORIES[name] for name in names),
        assessment=record.choose("finding_birads", {"": "", **_GRADES}),
    )
    box = ",".join(_pixel(record, column) for column in _BOX)
    return record.demand("image_id"), Roi(lesion_id="", copy="", lesion=lesion, box=box)


def _pixel(record: csv_rows.Record, column: str) -> str:
    try:
        return f"{float(record.cells[column]):.1f}"
    except ValueError:
        raise ValueError(f"{column} {record.cells[column]!r} is not a number of pixels") from None


def _complete(film: Film, rois: Sequence[Roi], by_path: Mapping[str, files.DataFile]) -> Film:
    kinds = (kind for roi in rois for kind in roi.lesion.abnormality.split("+"))
    film = dataclasses.replace(
        film,
        abnormality="+".join(dict.fromkeys(kinds)),
        abnormalities=len(rois),
        rois=tuple(rois),
    )
    file = by_path.get(f"{film.patient_id}/{film.film_id}.dicom")
    return film if file is None else file.add_to(film)
