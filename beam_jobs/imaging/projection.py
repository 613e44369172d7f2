"""A DICOM header -> which breast an image shows, from where, and by which special technique.

Codes go before text: the text may be of any language. Only words of the lists below are returned.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

import pydicom

TAGS = [
    "ImageLaterality",
    "Laterality",
    "ViewCodeSequence",
    "ViewModifierCodeSequence",
    "ViewPosition",
    "AcquisitionDeviceProcessingDescription",
    "EstimatedRadiographicMagnificationFactor",
    "PaddleDescription",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
]
"""What is read of a header, for `pydicom.dcmread(specific_tags=...)`."""


def _by_code(codes: Mapping[str, str]) -> dict[str, str]:
    return {code: meaning for meaning, known in codes.items() for code in known.split()}


_SIDES = {"L": "left", "LEFT": "left", "R": "right", "RIGHT": "right"}
# PS3.16 CID 4014 in SNOMED CT and in SNOMED RT, which older files call SRT, SNM3 or 99SDM; the
# codes that the note below that table withdraws, and XCC, which it had once
_VIEWS = _by_code(
    {
        "CC": "399162004 R-10242",
        "MLO": "399368009 R-10226",
        "ML": "399260004 R-10224",
        "LM": "399352003 R-10228",
        "LMO": "399099002 R-10230",
        "FB": "399196006 R-10244",
        "SIO": "399188001 R-102D0",
        "ISO": "441555000 R-40AAA",
        "XCC": "399265009 R-102CF",
        "XCCL": "399192008 R-1024A Y-X1770",
        "XCCM": "399101009 R-1024B Y-X1771",
    }
)
_SPECIMEN = ("127457009", "G-8310")  # tissue from a breast, CID 4014 as well
# PS3.16 CID 4015
_MODIFIERS = _by_code(
    {
        "magnification": "399163009 R-102D6",
        "spot compression": "399055006 R-102D7",
        "implant displaced": "399209000 R-102D5",
        "cleavage": "399161006 R-102D2",
        "axillary tail": "399011000 R-102D1",
        "rolled lateral": "399197002 R-102D3",
        "rolled medial": "399226006 R-102D4",
        "rolled inferior": "414493004 R-102CA",
        "rolled superior": "415670009 R-102C9",
        "tangential": "399110001 R-102C2",
        "nipple in profile": "442581004 R-40AB3",
        "anterior compression": "441752004 P2-00161",
        "inframammary fold": "442593008 R-40ABE",
        "axillary tissue": "442580003 R-40AB2",
    }
)
# meanings without a known code: Germanic and Romance words, accents and all but letters left out
_VIEW_WORDS = (
    (r"superolat\w*inferomed", "SIO"),
    (r"inferomed\w*superolat", "ISO"),
    (r"[ck]ran\w*[ck]aud\w*(lateral\w*(exag|esag)|(exag|esag|uber)\w*lateral)", "XCCL"),
    (r"[ck]ran\w*[ck]aud\w*(medial\w*(exag|esag)|(exag|esag|uber)\w*medial)", "XCCM"),
    (r"[ck]ran\w*[ck]aud\w*(exag|esag)|(exag|esag)\w*[ck]ran\w*[ck]aud", "XCC"),
    (r"[ck]ran\w*[ck]aud", "CC"),
    (r"[ck]aud\w*[ck]ran", "FB"),
    (r"(obli|schrag|schuin)\w*medi[oa]?lat|medi[oa]?lat\w*(obli|schrag|schuin)", "MLO"),
    (r"(obli|schrag|schuin)\w*later[oa]?med|later[oa]?med\w*(obli|schrag|schuin)", "LMO"),
    (r"medi[oa]?l?lat", "ML"),
    (r"later[oa]?med", "LM"),
)
_MODIFIER_WORDS = (
    (r"magnif|vergros|agrandis|ampliac|ampliad|ingrandi|vergrot", "magnification"),
    (r"spot|focal|localiz|coned", "spot compression"),
    (r"(implant|protes|prothes)\w*(displ|desp|depl|verdr|spost)|eklund", "implant displaced"),
    (r"rolled?lat", "rolled lateral"),
    (r"rolled?med", "rolled medial"),
    (r"tangential|tangencial|tangenzial", "tangential"),
)
_ACRONYM = re.compile(r"(?:R|L)?(MLO|LMO|XCCL|XCCM|XCC|CC|ML|LM|FB|SIO|ISO)(?:R|L)?")
_LEAST_MAGNIFICATION = 1.3
"""Contact mammograms lie at 1.0 to 1.1 (breast on the detector's cover), magnified at 1.5 to 2."""


def read_side(header: pydicom.Dataset) -> str:
    """Reads left or right: of the image (0020,0062), its frames (0020,9072), else its series.

    That of the series, (0020,0060), is where CBIS-DDSM has it.
    """
    stated = _values(header, "ImageLaterality", "FrameLaterality", "Laterality")
    sides = (_SIDES.get(str(text).strip().upper(), "") for text in stated)
    return next(filter(None, sides), "")


def read_view(header: pydicom.Dataset) -> str:
    """Reads the projection: a code of CID 4014, else its text, else ViewPosition, else Fuji's.

    Fuji writes it to AcquisitionDeviceProcessingDescription (0018,1400).
    """
    codes = list(_items(header, "ViewCodeSequence"))
    for read in (lambda item: _VIEWS.get(_code(item), ""), _view_in_words):
        if view := next(filter(None, map(read, codes)), ""):
            return view
    texts = _values(header, "ViewPosition", "AcquisitionDeviceProcessingDescription")
    return next(filter(None, map(_view_in_letters, texts)), "")


def read_technique(header: pydicom.Dataset) -> str:
    """Reads what makes an image no standard view: words of CID 4015 joined by '+', "" if nothing.

    From ViewModifierCodeSequence (0054,0222), the magnification factor (0018,1114) and the paddle
    (0018,11A4).
    """
    found = ["specimen" for item in _items(header, "ViewCodeSequence") if _code(item) in _SPECIMEN]
    for item in _items(header, "ViewModifierCodeSequence"):
        found.append(_MODIFIERS.get(_code(item)) or _in_words(_letters(item), _MODIFIER_WORDS))
    for factor in _values(header, "EstimatedRadiographicMagnificationFactor"):
        if isinstance(factor, float) and factor >= _LEAST_MAGNIFICATION:
            found.append("magnification")
    for paddle in _values(header, "PaddleDescription"):
        words = re.split(r"[^A-Z]+", str(paddle).upper())
        found += ["spot compression"] * ("SPOT" in words) + ["magnification"] * ("MAG" in words)
    return "+".join(sorted(set(filter(None, found))))


def _code(item: pydicom.Dataset) -> str:
    return str(item.get("CodeValue") or item.get("LongCodeValue") or "").strip().upper()


def _letters(item: pydicom.Dataset) -> str:
    text = unicodedata.normalize("NFKD", str(item.get("CodeMeaning", "")).casefold())
    return re.sub(r"[^a-z]", "", text)


def _in_words(letters: str, words: tuple[tuple[str, str], ...]) -> str:
    return next((name for pattern, name in words if re.search(pattern, letters)), "")


def _view_in_words(item: pydicom.Dataset) -> str:
    letters = _letters(item)
    return _in_words(letters, _VIEW_WORDS) or _view_in_letters(item.get("CodeMeaning", ""))


def _view_in_letters(text: object) -> str:
    """Finds CC, MLO, ... among the words of a text, with or without the side's letter."""
    for word in re.split(r"[^A-Z]+", str(text).upper()):
        if match := _ACRONYM.fullmatch(word):
            return match[1]
    return ""


def _places(header: pydicom.Dataset) -> Iterator[pydicom.Dataset]:
    """Yields a header, then what is said of all its frames, of the first, and within these."""
    waiting = [header]
    for keyword in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        waiting += list(header.get(keyword) or [])[:1]
    while waiting:
        place = waiting.pop(0)
        yield place
        if place is not header:
            waiting += [item for element in place if element.VR == "SQ" for item in element.value]


def _values(header: pydicom.Dataset, *keywords: str) -> Iterator[Any]:
    """Yields the values of elements, those of a former keyword first."""
    for keyword in keywords:
        for place in _places(header):
            if place.get(keyword) not in (None, ""):
                yield place[keyword].value


def _items(header: pydicom.Dataset, keyword: str) -> Iterator[pydicom.Dataset]:
    """Yields the items of a sequence; modifiers stand within the code of the view."""
    for place in _places(header):
        found = place.get(keyword)
        if isinstance(found, pydicom.Sequence):
            yield from found
    if keyword == "ViewModifierCodeSequence":
        for view in _items(header, "ViewCodeSequence"):
            yield from view.get(keyword) or []
