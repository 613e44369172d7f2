"""Tests of the pixel statistics against numpy."""

from __future__ import annotations

import numpy as np
import pytest

from beam_jobs import statistics
from beam_jobs.sources.source_row import SourceRow

RNG = np.random.default_rng(0)
IMAGES = [
    RNG.integers(0, 65536, (13, 7, 1), np.uint16),
    RNG.integers(5000, 9000, (13, 7, 1), np.uint16),
    np.full((13, 7, 1), 65535, np.uint16),
]


@pytest.mark.parametrize("image", IMAGES, ids=["noise", "narrow", "white"])
def test_measure(image):
    got = statistics.measure(image)
    values = image.astype(np.float64)
    assert got["mean"] == pytest.approx(values.mean() / 65535)
    assert got["deviation"] == pytest.approx(values.std() / 65535, abs=1e-9)
    assert (got["darkest"], got["brightest"]) == (image.min(), image.max())
    counts, _ = np.histogram(values, bins=64, range=(0, 65536))
    np.testing.assert_allclose(got["histogram"], counts / image.size, atol=1e-6)


def test_bins_by_hand():
    image = np.array([0, 1023, 1024, 65535], np.uint16).reshape(2, 2, 1)
    histogram = statistics.measure(image)["histogram"]
    assert (histogram[0], histogram[1], histogram[63]) == (0.5, 0.25, 0.25)
    assert sum(histogram) == 1


def test_summary_is_that_of_all_pixels():
    images = [
        SourceRow("a", "p", "left", "CC", "benign", split="fold0", density="2"),
        SourceRow("b", "p", "left", "MLO", "malignant", split="test"),
        SourceRow("c", "q", "right", "CC", "benign", split="test", density="2"),
    ]
    native = [(4000, 3000), (4095, 2048), (4096, 3000)]
    measured = [
        {**statistics.measure(image), "original_height": height, "original_width": width}
        for image, (height, width) in zip(IMAGES, native, strict=True)
    ]
    got = statistics.summarise(list(zip(images, measured, strict=True)))
    pixels = np.concatenate([image.ravel() for image in IMAGES]).astype(np.float64) / 65535
    assert got["images"] == 3
    assert got["pixels"]["mean"] == pytest.approx(pixels.mean())
    assert got["pixels"]["deviation"] == pytest.approx(pixels.std())
    assert (got["pixels"]["darkest"], got["pixels"]["brightest"]) == (IMAGES[0].min(), 65535)
    assert sum(got["pixels"]["histogram"]) == pytest.approx(1, abs=1e-4)
    assert got["classes"]["split"] == {
        "fold0": {"benign": 1},
        "test": {"benign": 1, "malignant": 1},
    }
    assert got["classes"]["native_size"] == {
        "3072-4095 x 2048-3071": {"benign": 1, "malignant": 1},
        "4096-5119 x 2048-3071": {"benign": 1},
    }
    benign = np.concatenate([IMAGES[0].ravel(), IMAGES[2].ravel()]) / 65535
    by_class = got["pixels_by"]["label"]["benign"]
    assert by_class["images"] == 2
    assert by_class["mean"] == pytest.approx(benign.mean())
    assert by_class["deviation"] == pytest.approx(benign.std())
    assert got["classes"]["density"] == {"2": {"benign": 2}, "not stated": {"malignant": 1}}


def test_nothing_written():
    got = statistics.summarise([])
    assert (got["images"], got["pixels"]) == (0, None)
