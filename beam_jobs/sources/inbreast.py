"""INbreast: a table of images graded by BI-RADS, and DICOM files that bear the patient's key.

Moreira et al., Academic Radiology 19:236-248, 2012. The table's patient ids are removed; images
are named <File Name>_<patient's key>_MG_<side>_<view>_ANON.dcm. It states no pathology.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

from beam_jobs.sources import csv_rows, data_files
from beam_jobs.sources.source_options import DEFAULTS, SourceOptions
from beam_jobs.sources.source_row import SourceRow
from beam_jobs.storage import Folder
from records.errors import CallerError

TABLE = "INbreast.csv"
_COLUMNS = ("Laterality", "View", "File Name", "ACR", "Bi-Rads")
_IMAGE_NAME = re.compile(r"(\d+)_([0-9a-f]+)_MG_[LR]_[^/]+\.dcm", re.IGNORECASE)
_SIDES = {"L": "left", "R": "right"}
_VIEWS = {view: view for view in ("CC", "MLO", "FB")}
_GRADES = {grade: grade for grade in ("0", "1", "2", "3", "4", "4a", "4b", "4c", "5", "6")}
_DENSITIES = {grade: grade for grade in ("", "1", "2", "3", "4")}


def read(data_dir: Folder, _: SourceOptions = DEFAULTS) -> list[SourceRow]:
    """Lists the images of INbreast.csv, with the file of each where it is there.

    Args:
        data_dir: folder of the release, searched recursively.

    Raises:
        CallerError: the table is missing or is not as published, or an image has lost its name.
    """
    found = data_files.list_files(data_dir)
    table = csv_rows.find(
        data_dir, found, TABLE, hint="give the folder of the release, with AllDICOMs in it"
    )
    images = csv_rows.parse(table, csv_rows.read(table, columns=_COLUMNS), _parse_record)
    csv_rows.check_unique(table, (image.image_id for image in images))
    named: dict[str, dict[data_files.DataFile, str]] = {}
    for file in found:
        match = _IMAGE_NAME.fullmatch(file.name)
        if match:
            named.setdefault(match[1], {})[file] = match[2]
    by_image: dict[str, tuple[str, data_files.DataFile]] = {}
    for image_id, patients in named.items():
        file = data_files.choose_copy(data_dir, list(patients), f"image {image_id}")
        by_image[image_id] = patients[file], file
    _check_names(data_dir, images, by_image, found)
    return [_add_file(image, by_image) for image in images]


def _parse_record(record: csv_rows.Record) -> SourceRow:
    """Reads a record; raises ValueError with column, value and what is allowed."""
    name = record.demand("File Name")
    return SourceRow(
        image_id=name,
        # without its file the patient is not known; the image is in no record then
        patient_id=f"image_{name}",
        side=record.choose("Laterality", _SIDES),
        view=record.choose("View", _VIEWS),
        pathology="",
        density=record.choose("ACR", _DENSITIES),
        assessment=record.choose("Bi-Rads", _GRADES),
    )


def _check_names(
    data_dir: Folder,
    images: list[SourceRow],
    by_image: Mapping[str, object],
    found: list[data_files.DataFile],
) -> None:
    """Refuses images under other names: who the patient is would be a guess."""
    listed = {image.image_id for image in images}
    renamed = [
        file.path
        for file in found
        if file.name.lower().endswith(".dcm")
        and re.split(r"\D", file.name)[0] in listed - by_image.keys()
    ]
    if renamed:
        raise CallerError(
            f"{data_dir}: {renamed[0]} and {len(renamed) - 1} more are not named as distributed, "
            "<image>_<patient>_MG_<side>_<view>_ANON.dcm; the patient is in the name alone, "
            "so unpack the release again"
        )


def _add_file(
    image: SourceRow, by_image: Mapping[str, tuple[str, data_files.DataFile]]
) -> SourceRow:
    if image.image_id not in by_image:
        return image
    patient_id, file = by_image[image.image_id]
    return file.add_to(dataclasses.replace(image, patient_id=patient_id))
