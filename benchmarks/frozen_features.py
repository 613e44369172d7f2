"""Phase 1 on kept features against phase 1 that runs the frozen base every epoch.

python -m benchmarks.frozen_features [--size=512x512] [--base=mobilenetv2] [--images=192]
"""

from __future__ import annotations

import pathlib
import statistics
import tempfile
import time

import keras
import tensorflow as tf
from absl import app, flags

from benchmarks import machine, records
from flags import targets
from flags.training_config import TrainingConfig
from records import memory
from records.image_size import ImageSize
from records.manifest import Job, Manifest, ShardEntry, Totals
from trainer.data import input_pipeline
from trainer.data.dataset import Split
from trainer.data.records_folder import Records
from trainer.model import feature_cache, network

SIZE = flags.DEFINE_string("size", "512x512", "Size of the records.")
BASE = flags.DEFINE_string("base", "mobilenetv2", "Network under the head.")
IMAGES = flags.DEFINE_integer("images", 192, "Images in an epoch.")
BATCH = flags.DEFINE_integer("batch_size", 8, "Images in a batch.")
ROUNDS = flags.DEFINE_integer("rounds", 3, "Epochs of each.")


class Clock(keras.callbacks.Callback):
    """Takes the seconds of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Starts."""
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Stops."""
        self.seconds.append(time.perf_counter() - self._start)


def main(_: list[str]) -> None:
    print(machine.describe())
    memory.keep_freed(one_heap=True)  # as the trainer does
    size = ImageSize.parse(SIZE.value)
    config = TrainingConfig(base=BASE.value, weights="random", batch_size=BATCH.value)
    model, _ = network.build(config, size)
    network.freeze_base(model)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        split = records.write(folder, size, images=IMAGES.value)
        plain = _time_epochs(model, split, size, None)
        start = time.perf_counter()
        kept = feature_cache.prepare(
            config,
            model,
            records=_describe(folder, split, size),
            directory=folder / "run",
            splits=(split,),
        )
        once = time.perf_counter() - start
        assert kept is not None
        short = kept.replace(split)
        cached = _time_epochs(kept.head, short, size, kept)
    print(
        f"{BASE.value} {size}, {len(split.images)} images: "
        f"an epoch of phase 1 takes {plain:.2f} s, "
        f"on features {cached:.3f} s: {plain / cached:.0f} times faster (at least 20)"
    )
    print(
        f"the one pass takes {once:.2f} s, {once / plain:.2f} of a plain epoch; features take "
        f"{short.bytes / 1e6:.2f} MB of {split.bytes / 1e6:.0f} MB"
    )
    print(f"after the benchmark: {machine.describe_load()}")


def _time_epochs(
    model: keras.Model, split: Split, size: ImageSize, kept: feature_cache.Features | None
) -> float:
    """Returns the median seconds of an epoch, after a first one that is not counted."""
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    batches: tf.data.Dataset = input_pipeline.training_batches(
        split,
        targets.TARGETS["pathology"],
        size,
        batch_size=BATCH.value,
        seed=0,
        first_epoch=0,
        last_epoch=ROUNDS.value + 1,
        cache=False,
        parse=None if kept is None else kept.parse,
    )
    clock = Clock()
    model.fit(
        batches,
        steps_per_epoch=input_pipeline.batches_in(split, BATCH.value),
        epochs=ROUNDS.value + 1,
        verbose=0,
        callbacks=[clock],
    )
    return statistics.median(clock.seconds[1:])


def _describe(folder: pathlib.Path, split: Split, size: ImageSize) -> Records:
    settings = dict.fromkeys(("dataset", "folds", "max_pixels"))
    job = Job("", settings, size, recipe="", steps="", images="", versions={})
    entries = {pathlib.Path(shard).name: ShardEntry("", 16, 0, "") for shard in split.shards}
    manifest = Manifest(job, "", "benchmark", entries, Totals(*[0] * 7), {})
    return Records(folder, manifest, ())


if __name__ == "__main__":
    app.run(main)
