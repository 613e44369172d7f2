"""Places of the lesions of a data set: circles, boxes or outlines, as its tables give them.

places = lesions.read(records_dir)
region = lesions.draw(places["mdb001"], (1024, 1024), data_dir)
"""

from __future__ import annotations

import csv
import dataclasses
import pathlib

import cv2
import numpy as np
from numpy.typing import NDArray

from beam_jobs.imaging.unusable import UnusableImage
from trainer.data import image_file


@dataclasses.dataclass(frozen=True)
class Places:
    """The lesions of one image, in its own pixels.

    Attributes:
        circles: (column, row, radius) of each, of sources.csv.
        boxes: (left, top, right, bottom) of each, of lesions.csv.
        masks: files of outlines, relative to the data folder, that lesions.csv calls sound.
    """

    circles: tuple[tuple[int, ...], ...] = ()
    boxes: tuple[tuple[int, ...], ...] = ()
    masks: tuple[str, ...] = ()


def read(records: pathlib.Path) -> dict[str, Places]:
    """Reads image id -> places, of images that have any, from a folder of records."""
    circles: dict[str, list[tuple[int, ...]]] = {}
    for row in _rows(records / "sources.csv"):
        for text in filter(None, row["lesions"].split(";")):
            circles.setdefault(row["image_id"], []).append(_numbers(text))
    boxes: dict[str, list[tuple[int, ...]]] = {}
    masks: dict[str, list[str]] = {}
    path = records / "lesions.csv"  # only some data sets have it
    for row in _rows(path) if path.is_file() else []:
        if row["box"]:
            boxes.setdefault(row["image_id"], []).append(_numbers(row["box"]))
        if row["mask"] and row["mask_status"] in ("ok", "swapped"):
            masks.setdefault(row["image_id"], []).append(row["mask"])
    return {
        name: Places(
            tuple(circles.get(name, ())), tuple(boxes.get(name, ())), tuple(masks.get(name, ()))
        )
        for name in {**circles, **boxes, **masks}
    }


def draw(places: Places, shape: tuple[int, ...], data_dir: pathlib.Path) -> NDArray[np.bool_]:
    """Draws the lesions of an image of a shape: [height, width] bool, true on a lesion.

    Raises:
        UnusableImage: an outline can't be read or is not as large as the image.
    """
    region = np.zeros(shape, np.uint8)
    for column, row, radius in places.circles:
        cv2.circle(region, (column, row), radius, (1,), cv2.FILLED)
    for left, top, right, bottom in places.boxes:
        region[max(0, top) : bottom, max(0, left) : right] = 1
    for name in places.masks:
        mask = image_file.read_mask(data_dir / name)
        if mask.shape != shape:
            raise UnusableImage("damaged_pixels", f"outline of {mask.shape}, the image is {shape}")
        region |= mask.astype(np.uint8)
    return region > 0


def _rows(path: pathlib.Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as stream:
        return list(csv.DictReader(stream))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(round(float(number)) for number in text.split(","))
