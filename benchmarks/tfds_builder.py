"""TFDS's own builder curated_breast_imaging_ddsm (original-mass) on the same images.

Theirs, run as it is: reading the case table, which decodes image, mask and crop of every row;
generating the examples; the features, the shuffling and the writing of TFDS.
Written anew: the user's part, DICOM to PNG of 8 bits, which its instructions leave to dcmj2pnm and
ImageMagick in eight processes. Here eight processes decode with our decoder (faster than DCMTK)
and encode with Pillow at ImageMagick's default level; nothing is started for each image.
Made up: the table, the masks (an ellipse) and the crops, since the images come without. Turning
those from DICOM to PNG is not counted, reading them by the builder is.
Its records hold the whole image as PNG of 8 bits: neither resized nor enhanced.
"""

from __future__ import annotations

import concurrent.futures
import csv
import logging
import multiprocessing
import os
import pathlib
import tempfile
import time
from collections.abc import Sequence
from typing import ClassVar

import cv2
import numpy as np

from beam_jobs.imaging import decode
from benchmarks import images

_UID = "1.3.6.1.4.1.9590.100.1.2"  # the root of CBIS-DDSM's UIDs, which the builder looks for
_PROCESSES = 8  # xargs -P8 of the builder's instructions
_PNG_LEVEL = 7  # ImageMagick: quality 75 is zlib level 7


def time_builder(files: Sequence[pathlib.Path], count: int) -> tuple[float, float]:
    """Returns the seconds of DICOM to PNG, and of the builder; call it in a fresh process."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        manual_dir = folder / "manual"
        targets = [_folder_of(manual_dir, number) for number in range(count)]
        for target in targets:
            target.mkdir(parents=True)
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(_PROCESSES, mp_context=context) as pool:
            list(pool.map(time.sleep, [0.2] * _PROCESSES))  # all started
            sources = [files[number % len(files)] for number in range(count)]
            start = time.perf_counter()
            list(pool.map(_write_png, sources, targets))
            to_png = time.perf_counter() - start
        for target in targets:
            _add_mask_and_crop(target)
        _write_table(folder / "train.csv", manual_dir, range(count - 1))
        _write_table(folder / "test.csv", manual_dir, range(count - 1, count))
        return to_png, _time_builder(folder)


def _folder_of(manual_dir: pathlib.Path, number: int) -> pathlib.Path:
    return (
        manual_dir
        / f"Mass-Training_P_{number:05d}_LEFT_CC"
        / f"{_UID}.{number}.1"
        / f"{_UID}.{number}.2"
    )


def _write_png(source: pathlib.Path, target: pathlib.Path) -> None:
    from PIL import Image

    image = decode.read_image(source, options=images.OPTIONS)
    Image.fromarray((image >> 8).astype(np.uint8)).save(
        target / "000000.png", compress_level=_PNG_LEVEL
    )


def _add_mask_and_crop(target: pathlib.Path) -> None:
    image = cv2.imread(str(target / "000000.png"), cv2.IMREAD_GRAYSCALE)
    height, width = image.shape
    mask = np.zeros_like(image)
    cv2.ellipse(mask, (width // 2, height // 2), (200, 150), 0, 0, 360, 255, cv2.FILLED)
    cv2.imwrite(str(target / "mask.png"), mask)
    middle = image[height // 2 - 200 : height // 2 + 200, width // 2 - 250 : width // 2 + 250]
    cv2.imwrite(str(target / "crop.png"), middle)


def _write_table(path: pathlib.Path, manual_dir: pathlib.Path, numbers: Sequence[int]) -> None:
    with path.open("w", newline="") as file:
        rows: csv.DictWriter[str] | None = None
        for number in numbers:
            target = _folder_of(manual_dir, number).relative_to(manual_dir)
            row = {
                "patient_id": f"P_{number:05d}",
                "left or right breast": "LEFT",
                "image view": "CC",
                "abnormality id": "1",
                "mass shape": "OVAL",
                "mass margins": "CIRCUMSCRIBED",
                "assessment": "4",
                "pathology": "BENIGN",
                "subtlety": "3",
                "image file path": f"{target}/000000.dcm",
                "cropped image file path": f"{target}/crop.dcm",
                "ROI mask file path": f"{target}/mask.dcm",
            }
            if rows is None:
                rows = csv.DictWriter(file, list(row))
                rows.writeheader()
            rows.writerow(row)


def _time_builder(folder: pathlib.Path) -> float:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    logging.disable(logging.WARNING)
    import tensorflow_datasets as tfds
    from tensorflow_datasets.image_classification import cbis_ddsm

    tfds.display_progress_bar(False)

    class LocalTables(cbis_ddsm.CuratedBreastImagingDDSM):
        """The builder with the tables of a folder instead of downloaded ones."""

        url_infos: ClassVar[dict] = {}  # there are no checksums to look up

        def _split_generators(self, dl_manager):  # type: ignore[no-untyped-def]
            tables = {name: folder / f"{name}.csv" for name in ("train", "test")}
            patients = cbis_ddsm._load_csv_files(str(folder / "manual"), tables)
            return {
                name: self._generate_examples(
                    self._generate_examples_original,
                    patients_data=patients,
                    yield_from_train_csv=name == "train",
                )
                for name in tables
            }

    builder = LocalTables(config="original-mass", data_dir=str(folder / "records"))
    tfds.features.Image(shape=(None, None, 1))  # loads TensorFlow before the clock starts
    import tensorflow as tf

    tf.zeros(1).numpy()
    start = time.perf_counter()
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=folder / "manual")
    )
    seconds = time.perf_counter() - start
    written = sum(split.num_examples for split in builder.info.splits.values())
    assert written == len(list((folder / "manual").iterdir())), written
    return seconds
