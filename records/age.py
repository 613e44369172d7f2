"""Age of a patient as tables and DICOM headers write it -> whole years."""

from __future__ import annotations

import re

OLDEST = 120
_AGE = re.compile(r"(\d{1,3})(?:[.,]0*)?\s*([ymwd]?)", re.IGNORECASE)
_IN_A_YEAR = {"": 1, "y": 1, "m": 12, "w": 52, "d": 365}
"""Units of the value representation Age String, PS3.5 6.2."""


def read_age(text: str) -> str | None:
    """Reads 57, 57.0 or 057Y as "57"; "" of an empty text, None of what is no age from 1 to 120."""
    match = _AGE.fullmatch(text.strip())
    if match is None:
        return None if text.strip() else ""
    years = int(match[1]) // _IN_A_YEAR[match[2].lower()]
    return str(years) if 1 <= years <= OLDEST else None
