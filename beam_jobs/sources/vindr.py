"""VinDr-Mammo: breasts graded by BI-RADS, and boxes around the findings on each image.

Nguyen et al., Scientific Data 10:277, 2023. Images are images/<study_id>/<image_id>.dicom. The
tables state no pathology.
"""

from __future__ import annotations

import ast
import collections
import dataclasses
from collections.abc import Sequence

from beam_jobs.sources import csv_rows, data_files
from beam_jobs.sources.source_options import DEFAULTS, SourceOptions
from beam_jobs.sources.source_row import Lesion, Roi, SourceRow
from beam_jobs.storage import Folder
from records.errors import CallerError

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


def read(data_dir: Folder, _: SourceOptions = DEFAULTS) -> list[SourceRow]:
    """Lists the images of the breast table, with findings, and the file of each where it is there.

    Args:
        data_dir: folder of the release, searched recursively.

    Raises:
        CallerError: a table is missing or is not as published, or the two do not agree.
    """
    found = data_files.list_files(data_dir)
    breasts = csv_rows.find(data_dir, found, BREASTS, hint=_HINT)
    findings = csv_rows.find(data_dir, found, FINDINGS, hint=_HINT)
    images = csv_rows.parse(breasts, csv_rows.read(breasts, columns=_BREAST_COLUMNS), _parse_breast)
    csv_rows.check_unique(breasts, (image.image_id for image in images))
    by_image: dict[str, list[Roi]] = collections.defaultdict(list)
    records = csv_rows.read(findings, columns=_FINDING_COLUMNS)
    for image_id, roi in csv_rows.parse(findings, records, _parse_finding):
        if roi is not None:
            number = str(len(by_image[image_id]) + 1)
            by_image[image_id].append(dataclasses.replace(roi, lesion_id=number))
    strangers = by_image.keys() - {image.image_id for image in images}
    if strangers:
        raise CallerError(
            f"{findings} has image_id {min(strangers)}, which {BREASTS} does not list; "
            "the two tables belong together"
        )
    by_name = data_files.find_named(data_dir, found, map(_name, images), suffixes=[".dicom"])
    return [
        _complete(image, by_image.get(image.image_id, ()), by_name.get(_name(image)))
        for image in images
    ]


def _name(image: SourceRow) -> str:
    return f"{image.patient_id}/{image.image_id}"


def _parse_breast(record: csv_rows.Record) -> SourceRow:
    """Reads a record; raises ValueError with column, value and what is allowed."""
    return SourceRow(
        image_id=record.demand("image_id"),
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


def _complete(image: SourceRow, rois: Sequence[Roi], file: data_files.DataFile | None) -> SourceRow:
    kinds = (kind for roi in rois for kind in roi.lesion.abnormality.split("+"))
    image = dataclasses.replace(
        image,
        abnormality="+".join(dict.fromkeys(kinds)),
        abnormalities=len(rois),
        rois=tuple(rois),
    )
    return image if file is None else file.add_to(image)
