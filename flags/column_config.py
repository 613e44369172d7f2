"""Flags of record columns that a network takes beside the pixels, or learns beside its target."""

from __future__ import annotations

import dataclasses

from flags.fields import Flags, closest, flag
from records import schema
from records.errors import CallerError

NUMBERS = ("age", "abnormalities")
"""Columns that are numbers; the values of others are names."""
_IDS = ("image_id", "patient_id", "official_split")
COLUMNS = tuple(key for key in schema.CLINICAL_KEYS if key not in _IDS)
READER = tuple(
    one.key for one in schema.FEATURES if one.of_lesions or one.key.startswith("abnormal")
)
"""What a reader found on the image, or its outcome: who has it needs no network."""
WEIGHT = 0.3
"""Of the loss of a column that is predicted too, where none is given."""


@dataclasses.dataclass(frozen=True)
class Columns(Flags):
    """Columns of the record beside the pixels."""

    side_inputs: str = flag(
        "",
        "Columns the network takes beside the pixels, joined before its last layer, such as "
        f"age,density,view: {', '.join(one for one in COLUMNS if one not in READER)}.",
        searchable=False,
        late=True,
    )
    allow_reader_columns: bool = flag(
        False,
        f"Let --side_inputs name what a reader found: {', '.join(READER)}.",
        searchable=False,
        late=True,
    )
    also_predict: str = flag(
        "",
        "Columns that the network learns beside its target, each with the weight of its loss, such "
        f"as density:{WEIGHT},view; images without a value do not count.",
        late=True,
    )

    def check(self) -> None:
        """Refuses columns that are none, that give the answer away, or that are named twice."""
        super().check()
        side, also = side_columns(self), [name for name, _ in also_columns(self)]
        for flag_name, names in (("side_inputs", side), ("also_predict", also)):
            for name in names:
                if name not in COLUMNS:
                    hint = closest(name, COLUMNS) or f"; it has {', '.join(COLUMNS)}"
                    raise CallerError(f"--{flag_name}: a record has no column {name!r}{hint}")
            if len(set(names)) < len(names):
                raise CallerError(f"--{flag_name}={','.join(names)} names a column twice")
        found = [name for name in side if name in READER]
        if found and not self.allow_reader_columns:
            raise CallerError(
                f"--side_inputs: {', '.join(found)} is what a reader found on the image, and not "
                "known of a new one; leave it out, or insist with --allow_reader_columns"
            )
        if both := set(side) & set(also):
            raise CallerError(
                f"--also_predict={both.pop()} is a side input too: it would be copied, not learned"
            )
        if numbers := [name for name in also if name in NUMBERS]:
            raise CallerError(f"--also_predict={numbers[0]} is a number; it takes names of classes")


def side_columns(config: Columns) -> tuple[str, ...]:
    """Reads --side_inputs: columns beside the pixels."""
    return tuple(name.strip() for name in config.side_inputs.split(",") if name.strip())


def also_columns(config: Columns) -> tuple[tuple[str, float], ...]:
    """Reads --also_predict: columns, each with the weight of its loss.

    Raises:
        CallerError: a weight is no number from 0 to 10.
    """
    found = []
    for part in config.also_predict.split(","):
        name, colon, text = part.strip().partition(":")
        try:
            weight = float(text) if colon else WEIGHT
        except ValueError:
            weight = 0.0
        if not 0 < weight <= 10:
            raise CallerError(
                f"--also_predict={part.strip()} is not column:weight, such as density:{WEIGHT}; "
                "the weight is more than 0 and at most 10"
            )
        if name:
            found.append((name, weight))
    return tuple(found)
