"""Tests of side, view, technique and kind against pydicom's own tables of CID 4014 and 4015."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sr._snomed_dict import mapping
from pydicom.sr.codedict import codes

from beam_jobs.imaging import dicom_file, image_kind, projection

IMAGE = np.arange(6, dtype=np.uint16).reshape(2, 3)
VIEWS = {
    "CranioCaudal": "CC",
    "MedioLateralObliqueProjection": "MLO",
    "MedioLateralProjection": "ML",
    "LateroMedial": "LM",
    "LateroMedialOblique": "LMO",
    "CaudoCranial": "FB",
    "SuperolateralToInferomedialOblique": "SIO",
    "InferomedialToSuperolateralOblique": "ISO",
    "CranioCaudalExaggeratedLaterally": "XCCL",
    "CranioCaudalExaggeratedMedially": "XCCM",
}


def item(value: str = "", scheme: str = "", meaning: str = "", **more: object) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    for keyword, content in more.items():
        setattr(code, keyword, content)
    return code


def header(**elements: object) -> Dataset:
    found = Dataset()
    for keyword, value in elements.items():
        setattr(found, keyword, value)
    return found


def both(code: pydicom.sr.coding.Code) -> list[tuple[str, str]]:
    """A code in SNOMED CT, and in SNOMED RT under each name that had."""
    (old,) = [old for old, new in mapping["SRT"].items() if new == code.value]
    return [(code.value, "SCT"), *((old, scheme) for scheme in ("SRT", "SNM3", "99SDM"))]


@pytest.mark.parametrize(("name", "view"), VIEWS.items())
def test_a_view_goes_by_its_code_whatever_its_text(name, view):
    for value, scheme in both(getattr(codes.cid4014, name)):
        stated = header(ViewCodeSequence=[item(value, scheme, "Testo")], ViewPosition="AP")
        assert projection.read_view(stated) == view


@pytest.mark.parametrize("name", codes.cid4015.dir())
def test_every_modifier_is_known(name):
    for value, scheme in both(getattr(codes.cid4015, name)):
        modified = item("R-10242", "SRT", ViewModifierCodeSequence=[item(value, scheme)])
        found = projection.read_technique(header(ViewCodeSequence=[modified]))
        assert found.replace(" ", "") == name.lower()


@pytest.mark.parametrize(
    ("meaning", "view"),
    [
        ("MEDIOLATERAL OBLIQUE", "MLO"),
        ("obliqua medio-laterale", "MLO"),
        ("Médio-latérale oblique", "MLO"),
        ("mediolateral schräg", "MLO"),
        ("oblicua medio-lateral", "MLO"),
        ("kraniokaudal", "CC"),
        ("Crânio-caudal", "CC"),
        ("craneocaudal", "CC"),
        ("cranio-caudal exaggerated laterally", "XCCL"),
        ("cranio-caudal exaggerated", "XCC"),
        ("caudo-cranial (from below)", "FB"),
        ("latero-medial oblique", "LMO"),
        ("medial-lateral", "ML"),
        ("R MLO", "MLO"),
        ("Jane Smith", ""),
    ],
)
def test_a_meaning_without_a_known_code(meaning, view):
    assert projection.read_view(header(ViewCodeSequence=[item("1", "99X", meaning)])) == view


@pytest.mark.parametrize(
    ("elements", "view"),
    [
        ({"ViewPosition": "mlo"}, "MLO"),
        ({"ViewCodeSequence": [], "ViewPosition": "CC"}, "CC"),
        ({"ViewPosition": "AP", "AcquisitionDeviceProcessingDescription": "L-MLO"}, "MLO"),
        ({"AcquisitionDeviceProcessingDescription": "MAMMO, RCC"}, "CC"),
        ({"AcquisitionDeviceProcessingDescription": "ACCESS"}, ""),
    ],
)
def test_a_view_in_letters(elements, view):
    assert projection.read_view(header(**elements)) == view


@pytest.mark.parametrize("group", ["Shared", "PerFrame"])
def test_side_and_view_of_functional_groups(group):
    anatomy = header(FrameLaterality="R")
    frame = header(FrameAnatomySequence=[anatomy], ViewCodeSequence=[item("R-10226", "SRT")])
    stated = header(**{f"{group}FunctionalGroupsSequence": [frame]})
    assert (projection.read_side(stated), projection.read_view(stated)) == ("right", "MLO")


@pytest.mark.parametrize(
    ("elements", "kind"),
    [
        ({"EstimatedRadiographicMagnificationFactor": "1.8"}, "magnification"),
        ({"EstimatedRadiographicMagnificationFactor": "1.07"}, ""),
        ({"PaddleDescription": "10CM SPOT"}, "spot compression"),
        ({"ViewCodeSequence": [item("G-8310", "SRT")]}, "specimen"),
        ({"ViewModifierCodeSequence": [item("1", "99X", "Vergrößerung")]}, "magnification"),
    ],
)
def test_techniques_without_a_modifier(elements, kind):
    assert projection.read_technique(header(**elements)) == kind


@pytest.mark.parametrize(
    ("elements", "stranger"),
    [
        ({"Modality": "MG", "BodyPartExamined": "CHEST"}, ""),
        ({"Modality": "CR", "BodyPartExamined": "BREAST"}, ""),
        ({"Modality": "CR", "BodyPartExamined": "Left Breast"}, ""),
        ({"Modality": "CR"}, ""),
        ({"Modality": "OT", "SOPClassUID": pydicom.uid.SecondaryCaptureImageStorage}, ""),
        ({}, ""),
        ({"Modality": "DX", "BodyPartExamined": "chest"}, "chest"),
        ({"Modality": "mr"}, "MR"),
        ({"Modality": "OT", "SOPClassUID": pydicom.uid.CTImageStorage}, "CT"),
        ({"SOPClassUID": pydicom.uid.EnhancedMRImageStorage}, "MR"),
        ({"SOPClassUID": pydicom.uid.UltrasoundMultiFrameImageStorage}, "US"),
        ({"SOPClassUID": pydicom.uid.BreastTomosynthesisImageStorage}, ""),
    ],
)
def test_what_is_no_mammogram(elements, stranger):
    assert image_kind.read_stranger(header(**elements)) == stranger


def test_synthetic_and_raw_images():
    assert image_kind.read_derivation(header(ImageType=["DERIVED", "PRIMARY", "", "GENERATED_2D"]))
    assert not image_kind.read_derivation(header(ImageType=["ORIGINAL", "PRIMARY"]))
    raw = header(SOPClassUID=pydicom.uid.DigitalMammographyXRayImageStorageForProcessing)
    assert image_kind.read_intent(raw) == "processing"
    raw.PresentationIntentType = "FOR PRESENTATION"
    assert image_kind.read_intent(raw) == "presentation"


CASES = {
    "q00": "left CC", "q01": "left MLO", "q04": "right MLO", "q05": "right MLO",
    "q06": "right MLO", "q09": "left CC", "q10": "left MLO",
}  # fmt: skip


@pytest.mark.parametrize(("name", "shown"), CASES.items())
def test_files_from_the_field(name, shown, shared_cases):
    path = shared_cases / "views_and_sides" / f"{name}.dcm"
    identity = dicom_file.read_identity(path)
    assert f"{identity.side} {identity.view}" == shown
    assert dicom_file.read_origin(path).medium == "digital"
    assert not identity.stranger
