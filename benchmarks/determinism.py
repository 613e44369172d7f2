"""Is TensorFlow's deterministic mode so on a CPU, and what does one operation at a time cost?

python -m benchmarks.determinism [--size=448x256] [--repeats=15]

The gradient of the same network on the same batch again and again, each way in a process of its
own: with `enable_op_determinism` alone, and with one inter-op thread too, as `--deterministic` has
it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time

import numpy as np
from absl import app, flags

from benchmarks import machine
from flags.training_config import TrainingConfig
from records.image_size import ImageSize

SIZE = flags.DEFINE_string("size", "448x256", "Size of the images.")
REPEATS = flags.DEFINE_integer("repeats", 15, "Gradients compared with the first.")
CHILD = flags.DEFINE_bool("child", False, "Measure in this process; print JSON.")
THREADS = "TF_NUM_INTEROP_THREADS"


def main(_: list[str]) -> None:
    if CHILD.value:
        print(json.dumps(_measure()))
        return
    print(machine.describe())
    seconds = {}
    for name, threads in (
        ("enable_op_determinism alone", {}),
        ("one inter-op thread", {THREADS: "1"}),
    ):
        environment = {key: value for key, value in os.environ.items() if key != THREADS}
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.determinism", "--child", *sys.argv[1:]],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            env={**environment, **threads},
        )
        found = json.loads(done.stdout.splitlines()[-1])
        seconds[name] = found["seconds"]
        differ = f"{found['differ']} of {REPEATS.value} differ"
        print(f"  {name:28} {differ}, {found['seconds']:.3f} s each")
    alone, ordered = seconds.values()
    print(f"  one thread / alone           {ordered / alone:.2f} of the time")
    print(f"after the benchmark: {machine.describe_load()}")


def _measure() -> dict[str, float]:
    """Counts gradients that differ from the first, and takes the median of their seconds."""
    import keras
    import tensorflow as tf

    from trainer.model import network

    keras.utils.set_random_seed(1)
    tf.config.experimental.enable_op_determinism()
    size = ImageSize.parse(SIZE.value)
    config = TrainingConfig(base="mobilenetv2", alpha=0.35, weights="random", dropout=0.0)
    model, _ = network.build(config, size)
    model.get_layer("base").trainable = True
    draw = np.random.default_rng(0)
    images = draw.integers(0, 2**16, (8, size.height, size.width, 1), dtype=np.uint16)
    labels = np.array([[0.0], [1.0]] * 4, np.float32)

    @tf.function
    def differentiate(images: tf.Tensor, labels: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(
                keras.losses.binary_crossentropy(labels, model(images, training=True))
            )
        return tape.gradient(loss, [variable.value for variable in model.trainable_variables])

    first = [one.numpy() for one in differentiate(images, labels)]
    differ, seconds = 0, []
    for _ in range(REPEATS.value):
        start = time.perf_counter()
        again = [one.numpy() for one in differentiate(images, labels)]
        seconds.append(time.perf_counter() - start)
        differ += any((a != b).any() for a, b in zip(first, again, strict=True))
    return {"differ": differ, "seconds": statistics.median(seconds)}


if __name__ == "__main__":
    app.run(main)
