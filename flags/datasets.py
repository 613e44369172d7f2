"""Data sets that --dataset may name, and policies by which images are labelled and split."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class DataSet:
    """A public (or built-in) set of images.

    Attributes:
        title: name for people.
        images: number of images its tables list (CBIS-DDSM: views, copies of one image merged).
        patients: number of patients its tables list.
        official_split: whether its authors give a train and a test set (`table`: the flags say).
        target: what the trainer learns from it by default.
        licence: terms of use.
        citation: whom to cite.
        homepage: address of its page, "none" where it has none.
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
    homepage: str = "none"
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
        homepage="https://doi.org/10.7937/K9/TCIA.2016.7O02S9CY",
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
        homepage="http://peipa.essex.ac.uk/info/mias.html",
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
        homepage="https://www.kaggle.com/datasets/awsaf49/cbis-ddsm-breast-cancer-image-dataset",
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
        homepage="https://doi.org/10.7937/tcia.eqde-4b16",
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
        homepage="https://doi.org/10.1016/j.acra.2011.09.014",
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
        homepage="https://doi.org/10.13026/br2v-7517",
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
        homepage="https://www.kaggle.com/competitions/rsna-breast-cancer-detection",
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

LABEL_POLICIES = {
    "any_malignant": "an image is malignant if any of its lesions is; copies of a view are merged",
    "paper": "one image a series; series with benign and malignant lesions are left out",
}
UNITS = {
    "image": "one image",
    "breast": "CC and MLO of one breast",
    "exam": "CC and MLO of both breasts at one examination",
}
"""What one record holds, `records.schema.VIEWS` says in which order."""
MATCHES = {
    "path": "by its column path",
    "header": "by DICOM headers: patient or accession number, and date, side and view where stated",
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

SPECIAL_VIEWS = {"exclude": "left out, and counted", "keep": "treated like all others"}
"""What becomes of images that are no standard views by their headers."""
