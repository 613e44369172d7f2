"""Arguments and a table -> the input images: files, and folders searched to the bottom.

images = find(["exam", "image.pgm"], table="images.csv")
"""

from __future__ import annotations

import dataclasses
import pathlib
import stat
from collections.abc import Mapping, Sequence

from beam_jobs.imaging.dicom_file import is_document
from flags.column_config import COLUMNS
from records import file_tree, schema, user_paths, user_text
from records.errors import CallerError

SUFFIXES = (".dcm", ".dicom", ".pgm", ".png", ".jpg", ".jpeg", ".tif", ".tiff")
"""Of files taken from folders, beside DICOM files of any name; a file named is always taken."""
TABLE_COLUMNS = ("path", "exam", "side", "view")
_MAGIC_AT, _MAGIC = 128, b"DICM"
"""PS3.10 7.1."""
_BEGINNINGS = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"P5")
"""Of PNG, JPEG, TIFF of either byte order, PGM."""
OUTPUT = "heat_maps"
"""Folder of our own pictures, wherever it lies: they are no images to be predicted."""


@dataclasses.dataclass(frozen=True)
class InputImage:
    """An input image, with its row of the table; "" where nothing is stated.

    Attributes:
        path: of its file.
        exam: any name of the examination; images of one and the same side are averaged.
        side: left or right.
        view: CC, MLO or another projection.
        columns: (name, value) of others that a network may take beside the pixels.
    """

    path: pathlib.Path
    exam: str = ""
    side: str = ""
    view: str = ""
    columns: tuple[tuple[str, str], ...] = ()


def find(
    arguments: Sequence[str], *, table: str | None = None, prefix: user_paths.Prefix | None = None
) -> list[InputImage]:
    """Lists images: those of the arguments in order, each once, or those of the table alone.

    Args:
        arguments: files and folders.
        table: CSV or .xlsx with the columns path (absolute, or relative to the table), exam, side
            and view, of which only path is needed; of others those are kept that a network may take
            beside the pixels. Arguments that stand in it are taken with their row.
        prefix: how its paths begin, and how they should.

    Raises:
        CallerError: something is not there, a folder holds no image, no image is given, or the
            table is not usable.
    """
    listed = _read_table(pathlib.Path(table), prefix) if table else []
    if not arguments:
        if not listed:
            raise CallerError(
                "predict needs images: python -m trainer predict --run=RUN IMAGE_OR_FOLDER..."
            )
        return listed
    known = {image.path.resolve(): image for image in listed}
    found: dict[pathlib.Path, InputImage] = {}
    for argument in arguments:
        for path in _expand(pathlib.Path(argument)):
            found.setdefault(path.resolve(), known.get(path.resolve(), InputImage(path)))
    return list(found.values())


def _expand(path: pathlib.Path) -> list[pathlib.Path]:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise CallerError(f"{path} is not there; give images or folders of images") from None
    if not stat.S_ISDIR(status.st_mode):
        return [path]
    found = (pathlib.Path(file) for file, _ in file_tree.walk(str(path)))
    images = [file for file in found if not _is_prediction(file, path) and _is_image(file)]
    if not images:
        raise CallerError(
            f"{path} holds no image; wanted DICOM files, or others that end in "
            + " ".join(SUFFIXES[2:])
        )
    return images


def _is_prediction(file: pathlib.Path, folder: pathlib.Path) -> bool:
    """Whether a file below a folder is a heat map of ours."""
    return OUTPUT in file.relative_to(folder).parent.parts


def _is_image(path: pathlib.Path) -> bool:
    """Whether a file is an image by its first bytes, or should be one by its name."""
    try:
        with path.open("rb") as file:
            begins = file.read(_MAGIC_AT + len(_MAGIC))
    except OSError:  # named when it is its turn
        return True
    if begins[_MAGIC_AT:] == _MAGIC:
        return not is_document(path)
    return path.suffix.lower() in SUFFIXES or begins.startswith(_BEGINNINGS)


def _read_table(path: pathlib.Path, prefix: user_paths.Prefix | None) -> list[InputImage]:
    try:
        rows = user_text.read_rows(path)
    except OSError as error:
        raise CallerError(f"--images={path} can't be read: {error.strerror}") from error
    except CallerError as error:
        raise CallerError(f"--images={error}") from error
    header = [column.lower() for column in rows[0][1]] if rows else []
    if "path" not in header:
        raise CallerError(
            f"--images={path} has columns {', '.join(header)!r}, wanted path and any of "
            + ", ".join(TABLE_COLUMNS[1:])
        )
    images: dict[pathlib.Path, InputImage] = {}
    for place, cells in rows[1:]:
        where = f"--images={path} {place}"
        if len(cells) > len(header):
            raise CallerError(f"{where} has more cells than the header")
        image = _read_row(where, path.parent, dict(zip(header, cells, strict=False)), prefix)
        if images.setdefault(image.path.resolve(), image) != image:
            raise CallerError(f"{where}: {image.path} stands above with another exam, side or view")
    return list(images.values())


def _read_row(
    where: str, folder: pathlib.Path, row: Mapping[str, str], prefix: user_paths.Prefix | None
) -> InputImage:
    listed = {key: row.get(key, "") for key in TABLE_COLUMNS}
    if not listed["path"]:
        raise CallerError(f"{where}: its path is empty")
    side = schema.SIDE_WORDS.get(listed["side"].casefold(), "")
    if listed["side"] and not side:
        raise CallerError(f"{where}: side {listed['side']!r} is not one of left, right")
    spelled = [folder / text for text in user_paths.spellings(listed["path"], prefix)]
    image = next((path for path in spelled if path.is_file()), None)
    if image is None:
        raise CallerError(
            f"{where}: {spelled[0]} is not there; paths are relative to the table, "
            "--path_prefix=OLD=NEW changes how they begin"
        )
    columns = tuple((name, row[name]) for name in COLUMNS if name not in listed and row.get(name))
    return InputImage(image, listed["exam"], side, listed["view"].upper(), columns)
