"""A DICOM header -> what kind of image it is: raw or processed, synthetic, no mammogram at all.

All words are of the lists below, none is the header's own.
"""

from __future__ import annotations

import collections
import re
from collections.abc import Hashable, Sequence

import pydicom
from pydicom.uid import UID

TAGS = ["Modality", "SOPClassUID", "PresentationIntentType", "ImageType", "BodyPartExamined"]
"""What is read of a header, for `pydicom.dcmread(specific_tags=...)`."""

# PS3.3 C.7.3.1.1.1; those of the first line may be mammograms: digital, general radiography (old
# computed radiography, NEMA's samples say RG), digitised films and copies
_MAMMOGRAMS = ("MG", "CR", "DX", "DR", "RG", "FS", "HC", "OT", "SC")
_OTHERS = (
    *("CT", "MR", "PT", "NM", "US", "XA", "RF", "IVUS", "IVOCT", "BI", "DF", "XC", "ES", "GM"),
    *("SM", "OP", "OPT", "OCT", "TG", "IO", "PX", "BMD", "ECG", "PR", "SR", "KO", "SEG", "DOC"),
    *("REG", "PLAN", "RTIMAGE", "RTDOSE", "RTSTRUCT", "RTPLAN", "RTRECORD", "CTPROTOCOL"),
)
MAMMOGRAPHY = ("1.2.840.10008.5.1.4.1.1.1.2", "1.2.840.10008.5.1.4.1.1.13.1.")
"""How the UIDs of PS3.4 B.5 begin: digital mammography; tomosynthesis and breast projections."""
_OTHER_CLASSES = {
    "CT": "CT",
    "MR": "MR",
    "Ultrasound": "US",
    "NuclearMedicine": "NM",
    "PositronEmission": "PT",
    "XRayAngiographic": "XA",
    "XRayRadiofluoroscopic": "RF",
    "DigitalIntraOral": "IO",
    "Ophthalmic": "OP",
    "VL": "XC",
}
"""How the keywords of other images' SOP classes begin, after "Enhanced" and "LegacyConverted"."""
_BODY_PARTS = {
    **dict.fromkeys(("CHEST", "THORAX", "TORAX", "TORACE", "LUNG", "HEART"), "chest"),
    **dict.fromkeys(("ABDOMEN", "PELVIS", "HIP", "BLADDER", "KIDNEY", "LIVER"), "abdomen"),
    **dict.fromkeys(("HEAD", "SKULL", "BRAIN", "JAW", "FACE", "NECK", "TEETH"), "head"),
    **dict.fromkeys(("SPINE", "CSPINE", "TSPINE", "LSPINE", "SSPINE"), "spine"),
    **dict.fromkeys(("ARM", "ELBOW", "HAND", "WRIST", "SHOULDER", "FINGER", "EXTREMITY"), "arm"),
    **dict.fromkeys(("LEG", "KNEE", "FOOT", "ANKLE", "TOE", "FEMUR", "TIBIA"), "leg"),
}
# ImageType, value 3: PS3.3 C.8.11.7.1.4 and C.8.21.3.1.1.3
_IMAGE_TYPES = {
    "GENERATED_2D": "synthetic 2D",
    "SUBTRACTION": "contrast subtraction",
    "RECOMBINED": "contrast subtraction",
    "HIGH_ENERGY": "high energy",
    "POST_CONTRAST": "post-contrast",
}
SYNTHETIC = "synthetic 2D"
_INTENTS = {"FOR PROCESSING": "processing", "FOR PRESENTATION": "presentation"}
_RAW_CLASS = re.compile(r"1\.2\.840\.10008\.5\.1\.4\.1\.1\.1\.[123](\.1)?")
"""DX, mammography and intra-oral X-ray images; those that end in .1 are for processing."""


def read_modality(header: pydicom.Dataset) -> str:
    """Reads Modality (0008,0060); "" where it is none that DICOM lists."""
    modality = str(header.get("Modality", "")).strip().upper()
    return modality if modality in (*_MAMMOGRAMS, *_OTHERS) else ""


def read_intent(header: pydicom.Dataset) -> str:
    """Reads presentation or processing (raw), from (0008,0068), else the SOP class; else ""."""
    stated = str(header.get("PresentationIntentType", "")).strip().upper()
    if stated in _INTENTS:
        return _INTENTS[stated]
    match = _RAW_CLASS.fullmatch(str(header.get("SOPClassUID", "")))
    return "" if match is None else "processing" if match[1] else "presentation"


def read_derivation(header: pydicom.Dataset) -> str:
    """Reads from ImageType (0008,0008) whether an image is no plain exposure; "" if it is."""
    values = header.get("ImageType") or []
    values = [values] if isinstance(values, str) else values
    named = (_IMAGE_TYPES.get(str(value).strip().upper(), "") for value in values)
    return next(filter(None, named), "")


def read_stranger(header: pydicom.Dataset) -> str:
    """Says what an image is that is no mammogram: CT, MR, chest, ...; "" if it may be one.

    Digitised films and copies are secondary captures of any modality's name, so only what the
    header says outright counts.
    """
    modality = read_modality(header)
    if modality in _OTHERS:
        return modality
    kind = UID(str(header.get("SOPClassUID", "")))
    if kind.startswith(MAMMOGRAPHY):
        return _body_part(header) if modality not in ("", "MG") else ""
    keyword = re.sub("^(Enhanced|LegacyConvertedEnhanced)", "", kind.keyword)
    for start, name in _OTHER_CLASSES.items():
        if keyword.startswith(start):
            return name
    return "" if modality == "MG" else _body_part(header)


def _body_part(header: pydicom.Dataset) -> str:
    """Reads a part that is not the breast from BodyPartExamined (0018,0015); "" if none."""
    words = re.split(r"[^A-Z]+", str(header.get("BodyPartExamined", "")).upper())
    if any(word.startswith(("BREAST", "MAM", "SENO", "BRUST")) for word in words):
        return ""
    return next((_BODY_PARTS[word] for word in words if word in _BODY_PARTS), "")


def find_special(images: Sequence[tuple[Hashable, str, str]]) -> list[str]:
    """Says of each image why it is no standard view of its own, "" if it is one.

    Args:
        images: view of a breast (any key), kind and intent of each, as `dicom_file.Identity` has
            them. Of one view, a raw or synthetic image is no second one.
    """
    reasons = [kind if kind not in ("", SYNTHETIC) else "" for _, kind, _ in images]
    standard = collections.Counter(
        view
        for (view, kind, intent), reason in zip(images, reasons, strict=True)
        if not reason and kind != SYNTHETIC and intent != "processing"
    )
    for index, (view, kind, intent) in enumerate(images):
        if not reasons[index] and standard[view] and intent == "processing":
            reasons[index] = "raw twin of a presentation image"
        elif not reasons[index] and standard[view] and kind == SYNTHETIC:
            reasons[index] = "synthetic twin of an exposure"
    return reasons
