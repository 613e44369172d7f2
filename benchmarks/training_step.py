"""Does training wait for images? Steps fed by the pipeline against steps on one batch in memory.

python -m benchmarks.training_step [--sizes=224x224,512x512] [--rounds=5]

The same compiled network both times, all layers learning, after a first epoch of each that is not
counted.
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
from trainer.data import input_pipeline
from trainer.model import network

SIZES = flags.DEFINE_list("sizes", ["224x224", "512x512"], "Sizes of the records.")
BASE = flags.DEFINE_string("base", "mobilenetv2", "Network under the head.")
IMAGES = flags.DEFINE_integer("images", 192, "Images in an epoch, a multiple of the batch.")
BATCH = flags.DEFINE_integer("batch_size", 8, "Images in a batch.")
ROUNDS = flags.DEFINE_integer("rounds", 5, "Epochs of each, one after the other.")


class Clock(keras.callbacks.Callback):
    """Takes the seconds of each epoch, from the end of its first step to the end of its last."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Starts with the first."""
        self._now = time.perf_counter()
        if batch == 0:
            self._start = self._now

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Stops."""
        self.seconds.append(self._now - self._start)


def main(_: list[str]) -> None:
    print(machine.describe())
    memory.keep_freed(one_heap=True)  # as the trainer does
    for size in map(ImageSize.parse, SIZES.value):
        with tempfile.TemporaryDirectory() as folder:
            _report(pathlib.Path(folder), size)
    print(f"after the benchmark: {machine.describe_load()}")


def _report(folder: pathlib.Path, size: ImageSize) -> None:
    split = records.write(folder, size, images=IMAGES.value)
    model, _ = network.build(TrainingConfig(base=BASE.value, weights="random"), size)
    # phase 2: what phase 1 makes of a frozen base is kept (benchmarks/frozen_features.py)
    network.unfreeze_base(model, batch_norm=False)
    model.compile(optimizer="adam", loss="binary_crossentropy")
    options = {"batch_size": BATCH.value, "seed": 0, "cache": False}

    def stream() -> tf.data.Dataset:
        return input_pipeline.training_batches(
            split, targets.TARGETS["pathology"], size, first_epoch=0, last_epoch=2, **options
        )

    steps = input_pipeline.batches_in(split, BATCH.value)
    one = tf.data.Dataset.from_tensors(next(iter(stream()))).repeat()
    seconds: dict[str, list[float]] = {"pipeline": [], "memory": []}
    for _ in range(ROUNDS.value):
        for name, batches in (("memory", one), ("pipeline", stream())):
            clock = Clock()
            model.fit(batches, steps_per_epoch=steps, epochs=2, verbose=0, callbacks=[clock])
            seconds[name].append(clock.seconds[-1])
    fed, alone = (statistics.median(seconds[name]) / (steps - 1) for name in ("pipeline", "memory"))
    ratio = statistics.median(
        ours / best for ours, best in zip(seconds["pipeline"], seconds["memory"], strict=True)
    )
    print(
        f"{BASE.value} {size}, batches of {BATCH.value}: a step takes {fed * 1e3:.1f} ms fed by "
        f"the pipeline, {alone * 1e3:.1f} ms on one batch in memory: ratio {ratio:.3f} "
        "(at most 1.03)",
        flush=True,
    )


if __name__ == "__main__":
    app.run(main)
