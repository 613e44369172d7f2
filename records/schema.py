"""What a record holds: one table drives the writer, the reader and TFDS's features.json.

for feature in FEATURES: print(feature.key, feature.kind, feature.doc)
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from records.errors import CallerError
from records.image_size import ImageSize

SCHEMA_VERSION = "2.3.0"
"""Version of record and folder layout; a reader refuses another major version."""

TEST_SPLIT = "test"
LABELS = "label.labels.txt"
"""Where TFDS looks for the names of the classes of `label`."""
FULL_SCALE = 65535
"""Largest pixel value, white; 0 is black."""

VIEWS: dict[str, tuple[str, ...]] = {
    "image": (),
    "breast": ("CC", "MLO"),
    "exam": ("L-CC", "L-MLO", "R-CC", "R-MLO"),
}
"""Unit of a record -> the views it holds, in order; none where a record is one image."""

Kind = Literal["image", "text", "integer", "class"]
PATHOLOGIES = ("normal", "no cancer", "benign", "malignant")
"""Classes of `label`, the same numbers in every data set."""


@dataclasses.dataclass(frozen=True)
class Feature:
    """One column of a record.

    Attributes:
        key: name in the tf.train.Example.
        kind: "image" is raw little-endian uint16 bytes of shape [height, width, 1]; "text" is
            UTF-8, "" where the data set does not state the value; "integer" is int64; "class" is
            int64, the place of the pathology in PATHOLOGIES, -1 where it is not stated.
        doc: meaning, unit and values.
        table: what its cells may hold in a table of one's own, "" where there is no such column.
        values: the only ones allowed there beside "", () for any text.
        of_lesions: how an image's value follows from those of its lesions: the worst, the highest,
            or all, joined by '+'; "" where the image itself has it.
        title: how statistics by its values are headed, "" where there are none; a column that has
            one goes into predictions.csv, and its values are subgroups of metrics.json.
        compared: whether its distribution is compared between two data sets.
    """

    key: str
    kind: Kind
    doc: str
    table: str = ""
    values: tuple[str, ...] = ()
    of_lesions: Literal["", "worst", "highest", "joined"] = ""
    title: str = ""
    compared: bool = False

    @property
    def per_view(self) -> bool:
        """Whether a record of several views has a value for each, along a first axis."""
        return self.key == "image" or self.key.startswith(("image_ids", "original_", "views_"))


FEATURES = (
    Feature("image", "image", "pixels after the recipe, 0 (black) to 65535 (white)"),
    Feature(
        "image_id",
        "text",
        "unique name of the image within the data set",
        table="name of the image, the path if left out",
    ),
    Feature(
        "patient_id",
        "text",
        "patient; no patient stands in two splits by default",
        table="patient; 'patient_id=' makes every image a patient of its own",
    ),
    Feature(
        "side",
        "text",
        "breast: left or right",
        table="left or right",
        values=("left", "right"),
        title="Side",
        compared=True,
    ),
    Feature(
        "view",
        "text",
        "projection: CC, MLO or another code of DICOM CID 4014",
        table="CC, MLO, ...",
        title="View",
        compared=True,
    ),
    Feature(
        "pathology",
        "text",
        "normal, no cancer, benign or malignant; the worst of the lesions",
        table="normal, no cancer, benign or malignant",
        values=PATHOLOGIES,
        of_lesions="worst",
        compared=True,
    ),
    Feature(
        "abnormality",
        "text",
        "kinds of lesion joined by '+': mass, calcification, ...",
        table="mass, calcification, ...",
        of_lesions="joined",
        title="Kind of lesion",
        compared=True,
    ),
    Feature(
        "density",
        "text",
        "breast density by the data set's own grades: 1-4, A-D, or F, G, D",
        table="the breast's, in grades of your own",
        title="Breast density",
        compared=True,
    ),
    Feature(
        "assessment",
        "text",
        "BI-RADS assessment 0-6, 4a-4c; the highest of the lesions",
        table="BI-RADS 0-6, 4a-4c",
        values=("0", "1", "2", "3", "4", "4a", "4b", "4c", "5", "6"),
        of_lesions="highest",
        title="BI-RADS assessment",
        compared=True,
    ),
    Feature(
        "subtlety",
        "text",
        "1 (subtle) to 5 (obvious); the highest of the image's lesions",
        table="1-5",
        values=("1", "2", "3", "4", "5"),
        of_lesions="highest",
        compared=True,
    ),
    Feature(
        "mass_shape",
        "text",
        "shapes of the masses, joined by '+'",
        table="text",
        of_lesions="joined",
    ),
    Feature(
        "mass_margins",
        "text",
        "margins of the masses, joined by '+'",
        table="text",
        of_lesions="joined",
    ),
    Feature(
        "calc_type",
        "text",
        "types of the calcifications, joined by '+'",
        table="text",
        of_lesions="joined",
    ),
    Feature(
        "calc_distribution",
        "text",
        "distributions of the calcifications, joined by '+'",
        table="text",
        of_lesions="joined",
    ),
    Feature("official_split", "text", "train or test by the data set's own tables, or ''"),
    Feature("abnormalities", "integer", "number of lesions the tables list on the image"),
    Feature("modality", "text", "MG, CT, ... by the DICOM header", compared=True),
    Feature("intent", "text", "presentation or processing (raw) by the header", compared=True),
    Feature(
        "kind",
        "text",
        "by the header magnification, synthetic 2D, ... joined by '+'; '' for a standard view",
        compared=True,
    ),
    Feature(
        "age",
        "text",
        "age of the patient in whole years at the examination, by the table, else the header",
        table="years",
    ),
    Feature("label", "class", "pathology as a number: 0 normal to 3 malignant, -1 not stated"),
    Feature("original_height", "integer", "rows of the image before the recipe, in pixels"),
    Feature("original_width", "integer", "columns of the image before the recipe, in pixels"),
)
VIEW_FEATURES = (
    Feature("image_ids", "text", "name of each view's image, '' where absent"),
    Feature("views_present", "integer", "1 for each view, 0 where absent"),
)
"""What a record of several views has beside FEATURES."""

SIDE_WORDS = {
    **dict.fromkeys(("left", "l", "li", "lt", "links"), "left"),
    **dict.fromkeys(("right", "r", "re", "rt", "rechts"), "right"),
}
"""How people write the side, in small letters."""

LATER = ("age",)
"""Columns that records of an earlier version of this schema lack."""

CLINICAL_KEYS = tuple(
    feature.key
    for feature in FEATURES
    if feature.kind in ("text", "integer") and not feature.key.startswith("original_")
)
"""Columns that come from tables and headers, in record order; the rest come from the pixels."""


TITLES = {feature.key: feature.title for feature in FEATURES if feature.title}
"""Columns that statistics, subgroups and charts go by, with how each is headed."""

SOURCES_HEADER = (
    "image_id",
    "status",
    "reason",
    "split",
    "path",
    *(key for key in CLINICAL_KEYS if key != "image_id"),
    "discrepancies",
    "copies",
    "lesions",
)
"""Columns of sources.csv: one row an image, its outcome, its clinical columns, its lesions."""
UNITS_HEADER = (
    *SOURCES_HEADER[:4],
    *(key for key in CLINICAL_KEYS if key != "image_id"),
    "image_ids",
    "discrepancies",
)
"""Columns of units.csv: one row a breast or examination, its id as `image_id`."""


def sources_header(unit: str) -> tuple[str, ...]:
    """Names the columns of sources.csv; images of other units have the id of theirs."""
    return (*SOURCES_HEADER, "unit_id") if VIEWS[unit] else SOURCES_HEADER


def features_of(unit: str) -> tuple[Feature, ...]:
    """Lists the columns of a record of a unit."""
    return (*FEATURES, *VIEW_FEATURES) if VIEWS[unit] else FEATURES


def label_of(pathology: str) -> int:
    """Returns the number of a pathology in PATHOLOGIES, -1 for ""."""
    return PATHOLOGIES.index(pathology) if pathology else -1


def fold_name(fold: int) -> str:
    """Names the split of one fold of the training images, counted from 0."""
    return f"fold{fold}"


def shard_name(dataset: str, split: str, index: int, count: int) -> str:
    """Names a shard as TFDS does: `cbis_ddsm-fold0.tfrecord-00000-of-00008`."""
    return f"{dataset}-{split}.tfrecord-{index:05d}-of-{count:05d}"


def check_schema_version(version: object, where: str) -> None:
    """Refuses a folder written under another major version of the schema.

    Raises:
        CallerError: the version differs; the line names the folder and the remedy.
    """
    if str(version).partition(".")[0] != SCHEMA_VERSION.partition(".")[0]:
        raise CallerError(
            f"{where} has schema version {version}, this program reads {SCHEMA_VERSION}; "
            "convert the images again with this version of beam_jobs.tfrecords"
        )


def labels_text() -> str:
    """Writes PATHOLOGIES as TFDS reads the names of a class label: a line each."""
    return "".join(f"{name}\n" for name in PATHOLOGIES)


def features_json(size: ImageSize, unit: str = "image") -> dict[str, Any]:
    """Builds the content of TFDS's features.json for records of one size."""
    axes = [len(VIEWS[unit])] if VIEWS[unit] else []
    dtypes = {"image": "uint16", "text": "string", "integer": "int64"}

    def describe(feature: Feature) -> tuple[str, dict[str, Any]]:
        if feature.kind == "class":
            return "class_label_feature.ClassLabel", {
                "classLabel": {"numClasses": str(len(PATHOLOGIES))}
            }
        shape = axes if feature.per_view else []
        if feature.kind == "image":
            shape = [*shape, size.height, size.width, 1]
        elif feature.kind == "text" and not shape:
            return "text_feature.Text", {"text": {}}
        kind = "tensor_feature.Tensor" if shape else "scalar.Scalar"
        return kind, {
            "tensor": {
                "shape": {"dimensions": list(map(str, shape))} if shape else {},
                "dtype": dtypes[feature.kind],
                "encoding": "bytes" if feature.kind == "image" else "none",
            }
        }

    package = "tensorflow_datasets.core.features"
    described = {feature.key: describe(feature) for feature in features_of(unit)}
    return {
        "pythonClassName": f"{package}.features_dict.FeaturesDict",
        "featuresDict": {
            "features": {
                key: {"pythonClassName": f"{package}.{kind}", **content}
                for key, (kind, content) in described.items()
            }
        },
    }
