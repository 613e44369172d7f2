"""The data sets, targets, recipes and bases that flags may name, each described once."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from typing import Literal

from records.errors import CallerError


@dataclasses.dataclass(frozen=True)
class DataSet:
    """A public (or built-in) set of images.

    Attributes:
        title: name for people.
        images: number of images its tables list (CBIS-DDSM: views, copies of one image merged).
        patients: number of patients its tables list.
        official_split: whether its authors give a train and a test set (`table`: the flags say).
        target: what the trainer learns from it unless told otherwise.
        licence: terms of use.
        citation: whom to cite.
        medium: "film" for digitised films, "digital" for mammograms whose DICOM headers call them
            digital, "" for neither or both.
    """

    title: str
    images: int | None
    patients: int | None
    official_split: bool
    target: str
    licence: str
    citation: str
    medium: str = ""


DATASETS = {
    "cbis_ddsm": DataSet(
        title="CBIS-DDSM",
        images=3032,
        patients=1566,
        official_split=True,
        target="pathology",
        licence="CC BY 3.0",
        citation="Lee et al., A curated mammography data set for use in computer-aided detection "
        "and diagnosis research, Scientific Data 4:170177, 2017",
        medium="film",
    ),
    "mini_mias": DataSet(
        title="mini-MIAS",
        images=322,
        patients=161,
        official_split=False,
        target="abnormal",
        licence="research use only, see its Licence.txt",
        citation="Suckling et al., The Mammographic Image Analysis Society Digital Mammogram "
        "Database, Excerpta Medica, International Congress Series 1069:375-378, 1994",
        medium="film",
    ),
    "cbis_ddsm_kaggle": DataSet(
        title="CBIS-DDSM (Kaggle, 8-bit JPEG)",
        images=3032,
        patients=1566,
        official_split=True,
        target="pathology",
        licence="that of CBIS-DDSM, CC BY 3.0; see the page of the download",
        citation="Lee et al., A curated mammography data set for use in computer-aided detection "
        "and diagnosis research, Scientific Data 4:170177, 2017",
        medium="film",
    ),
    "cmmd": DataSet(
        title="CMMD",
        images=3744,
        patients=1775,
        official_split=False,
        target="pathology",
        licence="CC BY 4.0",
        citation="Cui et al., The Chinese Mammography Database (CMMD): An online mammography "
        "database with biopsy confirmed types for machine diagnosis of breast, The Cancer Imaging "
        "Archive, 2021, doi 10.7937/tcia.eqde-4b16",
        medium="digital",
    ),
    "inbreast": DataSet(
        title="INbreast",
        images=410,
        patients=None,
        official_split=False,
        target="suspicious",
        licence="research use only, on request from its authors",
        citation="Moreira et al., INbreast: toward a full-field digital mammographic database, "
        "Academic Radiology 19:236-248, 2012",
        medium="digital",
    ),
    "vindr_mammo": DataSet(
        title="VinDr-Mammo",
        images=20000,
        patients=5000,
        official_split=True,
        target="suspicious",
        licence="PhysioNet restricted access, its data use agreement",
        citation="Nguyen et al., VinDr-Mammo: A large-scale benchmark dataset for computer-aided "
        "diagnosis in full-field digital mammography, Scientific Data 10:277, 2023",
        medium="digital",
    ),
    "rsna": DataSet(
        title="RSNA Screening Mammography 2023",
        images=54706,
        patients=11913,
        official_split=False,
        target="cancer",
        licence="non-commercial use, the rules of the Kaggle competition",
        citation="RSNA Screening Mammography Breast Cancer Detection, Kaggle, 2023",
        medium="digital",
    ),
    "table": DataSet(
        title="your own table",
        images=None,
        patients=None,
        official_split=False,
        target="pathology",
        licence="that of the images",
        citation="that of the images",
    ),
    "phantom": DataSet(
        title="synthetic phantom (no real breast)",
        images=None,
        patients=None,
        official_split=True,
        target="pathology",
        licence="Apache-2.0, as this program",
        citation="made by beam_jobs.sources.phantom",
        medium="digital",
    ),
}

RECIPES = {
    "plain": "resize:pad",
    "paper": "resize:pad,gaussian:kernel=11:sigma=0.5,hist_eq,minmax",
    "paper_8bit": "resize:pad,gaussian:kernel=11:sigma=0.5,bits:8,hist_eq,bits:8,minmax",
    "best_practice": "clean,orient:left,pectoral,crop,resize:pad,median:kernel=3,clahe:clip=2",
}
"""Named recipes as ordered steps, in the language of `flags.recipe`.

