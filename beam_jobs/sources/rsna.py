"""RSNA Screening Mammography Breast Cancer Detection (Kaggle, 2023): train.csv and its images.

Images are train_images/<patient_id>/<image_id>.dcm, or PNG and JPEG exports of those, also named
<patient_id>_<image_id>. The column cancer is the outcome of the breast; a breast without cancer is
benign only if it was biopsied.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from beam_jobs.sources import csv_rows, data_files, table_cells
from beam_jobs.sources.source_options import DEFAULTS, SourceOptions
from beam_jobs.sources.source_row import SourceRow
from beam_jobs.storage import Folder

TABLE = "train.csv"
_SUFFIXES = (".dcm", ".png", ".jpg", ".jpeg")
_COLUMNS = (
    "patient_id",
    "image_id",
    "laterality",
    "view",
    "cancer",
    "biopsy",
    "BIRADS",
    "density",
)
_SIDES = {"L": "left", "R": "right"}
_YES_NO = {"0": "", "1": "yes"}
_DENSITIES = {grade: grade for grade in ("", "A", "B", "C", "D")}
# a table that went through pandas has "0.0" where Kaggle's has "0"
_GRADES = {"": "", **{f"{grade}{tail}": str(grade) for grade in range(7) for tail in ("", ".0")}}
_VIEW = re.compile(r"[A-Z]{2,5}")


def read(data_dir: Folder, options: SourceOptions = DEFAULTS) -> list[SourceRow]:
    """Lists the images of train.csv, with the file of each where it is there.

    Args:
        data_dir: folder of the unpacked competition data, searched recursively.
        options: columns that people have added, of polarity and aspect.

    Raises:
        CallerError: the table is missing or is not as published; with file and line.
    """
    found = data_files.list_files(data_dir)
    table = csv_rows.find(
        data_dir,
        found,
        TABLE,
        hint="give the folder of the competition's data, with train_images in it",
    )
    records = csv_rows.read(table, columns=(*_COLUMNS, *options.columns.values()))
    images = csv_rows.parse(table, records, lambda record: _parse_record(record, options.columns))
    csv_rows.check_unique(table, (image.image_id for image in images))
    spelled = {image.image_id: _spell(image) for image in images}
    names = (name for both in spelled.values() for name in both)
    by_name = data_files.find_named(data_dir, found, names, suffixes=_SUFFIXES)
    return [
        data_files.choose_copy(data_dir, same, image.image_id).add_to(image)
        if (same := [by_name[name] for name in spelled[image.image_id] if name in by_name])
        else image
        for image in images
    ]


def _spell(image: SourceRow) -> tuple[str, str]:
    """Returns how its file may be called: in the patient's folder, or with the patient's id."""
    patient_id, image_id = image.patient_id, image.image_id
    return f"{patient_id}/{image_id.removeprefix(f'{patient_id}_')}", image_id


def _parse_record(record: csv_rows.Record, columns: Mapping[str, str]) -> SourceRow:
    """Reads a record; raises ValueError with column, value and what is allowed."""
    stated = {
        key: table_cells.read(key, column, record.cells[column], {})
        for key, column in columns.items()
    }
    patient_id = record.demand("patient_id")
    view = record.cells["view"]
    if not _VIEW.fullmatch(view):
        raise ValueError(f"view {view!r} is not a code such as CC, MLO, ML, LM, AT")
    biopsied = record.choose("biopsy", _YES_NO)
    without = "benign" if biopsied else "no cancer"
    return SourceRow(
        image_id=f"{patient_id}_{record.demand('image_id')}",
        patient_id=patient_id,
        side=record.choose("laterality", _SIDES),
        view=view,
        pathology="malignant" if record.choose("cancer", _YES_NO) else without,
        density=record.choose("density", _DENSITIES),
        age=table_cells.read("age", "age", record.cells.get("age", ""), {}),
        assessment=record.choose("BIRADS", _GRADES),
        **table_cells.of_pixels(stated),
    )
