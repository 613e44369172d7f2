"""Classification targets that --target may name: record column -> class."""

from __future__ import annotations

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class Target:
    """A classification target; images with none of its values are left out and counted.

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
        (("mass", "circumscribed mass", "spiculated mass", "ill-defined mass"), ("calcification",)),
        ("mass", "calcification"),
    ),
}
"""Name -> target; of an ordinal one, grades that no image has are dropped."""
