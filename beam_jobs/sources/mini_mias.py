"""mini-MIAS: 1024x1024 8-bit PGM images and Info.txt as distributed.

Suckling et al. 1994. Odd images are right and even images left breasts of the same patient, all
MLO.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from beam_jobs.sources import data_files
from beam_jobs.sources.source_options import DEFAULTS, SourceOptions
from beam_jobs.sources.source_row import Lesion, SourceRow, describe, is_mixed
from beam_jobs.storage import Folder
from records.errors import CallerError

IMAGE_HEIGHT = 1024
_IMAGE_NAME = re.compile(r"mdb(\d{3})")
_ABNORMALITIES = {
    "CALC": "calcification",
    "CIRC": "circumscribed mass",
    "SPIC": "spiculated mass",
    "MISC": "ill-defined mass",
    "ARCH": "architectural distortion",
    "ASYM": "asymmetry",
}
_SEVERITIES = {"B": "benign", "M": "malignant"}


def read(data_dir: Folder, options: SourceOptions = DEFAULTS) -> list[SourceRow]:
    """Lists the images of Info.txt, with the file of each where it is there.

    Args:
        data_dir: folder with Info.txt and the images, searched recursively.
        options: label policy.

    Raises:
        CallerError: Info.txt is missing, or a row of it is not as published.
    """
    found = data_files.list_files(data_dir)
    tables = [file.path for file in found if file.name.lower() == "info.txt"]
    if len(tables) != 1:
        raise CallerError(
            f"{data_dir} holds {len(tables)} files named Info.txt, mini-MIAS has one; "
            "give the folder its archive was unpacked in"
        )
    tissue: dict[str, str] = {}
    lesions: dict[str, list[Lesion]] = {}
    for name, density, lesion in _read_rows(data_dir / tables[0]):
        tissue[name] = density
        lesions.setdefault(name, []).append(lesion)
    if not lesions:
        raise CallerError(
            f"{data_dir / tables[0]} has no row such as 'mdb001 G CIRC B 535 425 197'"
        )
    pgm = data_files.find_named(data_dir, found, lesions, suffixes=[".pgm"])
    return [
        _image(name, tissue[name], lesions[name], options.label_policy, pgm.get(name))
        for name in lesions
    ]


def _read_rows(table: Folder) -> Iterator[tuple[str, str, Lesion]]:
    """Yields (image, background tissue, lesion) for each row; the prose around is passed over."""
    text = table.read_text(encoding="latin-1")
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or not words[0].startswith("mdb"):
            continue
        try:
            yield words[0], *_parse_row(words)
        except ValueError as error:
            raise CallerError(f"{table} line {number}: {error}") from error


def _parse_row(words: list[str]) -> tuple[str, Lesion]:
    """Reads 'mdb001 G CIRC B 535 425 197'; the row of the centre counts from the bottom."""
    if not _IMAGE_NAME.fullmatch(words[0]):
        raise ValueError(f"{words[0]} is not mdb and three digits")
    if len(words) < 3 or words[1] not in ("F", "G", "D"):
        raise ValueError("the second word is not a tissue F, G or D")
    if words[2] == "NORM":
        return words[1], Lesion(pathology="normal", abnormality="")
    if words[2] not in _ABNORMALITIES or len(words) < 4 or words[3] not in _SEVERITIES:
        raise ValueError(
            f"{' '.join(words[2:4])} is not one of {', '.join(_ABNORMALITIES)} with B or M, or NORM"
        )
    circle = None
    if words[4:] and words[4] != "*NOTE":  # note 3: calcifications all over the image
        if len(words) != 7 or not all(word.isdecimal() for word in words[4:]):
            raise ValueError(f"{' '.join(words[4:])} is not column, row and radius in pixels")
        column, from_bottom, radius = (int(word) for word in words[4:])
        circle = column, IMAGE_HEIGHT - from_bottom, radius
    lesion = Lesion(
        pathology=_SEVERITIES[words[3]], abnormality=_ABNORMALITIES[words[2]], circle=circle
    )
    return words[1], lesion


def _image(
    name: str,
    density: str,
    lesions: list[Lesion],
    label_policy: str,
    file: data_files.DataFile | None,
) -> SourceRow:
    number = int(name[3:])
    mixed = label_policy == "paper" and is_mixed(lesions)
    image = SourceRow(
        image_id=name,
        patient_id=f"patient{(number + 1) // 2:03d}",
        side="right" if number % 2 else "left",
        view="MLO",
        density=density,
        excluded="label_policy=paper: benign and malignant lesions" if mixed else "",
        **describe(lesions),
    )
    if file is None:
        return image
    return file.add_to(image)
