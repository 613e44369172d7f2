"""Does training wait for images? Steps fed by the pipeline against steps on one batch in memory.

python -m benchmarks.training_step [--networks=mobilenetv2:512x512] [--views=1,2] [--rounds=5]

The same compiled network both times, all layers learning, after a first epoch of each that is not
counted. A row for each network, arithmetic and number of views: images a second, how much of a step
is waiting, the largest memory. Without flags, what fits: a GPU gets MobileNetV2 at 512x512 and
EfficientNetB3 at 1152x896 in 32 and in 16 bits, a CPU small ones.
"""

from __future__ import annotations

import itertools
import pathlib
import resource
import statistics
import tempfile
import time

import keras
import tensorflow as tf
from absl import app, flags

from benchmarks import machine, records
from flags import targets
from flags.training_config import TrainingConfig
from records import memory, schema
from records.image_size import ImageSize
from trainer.data import input_pipeline
from trainer.model import network

GPUS = tf.config.list_physical_devices("GPU")
NETWORKS = flags.DEFINE_list(
    "networks",
    ["mobilenetv2:512x512", "efficientnetb3:1152x896"] if GPUS else ["mobilenetv2:224x224"],
    "Bases and sizes of their images.",
)
PRECISIONS = flags.DEFINE_list(
    "precisions", ["float32", "mixed_float16"] if GPUS else ["float32"], "Arithmetic."
)
VIEWS = flags.DEFINE_list("views", ["1", "2"], "Images in a record; of two, their mean is learned.")
IMAGES = flags.DEFINE_integer("images", 192, "Records in an epoch, a multiple of the batch.")
BATCH = flags.DEFINE_integer("batch_size", 8, "Records in a batch.")
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
    for network_, precision, views in itertools.product(
        NETWORKS.value, PRECISIONS.value, map(int, VIEWS.value)
    ):
        base, size = network_.split(":")
        keras.config.set_dtype_policy(precision)
        with tempfile.TemporaryDirectory() as folder:
            _report(pathlib.Path(folder), base, ImageSize.parse(size), views=views)
    print(f"after the benchmark: {machine.describe_load()}")


def _report(folder: pathlib.Path, base: str, size: ImageSize, *, views: int) -> None:
    split = records.write(folder, size, images=IMAGES.value, views=views if views > 1 else 0)
    names = schema.VIEWS["breast"] if views > 1 else ()
    config = TrainingConfig(base=base, weights="random")
    model, _ = network.build(config, size, views=names)
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
    rate = BATCH.value * views / fed
    print(
        f"{base} {size}, {keras.config.dtype_policy().name}, {BATCH.value} records of {views}: "
        f"{rate:.1f} images/s, a step takes {fed * 1e3:.1f} ms fed by the pipeline, "
        f"{alone * 1e3:.1f} ms on one batch in memory: ratio {ratio:.3f} (at most 1.03), "
        f"{max(0.0, 1 - alone / fed):.1%} waiting, {_peak_gb():.1f} GB",
        flush=True,
    )


def _peak_gb() -> float:
    """Largest memory so far: of the first GPU, else of this process."""
    if GPUS:
        return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    app.run(main)
