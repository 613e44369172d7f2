"""One image: where it lies, what the tables say of it, which split it goes to, or why it does not.

Every source returns a list of `SourceRow`; sources.csv is that list on disk.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from beam_jobs.storage import Folder
from records import folder, schema


@dataclasses.dataclass(frozen=True)
class Lesion:
    """One row of a case table; "" where it does not state a value.

    Attributes:
        circle: (column, row, radius) in image pixels from the upper left corner, or None.
    """

    pathology: str
    abnormality: str
    assessment: str = ""
    subtlety: str = ""
    mass_shape: str = ""
    mass_margins: str = ""
    calc_type: str = ""
    calc_distribution: str = ""
    circle: tuple[int, int, int] | None = None


@dataclasses.dataclass(frozen=True)
class Roi:
    """One lesion with the place on its image where the data set gives it: a row of lesions.csv.

    Attributes:
        lesion_id: number of the lesion as the table has it, unique within `copy`.
        copy: the table's name of the image the lesion was marked on.
        lesion: its row of the table.
        box: left,top,right,bottom in image pixels, or "".
        mask: file of the outline, relative to the data folder; as large as the image, two values.
        mask_status: ok, missing (no such file), unchecked (no size in the header of mask or image),
            size_misfit (mask and image differ in size) or swapped (the table's name for the mask
            belongs to the crop), joined by '+'; "" where the data set has no masks.
        mask_height: rows of the mask by its header, in pixels.
        mask_width: columns of the mask by its header, in pixels.
        crop: file of the cut-out around the lesion, relative to the data folder.
    """

    lesion_id: str
    copy: str
    lesion: Lesion
    box: str = ""
    mask: str = ""
    mask_status: str = ""
    mask_height: int = 0
    mask_width: int = 0
    crop: str = ""


@dataclasses.dataclass(frozen=True)
class SourceRow:
    """One image of a data set; the clinical fields are described in `records.schema.FEATURES`.

    Attributes:
        split: fold0, fold1, ... or test; "" until assigned, and for an excluded image.
        excluded: the policy that left the image out, or "".
        path: file relative to the data folder, "" where no file was found.
        bytes: size of the file.
        modified_ns: when it was last changed, in nanoseconds.
        copies: names the tables have for this image, joined by ';' (a view may stand in two).
        circles: (column, row, radius) in image pixels around lesions, where the data set has them.
        rois: the lesions one by one, where the data set gives their places in files or boxes.
        discrepancies: where header and table, header and pixels, or views disagree, joined by ';'.
        exam: tells images of a patient apart that are of no one breast or examination; "" where all
            are of one.
        unit_id: the breast or examination whose record it goes to, "" where it is its own.
        inverted: whether the image is a negative by the table, None where that does not state it.
        aspect: height / width of what it shows by the table, None likewise.
    """

    image_id: str
    patient_id: str
    side: str
    view: str
    pathology: str
    abnormality: str = ""
    density: str = ""
    assessment: str = ""
    subtlety: str = ""
    mass_shape: str = ""
    mass_margins: str = ""
    calc_type: str = ""
    calc_distribution: str = ""
    official_split: str = ""
    abnormalities: int = 0
    modality: str = ""
    intent: str = ""
    kind: str = ""
    age: str = ""
    split: str = ""
    excluded: str = ""
    path: str = ""
    bytes: int = 0
    modified_ns: int = 0
    copies: str = ""
    circles: tuple[tuple[int, int, int], ...] = ()
    rois: tuple[Roi, ...] = ()
    discrepancies: str = ""
    exam: str = ""
    unit_id: str = ""
    inverted: bool | None = None
    aspect: float | None = None

    @property
    def label(self) -> str:
        """What tables, pictures and strata go by: the pathology, else the BI-RADS assessment."""
        graded = f"BI-RADS {self.assessment}" if self.assessment else "not stated"
        return self.pathology or graded

    @property
    def lesions(self) -> str:
        """The circles as sources.csv has them: column,row,radius joined by ';'."""
        return ";".join(",".join(map(str, circle)) for circle in self.circles)

    def with_remarks(self, remarks: Iterable[str]) -> SourceRow:
        """Returns the image with more among its discrepancies."""
        said = "; ".join(filter(None, (self.discrepancies, *remarks)))
        return dataclasses.replace(self, discrepancies=said)

    def clinical(self) -> dict[str, str | int]:
        """Returns the columns a record takes from tables and headers, by feature key."""
        return {key: getattr(self, key) for key in schema.CLINICAL_KEYS}


_SEVERITY = ("", "normal", "no cancer", "benign", "malignant")


SUMMARIES: Mapping[str, Callable[[Sequence[str]], str]] = {
    "worst": lambda values: max(values, key=_SEVERITY.index),
    "highest": max,
    "joined": lambda values: "+".join(dict.fromkeys(filter(None, values))),
}
"""`of_lesions` of a feature -> how a value follows from several."""


def describe(lesions: Sequence[Lesion]) -> dict[str, Any]:
    """Sums up the lesions of one image: worst pathology, highest grades, kinds joined by '+'."""
    return {
        **{
            feature.key: SUMMARIES[feature.of_lesions](
                [getattr(lesion, feature.key) for lesion in lesions]
            )
            for feature in schema.FEATURES
            if feature.of_lesions
        },
        "abnormalities": sum(lesion.pathology in ("benign", "malignant") for lesion in lesions),
        "circles": tuple(lesion.circle for lesion in lesions if lesion.circle is not None),
    }


def is_mixed(lesions: Iterable[Lesion]) -> bool:
    """Whether benign and malignant lesions stand on the same image."""
    return {"benign", "malignant"} <= {lesion.pathology for lesion in lesions}


def write_sources(
    path: Folder, images: Iterable[SourceRow], rejected: dict[str, str], *, unit: str = "image"
) -> None:
    """Writes sources.csv: exactly one row an image, with what became of it.

    Args:
        path: file to write; the caller renames it into place.
        images: every image the tables list.
        rejected: image_id -> reason.
        unit: what one record holds, a key of `schema.VIEWS`.
    """

    def describe_outcome(image: SourceRow) -> dict[str, object]:
        status, reason = outcome(image, rejected)
        return {**vars(image), "status": status, "reason": reason, "lesions": image.lesions}

    folder.write_table(path, schema.sources_header(unit), map(describe_outcome, images))


_IMAGE_COLUMNS = ("image_id", "patient_id", "side", "view", "split", "path")
_LESION_COLUMNS = tuple(
    field.name for field in dataclasses.fields(Lesion) if field.name != "circle"
)
_ROI_COLUMNS = ("box", "mask", "mask_status", "mask_height", "mask_width", "crop")
LESIONS_HEADER = (*_IMAGE_COLUMNS, "lesion_id", "copy", *_LESION_COLUMNS, *_ROI_COLUMNS)


def write_lesions(path: Folder, images: Iterable[SourceRow]) -> None:
    """Writes lesions.csv: one row for each lesion of which the data set gives the place.

    Args:
        path: file to write; the caller renames it into place.
        images: every image the tables list.
    """
    rows = (
        {**vars(image), **vars(roi), **vars(roi.lesion)} for image in images for roi in image.rois
    )
    folder.write_table(path, LESIONS_HEADER, rows)


def outcome(image: SourceRow, rejected: dict[str, str]) -> tuple[str, str]:
    """Returns (written | rejected | excluded | missing, reason)."""
    if image.excluded:
        return "excluded", image.excluded
    if not image.path:
        return "missing", "no file found"
    if image.image_id in rejected:
        return "rejected", rejected[image.image_id]
    return "written", ""
