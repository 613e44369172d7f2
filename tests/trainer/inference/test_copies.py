"""Tests of which input images are copies of another: without a network, as they are decoded."""

from __future__ import annotations

import pathlib
import shutil
import types

import numpy as np
import pydicom

from records.image_size import ImageSize
from records.preprocessing import Preparation
from tests import make
from trainer.inference import predictor
from trainer.inference.inputs import InputImage

PIXELS = np.random.default_rng(0).integers(0, 4000, (96, 70), dtype=np.uint16)


def originals(*paths: pathlib.Path) -> list[str]:
    """Names of the images that these are copies of, "" of an image of its own."""
    prepared = predictor.Predictor(
        types.SimpleNamespace(
            networks=(),
            target=types.SimpleNamespace(kind="binary"),
            preparation=Preparation("plain", ImageSize(64, 48), 10_000_000),
        ),
        None,
    )
    found = [prepared.prepare(InputImage(path)) for path in paths]
    assert not any(one.error for one in found)
    return [pathlib.Path(one.copy_of).name for one in found]


def test_a_copy_is_equal_in_bytes_or_in_object_and_pixels(tmp_path):
    first = make.write_dicom(tmp_path / "1-1.dcm", PIXELS)
    copied = pathlib.Path(shutil.copy(first, tmp_path / "1-1 (1).dcm"))
    edited = pydicom.dcmread(first)
    edited.SeriesDescription = "sent again"
    edited.save_as(tmp_path / "again.dcm")
    another = make.write_dicom(tmp_path / "one_uid_for_all.dcm", PIXELS[::-1])
    plain = make.write_pgm(tmp_path / "a.pgm", PIXELS.astype(np.uint8))
    plain_copy = pathlib.Path(shutil.copy(plain, tmp_path / "a - Copy.pgm"))
    given = (first, copied, tmp_path / "again.dcm", another, plain, plain_copy, copied)
    assert originals(*given) == ["", "1-1.dcm", "1-1.dcm", "", "", "a.pgm", "1-1.dcm"]


def test_two_women_with_one_sop_instance_uid(shared_cases):
    assert originals(*sorted((shared_cases / "two_women_one_id").glob("*.dcm"))) == ["", ""]
