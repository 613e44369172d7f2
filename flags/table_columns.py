"""Parser of --columns and --values, which map a table of one's own.

parse_columns(["path=image", "patient_id=pid"]) == (("path", "image"), ("patient_id", "pid"))
"""

from __future__ import annotations

import itertools
import pathlib
from collections.abc import Iterable, Iterator

from flags import fields
from records import schema, user_text
from records.errors import CallerError

COLUMNS = {
    "path": "file of the image, relative to --data_dir",
    **{feature.key: feature.table for feature in schema.FEATURES if feature.table},
    "split": "train or test; never taken unless named here",
    "accession": "accession number, for --match=header, and --unit to tell examinations apart",
    "study_date": "date of the examination, for the same",
}
"""What a column of the table may be, with what it may hold."""
OF_FLAGS = ("invert", "aspect")
"""What flags of that name say the column of; their values are mapped like the others."""


def parse_columns(texts: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Parses key=column pairs; an empty column means that the table's is not used.

    Raises:
        CallerError: a pair is no pair, or its key is unknown or given twice.
    """
    pairs: dict[str, str] = {}
    for text in texts:
        key, equals, column = text.partition("=")
        if not equals:
            raise CallerError(f"--columns: {text!r} is not key=column, such as path=file_name")
        fields.check_name("columns", key, COLUMNS)
        if key in pairs:
            raise CallerError(f"--columns names {key} twice; keep one")
        pairs[key] = column
    return tuple(pairs.items())


def parse_values(texts: Iterable[str]) -> tuple[tuple[str, str, str], ...]:
    """Parses key:found=meant triples, and @FILE: a table of them.

    Raises:
        CallerError: a triple is none, or its key is unknown, or a value is given twice.
    """
    triples: dict[tuple[str, str], str] = {}
    for text in itertools.chain.from_iterable(map(_expand, texts)):
        key, colon, rest = text.partition(":")
        found, equals, meant = rest.rpartition("=")
        if not colon or not equals:
            raise CallerError(
                f"--values: {text!r} is not key:found=meant, such as pathology:1=malignant"
            )
        fields.check_name("values", key, (*COLUMNS, *OF_FLAGS))
        if (key, found) in triples:
            raise CallerError(f"--values has {key}:{found} twice; keep one")
        triples[key, found] = meant
    return tuple((key, found, meant) for (key, found), meant in triples.items())


def _expand(text: str) -> Iterator[str]:
    """Yields the triples of @FILE, or the text itself."""
    if not text.startswith("@"):
        yield text
        return
    path = pathlib.Path(text[1:]).expanduser()
    try:
        rows = user_text.read_rows(path)
    except OSError as error:
        raise CallerError(f"--values=@{path} can't be read: {error.strerror}") from error
    for place, cells in rows:
        if [cell.lower() for cell in cells[:3]] == ["key", "found", "meant"]:
            continue
        if len(cells) not in (2, 3):
            raise CallerError(f"--values=@{path} {place}: wanted key, found and meant")
        key, found, meant = (*cells, "")[:3]
        yield f"{key}:{found}={meant}"
