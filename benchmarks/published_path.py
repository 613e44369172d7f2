"""The published input path, written anew from its description (Jaamour et al., PLOS ONE 2023).

For each image: read the file, decode the DICOM with tensorflow-io, encode it as PNG and decode that
again, resize with padding, divide; in parallel by tf.data, in batches of two. The authors keep the
results in memory from the second epoch on; at 2048x1376 their 2,445 images would need 27 GB as
float32, so there every epoch costs what the first does. No enhancement, unlike ours.
"""

from __future__ import annotations

import os
import pathlib
import time
from collections.abc import Sequence

from records.image_size import ImageSize


def time_epoch(files: Sequence[pathlib.Path], count: int, size: str) -> float:
    """Returns the seconds of one epoch over `count` images; call it in a process of its own."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf
    import tensorflow_io as tfio

    wanted = ImageSize.parse(size)

    def read(path: tf.Tensor) -> tf.Tensor:
        image = tfio.image.decode_dicom_image(
            tf.io.read_file(path), color_dim=True, dtype=tf.uint16
        )[0]
        image = tf.io.decode_png(tf.image.encode_png(image), channels=1)
        return tf.image.resize_with_pad(image, wanted.height, wanted.width) / 255

    def load(paths: list[str]) -> tf.data.Dataset:
        images = tf.data.Dataset.from_tensor_slices(paths).map(
            read, num_parallel_calls=tf.data.AUTOTUNE
        )
        return images.batch(2).prefetch(tf.data.AUTOTUNE)

    paths = [str(files[number % len(files)]) for number in range(count)]
    for batch in load(paths[:2]):  # first calls are slow
        assert float(tf.reduce_max(batch)) > 0
    start = time.perf_counter()
    for _ in load(paths):
        pass
    return time.perf_counter() - start
