"""Our input pipeline against bare iteration of the same shards with TFRecordDataset.

python -m benchmarks.input_pipeline [--films=192] [--rounds=5] [--size=2048x1376]
"""

from __future__ import annotations

import dataclasses
import pathlib
import statistics
import tempfile
import time

import numpy as np
import tensorflow as tf
from absl import app, flags

from beam_jobs import examples, shards
from beam_jobs.sources.film import Film
from benchmarks import machine
from flags import catalogue
from flags.size import ImageSize
from trainer import input_pipeline
from trainer.records import Split

FILMS = flags.DEFINE_integer("films", 192, "Films in the records.")
ROUNDS = flags.DEFINE_integer("rounds", 5, "Rounds of each, one after the other.")
SIZE = flags.DEFINE_string("size", "2048x1376", "Size of the records.")
EPOCHS = 3  # training goes on from one to the next without a stop
BATCH = flags.DEFINE_integer("batch_size", 8, "Films in a batch.")


def main(_: list[str]) -> None:
    print(machine.describe())
    size = ImageSize.parse(SIZE.value)
    with tempfile.TemporaryDirectory() as folder:
        split = _write_records(pathlib.Path(folder), size)
        target = catalogue.TARGETS["pathology"]
        longer = dataclasses.replace(
            split, shards=EPOCHS * split.shards, films=EPOCHS * split.films
        )
        options = {"batch_size": BATCH.value, "cache": False}
        candidates = {
            "bare": lambda: tf.data.TFRecordDataset(EPOCHS * list(split.shards)),
            "evaluation": lambda: input_pipeline.evaluation_batches(
                longer, target, size, **options
            ),
            "training": lambda: input_pipeline.training_batches(
                split, target, size, seed=0, first_epoch=0, last_epoch=EPOCHS, **options
            ),
        }
        for dataset in candidates.values():  # once for the page cache
            _drain(dataset())
        seconds: dict[str, list[float]] = {name: [] for name in candidates}
        for _ in range(ROUNDS.value):
            for name, dataset in candidates.items():
                seconds[name].append(_drain(dataset()))
    for name, rounds in seconds.items():
        median = statistics.median(rounds)
        print(
            f"{name:10}: {EPOCHS * FILMS.value / median:7.1f} films/s, "
            f"{EPOCHS * split.bytes / median / 1e9:.2f} GB/s"
        )
    for name in ("evaluation", "training"):
        ratio = statistics.median(
            bare / ours for bare, ours in zip(seconds["bare"], seconds[name], strict=True)
        )
        print(f"speed of {name} batches / bare records: {ratio:.2f} (floor 0.7)")


def _write_records(folder: pathlib.Path, size: ImageSize) -> Split:
    generator = np.random.default_rng(0)
    image = generator.integers(0, 65536, (size.height, size.width, 1), dtype=np.uint16)
    paths = []
    for shard in range(FILMS.value // 16):
        paths.append(folder / f"shard{shard}")
        with paths[-1].open("wb") as file:
            for number in range(16):
                film = Film(
                    f"film{shard}-{number}",
                    f"patient{number}",
                    side="left",
                    view="CC",
                    pathology="malignant" if number % 2 else "benign",
                )
                for part in shards.frame_record(examples.encode(film, image, (4000, 3000))):
                    file.write(part)
    count = 16 * len(paths)
    return Split(
        name="train",
        parts=("fold0",),
        shards=tuple(map(str, paths)),
        films=({},) * count,
        labels=(0, 1) * (count // 2),
        left_out=0,
        bytes=sum(path.stat().st_size for path in paths),
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
