"""Columns of a table of one's own -> keys of flags.table_columns, by --columns or known names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from beam_jobs.sources import csv_rows
from beam_jobs.storage import Folder
from flags.table_columns import COLUMNS
from records.errors import CallerError

LABELS = ("pathology", "assessment", "abnormality")
FINDING_SIDE = "finding side"
"""Of EMBED: the breast of a row's finding, beside that of its image; not for --columns."""
_EMBED_SIDE = "ImageLateralityFinal"
_KNOWN = {
    "path": ("anondicompath", "filepath", "filename", "dateiname"),
    "patient_id": ("empianon", "patientid", "patientenid", "patid"),
    "side": ("imagelateralityfinal", "imagelaterality", "laterality", "seite"),
    "view": ("viewposition", "view", "projektion"),
    "assessment": ("asses", "birads", "assessment"),
    "density": ("tissueden", "density"),
    "pathology": ("pathology",),
    "accession": ("accanon", "accessionnumber", "accession"),
    "study_date": ("studydateanon", "studydate", "untersuchungsdatum"),
}
"""Key -> names in small letters without signs: EMBED's, DICOM's, and common German ones."""


def map_columns(
    path: Folder,
    header: Sequence[str],
    columns: Mapping[str, str],
    *,
    by_header: bool,
    exams: bool,
    note: Callable[[str], None],
) -> dict[str, str]:
    """Returns key -> column for all keys the table states.

    Args:
        path: the table, for messages.
        header: its columns.
        columns: --columns.
        by_header: whether files are found by their DICOM headers, so that no path is needed.
        exams: whether examinations are told apart, so that their columns are taken.
        note: hears which columns were taken under another name.

    Raises:
        CallerError: a column is missing; one line with all that have to be named.
    """
    named = {key: column for key, column in columns.items() if column}
    csv_rows.check_header(path, header, named.values())
    own = {key: key for key in COLUMNS if key in header and key not in columns and key != "split"}
    if _EMBED_SIDE in header and "side" not in columns:
        own.pop("side", None)
        if "side" in header:
            own[FINDING_SIDE] = "side"
    known = _find_known(header, {*columns, *own, *named.values()})
    mapped = {**own, **named, **known}
    if by_header:
        mapped.pop("path", None)
    elif not exams and ("path" not in columns or columns["path"]):
        for key in ("accession", "study_date"):
            mapped.pop(key, None)
    _check_complete(path, header, mapped, columns, by_header=by_header)
    if known := {key: column for key, column in known.items() if key in mapped}:
        note("columns taken by name: " + ", ".join(f"{k} = {c}" for k, c in known.items()))
    return mapped


def _find_known(header: Sequence[str], taken: set[str]) -> dict[str, str]:
    by_name: dict[str, str] = {}
    for column in header:
        by_name.setdefault(re.sub(r"[\W_]", "", column.casefold()), column)
    found = {
        key: next((by_name[name] for name in names if name in by_name), "")
        for key, names in _KNOWN.items()
        if key not in taken
    }
    return {key: column for key, column in found.items() if column and column not in taken}


def _check_complete(
    path: Folder,
    header: Sequence[str],
    mapped: Mapping[str, str],
    columns: Mapping[str, str],
    *,
    by_header: bool,
) -> None:
    missing = []
    if not by_header and "path" not in mapped:
        missing.append("path")
    if by_header:
        if not {"patient_id", "accession"} & set(mapped):
            missing.append("patient_id")
    elif not {"patient_id"} & {*mapped, *columns}:
        missing.append("patient_id")
    label = any(key in mapped for key in LABELS)
    if label and not missing:
        return
    what = [f"has no column {', '.join(map(repr, missing))}"] if missing else []
    if not label:
        what.append(f"has no label: no column {', '.join(LABELS)}")
    given = [f"{key}={column}" for key, column in columns.items() if key not in missing]
    todo = [f"{key}=COLUMN" for key in (*missing, *([] if label else ["pathology"]))]
    remedy = f"say which by --columns={','.join([*given, *todo])}"
    if "patient_id" in missing and not by_header:
        remedy += (
            ", or --columns=patient_id= if every image is of another patient (else a patient would "
            "train and test the same model)"
        )
    if "path" in missing:
        remedy += "; without a column of files --match=header finds them by their DICOM headers"
    raise CallerError(f"{path} {' and '.join(what)}; its header is {', '.join(header)}; {remedy}")
