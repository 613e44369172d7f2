"""Image file -> the pixels its record would hold, and where on the image they lie.

preparation = image_file.read_preparation(pathlib.Path("runs/a"))
image = image_file.prepare(pathlib.Path("image.dcm"), preparation)
outputs = model.predict(image.record[None])

The one place where this program decodes images.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import math
import pathlib

import cv2
import numpy as np
from absl import logging
from numpy.typing import NDArray

from beam_jobs.imaging import breast, decode, dicom_file, polarity, recipe, resize
from beam_jobs.imaging.decode import Decoded
from beam_jobs.imaging.dicom_file import Identity, Origin
from beam_jobs.imaging.geometry import Trail
from beam_jobs.imaging.unusable import UnusableImage
from flags import recipe_spec as language
from records import folder
from records.errors import CallerError
from records.preprocessing import Preparation, parse_aspect
from trainer.data import run_folder

_LARGEST_MASK = 100_000_000
_PROCESSED = "; give the image processed for presentation, if there is one"
_HALF = 32767  # of full scale


@dataclasses.dataclass(frozen=True)
class PreparedImage:
    """An image as it is and as a network takes it.

    Attributes:
        path: of its file.
        pixels: [height, width] uint16, decoded, 0 black to 65535 white.
        record: [h, w, 1] uint16, as a record holds it.
        matrix: [3, 3] float64, (column, row, 1) of a record's pixel -> of the image, see
            `beam_jobs.imaging.geometry.Trail`.
        view: CC, MLO or another projection: as given, else by the DICOM header; "" if neither.
        side: left or right, likewise.
        remarks: on polarity and grey levels that no header states, see `decode.Decoded`, and what
            to do about them.
    """

    path: pathlib.Path
    pixels: NDArray[np.uint16]
    record: NDArray[np.uint16]
    matrix: NDArray[np.float64]
    view: str
    side: str
    remarks: tuple[str, ...]


def read_preparation(directory: pathlib.Path) -> Preparation:
    """Reads how the images of a run were prepared; warns where libraries differ by now.

    Raises:
        CallerError: the folder holds no run, or one whose preparation is not stated.
    """
    preparation = _find_preparation(directory)
    for name, then in preparation.versions.items():
        now = importlib.metadata.version(name)
        if now != then:
            logging.warning(
                "%s %s prepared the images that %s learned from, here it is %s: pixels may differ",
                name,
                then,
                directory,
                now,
            )
    return preparation


def _find_preparation(directory: pathlib.Path) -> Preparation:
    """Takes it from run.json; of a run that lacks it, from its records if they are there."""
    path = directory / run_folder.RUN
    if not path.is_file():
        raise CallerError(f"--run={directory} holds no run.json; give the folder of a finished run")
    description = run_folder.read_description(directory)
    if description.preparation is not None:
        return description.preparation
    records = pathlib.Path(description.dataset_dir)
    if (records / folder.MANIFEST).is_file():
        manifest = folder.read_manifest(records)
        if manifest.data_fingerprint == description.data_fingerprint:
            return Preparation.from_manifest(manifest)
    raise CallerError(
        f"{path} does not state how its images were prepared, and {records / folder.MANIFEST} "
        "is not of the records it learned from; train again"
    )


def identify(path: pathlib.Path) -> tuple[Identity, Origin]:
    """Reads patient, examination, side and view of a DICOM header; nothing of what is no DICOM.

    Raises:
        UnusableImage: the file can't be read.
    """
    try:
        return dicom_file.read_identity(path), dicom_file.read_origin(path)
    except OSError as error:
        raise UnusableImage("unreadable", error.strerror or type(error).__name__) from error


def prepare(
    path: pathlib.Path,
    preparation: Preparation,
    *,
    view: str = "",
    side: str = "",
    discrepancies: str | None = None,
) -> PreparedImage:
    """Decodes an image and makes of it what the conversion would write.

    Args:
        path: DICOM, PGM, PNG, JPEG or TIFF.
        preparation: of the run that predicts.
        view: projection, such as MLO; "" takes it from the DICOM header.
        side: left or right; "" takes it from the DICOM header.
        discrepancies: of an image that was converted, which name it if it was inverted; None lets
            the pixels decide.

    Raises:
        UnusableImage: the image can't be used, or the recipe needs a view or side nobody gives.
    """
    if not (view and side):
        identity, _ = identify(path)
        view, side = view or identity.view, side or identity.side
    options = decode.Options(
        max_pixels=preparation.max_pixels,
        window=preparation.window,
        frame=preparation.frame,
        decoder=preparation.decoder,
        at_least=preparation.decode_at_least,
        invert=preparation.invert,
        inverted=None if discrepancies is None else polarity.was_inverted(discrepancies),
        aspect=parse_aspect(preparation.aspect),
    )
    image = decode.open_image(path, options=options)
    _check_known(preparation, image, view=view, side=side)  # no image at all is rejected before
    trail, shown = Trail(), image.pixels
    if shown.shape != (image.native.height, image.native.width):  # places are of the whole image
        shown = decode.read_image(path, options=dataclasses.replace(options, at_least=None))
        trail.magnify(level=round(math.log2(image.native.height / image.pixels.shape[0])))
    upright = resize.restore_aspect(image.pixels, image.aspect, trail=trail)
    record = recipe.prepare(
        upright, preparation.recipe, preparation.size, view=view, side=side, trail=trail
    )
    remarks = tuple(part + _PROCESSED * (part == polarity.PALE) for part in image.remarks)
    return PreparedImage(path, shown, record, trail.matrix, view, side, remarks)


def _check_known(preparation: Preparation, image: Decoded, *, view: str, side: str) -> None:
    """Refuses an image the recipe would treat as another than the network learned from."""
    if not image.has_header and image.aspect is None and preparation.aspect != "none":
        raise UnusableImage(
            "aspect_unknown", f"column {preparation.aspect} of a table stated those of the records"
        )
    for step in language.parse(preparation.recipe):
        if step.name == "pectoral" and not view:
            raise UnusableImage(
                "view_unknown", "the recipe's pectoral needs the view, the header does not state it"
            )
        if ("by", "side") in step.parameters and not side:
            raise UnusableImage(
                "side_unknown", "the recipe's orient needs the side, the header does not state it"
            )


def find_breast(pixels: NDArray[np.uint16]) -> NDArray[np.bool_]:
    """Finds the breast on a decoded image; returns [height, width], true on it.

    Raises:
        UnusableImage: nothing on the image is as large as a breast.
    """
    found = breast.find(breast.shrink(pixels)).astype(np.uint8)
    height, width = pixels.shape
    return cv2.resize(found, (width, height), interpolation=cv2.INTER_NEAREST) > 0


def read_mask(path: pathlib.Path) -> NDArray[np.bool_]:
    """Reads the outline of a lesion, an image of two values; returns [height, width].

    Raises:
        UnusableImage: the file can't be read, or nothing is drawn in it.
    """
    return decode.read_image(path, options=decode.Options(max_pixels=_LARGEST_MASK)) > _HALF
