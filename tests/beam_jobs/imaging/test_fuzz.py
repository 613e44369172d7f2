"""A short run of fuzz.py (`make fuzz` is the long one), and that it finds what it looks for."""

from __future__ import annotations

import importlib.util
import pathlib

import numpy as np
import pytest

from beam_jobs.imaging import decode


@pytest.fixture(scope="module")
def fuzz():
    path = pathlib.Path(__file__).with_name("fuzz.py")
    spec = importlib.util.spec_from_file_location("fuzz", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_images_are_whole_before_they_are_damaged(fuzz):
    images = fuzz.make_images()
    assert len(images) > 15
    for name, data in images.items():
        pixels = decode.decode(data, options=decode.Options(max_pixels=41 * 29))
        assert pixels.shape == (41, 29), name


def test_cases_are_the_same_each_time(fuzz):
    images = fuzz.make_images()
    cases = [fuzz.make_case(images, 3, number) for number in range(200)]
    assert cases == [fuzz.make_case(images, 3, number) for number in range(200)]
    assert sum(data != images[name] for name, data, _ in cases) > 150


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (lambda: 1 / 0, "ZeroDivisionError"),
        (lambda: np.zeros((2, 2)), "float64"),
        (lambda: np.zeros((20_000, 20_000), np.uint16), "uint16"),
    ],
    ids=["error", "wrong_type", "too_large"],
)
def test_faults_are_found(fault, said, fuzz, monkeypatch):
    monkeypatch.setattr(fuzz.decode, "decode", lambda data, options: fault())
    assert said in fuzz.try_case({"image": b"1" * 100}, 0, 0)


def test_damaged_images_give_an_image_or_a_reason(fuzz, tmp_path):
    tried, found = fuzz.run(seed=0, seconds=8, workers=1, folder=tmp_path)
    assert found == []
    assert tried > 500
