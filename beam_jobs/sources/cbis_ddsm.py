"""CBIS-DDSM: four case tables, and images as the NBIA retriever or a flat download leaves them.

Lee et al., Scientific Data 4:170177, 2017. A table row is one lesion on one image. Images are found
by the SeriesInstanceUID of their headers (folder and file names differ between downloads), else by
a folder named as in the tables, else by PatientID.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

from beam_jobs import copies
from beam_jobs.imaging.dicom_file import NOBODY, Identity
from beam_jobs.sources import cbis_files, csv_rows, data_files
from beam_jobs.sources.cbis_files import RoiPath, Row
from beam_jobs.sources.source_options import DEFAULTS, SourceOptions
from beam_jobs.sources.source_row import Lesion, SourceRow, describe, is_mixed
from beam_jobs.storage import Folder
from records.errors import CallerError

# calcifications first, as the authors of the paper joined them: their folds depend on it
TABLES = (
    ("calc_case_description_train_set.csv", "train"),
    ("mass_case_description_train_set.csv", "train"),
    ("calc_case_description_test_set.csv", "test"),
    ("mass_case_description_test_set.csv", "test"),
)
_COLUMNS = (
    "patient_id",
    "left or right breast",
    "image view",
    "abnormality type",
    "assessment",
    "pathology",
    "subtlety",
    "image file path",
)
_TEXTS = ("mass shape", "mass margins", "calc type", "calc distribution")
_PATHOLOGIES = {
    "BENIGN": "benign",
    "BENIGN_WITHOUT_CALLBACK": "benign",
    "MALIGNANT": "malignant",
}


def read(data_dir: Folder, options: SourceOptions = DEFAULTS) -> list[SourceRow]:
    """Lists the images of the tables, with the file of each where it is there.

    Args:
        data_dir: folder with tables and images, searched recursively.
        options: label policy, cache and report of headers, and how patient ids start.

    Raises:
        CallerError: a table is missing or is not as published; with file and line.
    """
    found = data_files.list_files(data_dir)
    rows = read_tables(data_dir, found, patient_prefix=options.patient_prefix)
    candidates = [
        file for file in found if "." not in file.name or file.name.lower().endswith(".dcm")
    ]
    names = {row.folder for row in rows}
    identities = data_files.scan_headers(
        data_dir,
        candidates,
        cache=options.cache,
        keep_patient_id=names.__contains__,
        report=options.report,
    )

    def alike(file: data_files.DataFile) -> Hashable:
        one = identities.get(file.path, NOBODY)
        if not one.series_uid:  # its folder tells what it shows
            return file.path.rpartition("/")[0], file.bytes
        return one.series_uid, one.rows, one.columns

    # a copy would shift the numbers by which the tables name masks and crops
    candidates = copies.drop(
        candidates, data_dir, identities, max_pixels=options.max_pixels, alike=alike
    )
    return list_images(rows, candidates, identities, label_policy=options.label_policy)


def read_tables(
    data_dir: Folder, found: Sequence[data_files.DataFile], *, patient_prefix: str = "P_"
) -> list[Row]:
    """Reads the four case tables, wherever they lie.

    Raises:
        CallerError: a table is missing or is not as published; with file and line.
    """
    rows: list[Row] = []
    for name, split in TABLES:
        path = csv_rows.find(
            data_dir,
            found,
            name,
            hint="put the four case tables of CBIS-DDSM beside the images "
            "(docs/data.md says where to get them)",
        )
        records = csv_rows.read(path, columns=_COLUMNS, ragged=True)
        rows += csv_rows.parse(path, records, functools.partial(_parse_row, split=split))
    strangers = [row.patient_id for row in rows if not row.patient_id.startswith(patient_prefix)]
    if strangers:
        raise CallerError(
            f"{data_dir}: patient {strangers[0]} is not named {patient_prefix}...; "
            "these tables belong to another --dataset"
        )
    return rows


def list_images(
    rows: Sequence[Row],
    candidates: Sequence[data_files.DataFile],
    identities: Mapping[str, Identity],
    *,
    label_policy: str,
) -> list[SourceRow]:
    """Lists the images of the rows, each with its file and the files of its lesions.

    Args:
        rows: those of the four tables, in their order.
        candidates: files that may be images, masks or crops.
        identities: the header of each, by path.
        label_policy: a name of `flags.datasets.LABEL_POLICIES`.
    """
    locate = cbis_files.Finder(candidates, identities)
    return [locate.add_files(image, views) for image, views in _group(rows, label_policy)]


def _parse_row(record: csv_rows.Record, *, split: str) -> Row:
    """Reads a record; raises ValueError with column, value and what is allowed."""
    parts = record.cells["image file path"].split("/")
    if len(parts) != 4 or not record.cells["patient_id"]:
        raise ValueError("image file path is not <image>/<study>/<series>/<file>, or no patient_id")
    grades = {str(grade): str(grade) for grade in range(6)}
    stated = {**grades, "0": "", "": ""}
    words: dict[str, Any] = {
        column.replace(" ", "_"): _stated(record.cells.get(column, "")) for column in _TEXTS
    }
    return Row(
        patient_id=record.cells["patient_id"],
        side=record.choose("left or right breast", {"LEFT": "left", "RIGHT": "right"}),
        view=record.choose("image view", {"CC": "CC", "MLO": "MLO"}),
        density=_density(record.cells, stated),
        official_split=split,
        folder=parts[0],
        series_uid=parts[2],
        lesion_id=record.cells.get("abnormality id", ""),
        mask=RoiPath.parse(record.cells.get("ROI mask file path", "")),
        crop=RoiPath.parse(record.cells.get("cropped image file path", "")),
        lesion=Lesion(
            pathology=record.choose("pathology", _PATHOLOGIES),
            abnormality=record.choose(
                "abnormality type", {"mass": "mass", "calcification": "calcification"}
            ),
            assessment=record.choose("assessment", grades),
            subtlety=record.choose("subtlety", stated),
            **words,
        ),
    )


def _density(cells: Mapping[str, str], stated: Mapping[str, str]) -> str:
    """Reads the density; its column is spelt differently in the mass and the calc tables."""
    text = cells.get("breast_density", cells.get("breast density"))
    if text is None:
        raise ValueError("no column 'breast_density' or 'breast density'")
    if text not in stated:
        raise ValueError(f"breast density {text!r} is not 0 to 5")
    return stated[text]


def _stated(text: str) -> str:
    return "" if text == "N/A" else text


def _group(rows: Sequence[Row], label_policy: str) -> Iterator[tuple[SourceRow, list[Row]]]:
    """Gathers the lesions of each image, in order of first appearance."""
    grouped: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        if label_policy == "paper":
            key: tuple[str, ...] = (row.official_split, row.series_uid)
        else:
            key = (row.patient_id, row.side, row.view)
        grouped.setdefault(key, []).append(row)
    for key, group in grouped.items():
        first = group[0]
        lesions = [row.lesion for row in group]
        mixed = label_policy == "paper" and is_mixed(lesions)
        splits = {row.official_split for row in group}
        image = SourceRow(
            image_id=first.folder if label_policy == "paper" else "_".join(key).upper(),
            patient_id=first.patient_id,
            side=first.side,
            view=first.view,
            density=max(row.density for row in group),
            official_split="+".join(sorted(splits, reverse=True)),
            # as Petrini et al. pair them: a series of masses and one of calcifications never
            exam=first.lesion.abnormality if label_policy == "paper" else "",
            copies=";".join(dict.fromkeys(row.folder for row in group)),
            excluded="label_policy=paper: benign and malignant lesions" if mixed else "",
            **describe(lesions),
        )
        yield image, group
