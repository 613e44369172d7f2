"""Arguments and a table -> the input images: files, and folders searched to the bottom.

images = find(["exam", "image.pgm"], table="images.csv")
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence

from records import schema, user_paths, user_text
from records.errors import CallerError

SUFFIXES = (".dcm", ".dicom", ".pgm", ".png", ".jpg", ".jpeg", ".tif", ".tiff")
"""Of files taken from folders, beside DICOM files of any name; a file named is always taken."""
TABLE_COLUMNS = ("path", "exam", "side", "view")
_MAGIC_AT, _MAGIC = 128, b"DICM"
"""PS3.10 7.1."""


@dataclasses.dataclass(frozen=True)
class InputImage:
    """An input image, with its row of the table; "" where nothing is stated.

    Attributes:
        path: of its file.
        exam: any name of the examination; images of one and the same side are averaged.
        side: left or right.
        view: CC, MLO or another projection.
    """

    path: pathlib.Path
    exam: str = ""
    side: str = ""
    view: str = ""


def find(
    arguments: Sequence[str],
    *,
    output_dir: pathlib.Path,
    table: str | None = None,
    prefix: user_paths.Prefix | None = None,
) -> list[InputImage]:
    """Lists images: those of the arguments in order, each once, or those of the table alone.

    Args:
        arguments: files and folders.
        output_dir: folder that is not searched: heat maps are no images.
        table: CSV or .xlsx with the columns path (absolute, or relative to the table), exam, side
            and view, of which only path is needed; others are passed over. Arguments that stand in
            it are taken with their row.
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
        for path in _expand(pathlib.Path(argument), output_dir.resolve()):
            found.setdefault(path.resolve(), known.get(path.resolve(), InputImage(path)))
    return list(found.values())


def _expand(path: pathlib.Path, output_dir: pathlib.Path) -> list[pathlib.Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise CallerError(f"{path} is not there; give images or folders of images")
    images = [file for file in _walk(path, output_dir) if _is_image(file)]
    if not images:
        raise CallerError(
            f"{path} holds no image; wanted DICOM files, or others that end in "
            + " ".join(SUFFIXES[2:])
        )
    return images


def _walk(folder: pathlib.Path, left_out: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields the files of a folder and all below it but one, by name."""
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(
            name for name in folders if pathlib.Path(root, name).resolve() != left_out
        )
        for name in sorted(names):
            yield pathlib.Path(root, name)


def _is_image(path: pathlib.Path) -> bool:
    if path.name.startswith(".") or not path.is_file():
        return False
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            file.seek(_MAGIC_AT)
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


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
    return InputImage(image, listed["exam"], side, listed["view"].upper())