`paper`: Jaamour et al. 2023, pre-processing, in 16 bits; `paper_8bit` in the 256 levels theirs had.
`best_practice`: what the survey of Abdelhafiz et al. 2019 finds to help; docs/recipes.md says why.
"""

LABEL_POLICIES = {
    "any_malignant": "an image is malignant if any of its lesions is; copies of a view are merged",
    "paper": "one image a series; series with benign and malignant lesions are left out",
}
SPLIT_POLICIES = {
    "official": "the data set's own test set; its training images in folds by patient",
    "patient": "test set and folds drawn by patient from all images",
    "image": "as published: official test set (else drawn), folds by image, not by patient",
}
LEAK_POLICIES = {
    "drop_from_train": "training images of patients who also stand in the test set are left out",
    "keep": "they stay",
    "fail": "the job stops and names them",
}


WINDOWS = {
    "none": "the whole range of values that can be stored, the same for all images of a device",
    "first": "the image's first, the whole range where it has none",
    "INDEX": "the one of that number, from 0; images without it are rejected",
}
DECODERS = {
    "auto": "what is best, today pydicom",
    "pydicom": "headers with pydicom, pixels with the fastest right codec for each compression",
    "tfio": "pixels with tensorflow-io (DCMTK), a slow second opinion that lacks HTJ2K",
}


@dataclasses.dataclass(frozen=True)
class Target:
    """A question put to every image; images with none of its values are left out and counted.

    Attributes:
        column: key of the record column.
        values: for each class, from 0 on, the values of the column that mean it.
        names: name of each class.
        kind: binary (two classes), classes (more, without an order) or ordinal (more, each above
            the one before).
    """

    column: str
    values: tuple[tuple[str, ...], ...]
    names: tuple[str, ...]
    kind: Literal["binary", "classes", "ordinal"] = "binary"

    def label_of(self, value: str) -> int | None:
        """Returns the class that a value of the column means, None if it means none."""
        return next((label for label, some in enumerate(self.values) if value in some), None)


_GRADES = (("1",), ("2",), ("3",), ("4", "4a", "4b", "4c"), ("5",), ("6",))

TARGETS = {
    "pathology": Target("pathology", (("benign",), ("malignant",)), ("benign", "malignant")),
    "abnormal": Target("pathology", (("normal",), ("benign", "malignant")), ("normal", "abnormal")),
    "cancer": Target(
        "pathology", (("normal", "no cancer", "benign"), ("malignant",)), ("no cancer", "cancer")
    ),
    "three_class": Target(
        "pathology",
        (("normal",), ("benign",), ("malignant",)),
        ("normal", "benign", "malignant"),
        "classes",
    ),
    # ACR BI-RADS Atlas: 4 is suspicious, 3 probably benign; 0 is no assessment yet
    "suspicious": Target(
        "assessment",
        (("1", "2", "3"), ("4", "4a", "4b", "4c", "5", "6")),
        ("BI-RADS 1-3", "BI-RADS 4-6"),
    ),
    "assessment": Target(
        "assessment", _GRADES, tuple(f"BI-RADS {values[0]}" for values in _GRADES), "ordinal"
    ),
    # ACR BI-RADS Atlas: a almost entirely fatty, b scattered, c heterogeneously, d extremely dense;
    # 1 to 4 in its editions before 2013
    "density": Target(
        "density",
        (("1", "A"), ("2", "B"), ("3", "C"), ("4", "D")),
        ("density A", "density B", "density C", "density D"),
        "ordinal",
    ),
    # mini-MIAS grades tissue in letters of its own; its D is no ACR d
    "tissue": Target(
        "density", (("F",), ("G",), ("D",)), ("fatty", "fatty-glandular", "dense"), "ordinal"
    ),
    "abnormality": Target(
        "abnormality",
        (
            ("mass", "circumscribed mass", "spiculated mass", "ill-defined mass"),
            ("calcification",),
        ),
        ("mass", "calcification"),
    ),
}
"""Question -> how it is read off a record; of an ordinal one, grades no image has are dropped."""


def check_name(flag: str, name: str, known: Iterable[str]) -> None:
    """Refuses a flag value that is none of the known names.

    Raises:
        CallerError: lists the names, and the closest one.
    """
    known = list(known)
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise CallerError(f"--{flag}={name} is not one of {', '.join(known)}{hint}")


def describe(lead: str, names: Mapping[str, str]) -> str:
    """Writes a flag's help: what it decides, then every name with its meaning."""
    return f"{lead}: " + "; ".join(f"{name} = {text}" for name, text in names.items()) + "."
