"""Phase 1 without running the frozen base every epoch: its features of each image, kept in files.

A frozen base that stands at the front of the network, and draws nothing, makes the same of an image
every time. It runs once an image, and its features take the place of the pixels in copies of the
shards: same records, same order, same pipeline, so that the head sees image after image what it
would have seen. The copies lie in a folder named for the weights and images they come from; runs
that share them, such as the folds of a cross-validation, share the folder.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import os
import pathlib
import shutil
import time
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from flags.training import TrainingConfig
from records import files
from records.errors import CallerError
from records.image_size import ImageSize
from trainer.data import parsing
from trainer.data.dataset import Split
from trainer.data.records_folder import Records
from trainer.model.network import BASE_LAYER

_SEVERAL_MACHINES = ("multi_worker", "tpu")
_ROW_BYTES = 2048  # more than a record holds beside its image


@dataclasses.dataclass(frozen=True)
class Features:
    """A network cut in two, and where the features between the parts are kept.

    Attributes:
        front: pixels -> features; constant.
        head: features -> output; its layers are those of the whole network.
        folder: of the copies.
        config: the run's.
    """

    front: keras.Model
    head: keras.Model
    folder: pathlib.Path
    config: TrainingConfig

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the features of one image."""
        return tuple(self.front.output_shape[1:])

    @property
    def dtype(self) -> str:
        """Their type."""
        return str(self.front.output.dtype)

    def parse_pixels(self, serialized: tf.Tensor) -> tf.Tensor:
        """Reads what the front takes: [batch] strings -> [batch, height, width, 1] uint16."""
        return parsing.parse_images(serialized, ImageSize(*self.front.input_shape[1:3]))

    def parse(self, serialized: tf.Tensor) -> tf.Tensor:
        """Reads the features of a batch of copied records: [batch] strings -> [batch, *shape]."""
        return parsing.parse_features(serialized, self.shape, self.dtype)

    def copy_of(self, shard: str) -> pathlib.Path:
        """Names the copy of a shard; one mended or cut since has another size and name."""
        return self.folder / f"{pathlib.Path(shard).name}-{os.path.getsize(shard)}"

    def lacks(self, shards: Sequence[str]) -> list[str]:
        """Lists the shards that have no copy."""
        return [shard for shard in shards if not self.copy_of(shard).is_file()]

    def replace(self, split: Split) -> Split:
        """Returns the split with the copies in the place of its shards."""
        copies = [self.copy_of(shard) for shard in split.shards]
        size = sum(copy.stat().st_size for copy in copies)
        return dataclasses.replace(split, shards=tuple(map(str, copies)), bytes=size)


def prepare(
    config: TrainingConfig,
    model: keras.Model,
    *,
    records: Records,
    directory: pathlib.Path,
    splits: Sequence[Split],
) -> Features | None:
    """Cuts the network and makes the features of the splits that are not there yet.

    Args:
        config: the run's.
        model: whole network, its base frozen.
        records: where the images come from.
        directory: run folder.
        splits: training and validation images.

    Returns:
        None where phase 1 has to go the plain way; the log says why.

    Raises:
        CallerError: features were asked for and can't be had.
    """
    if config.feature_cache == "off":
        return None
    if config.strategy in _SEVERAL_MACHINES:
        parts, why_not = None, f"--strategy={config.strategy} has several machines write one folder"
    else:
        parts, why_not = cut(model)
    if parts is not None:
        front, head = parts
        root = pathlib.Path(config.feature_dir or folder_of(directory))
        features = Features(front, head, root / fingerprint(front, records), config)
        shards = list(dict.fromkeys(shard for split in splits for shard in split.shards))
        why_not = _check_room(features, root, features.lacks(shards), records)
    if why_not:
        if config.feature_cache != "auto":
            raise CallerError(f"--feature_cache={config.feature_cache}: {why_not}")
        logging.info("no features are kept, the base runs every epoch: %s", why_not)
        return None
    _make(features, shards)
    return features


def folder_of(directory: pathlib.Path) -> pathlib.Path:
    """Where the features of a run folder lie, or of a folder of several runs."""
    return directory / "features"


def discard(directory: pathlib.Path) -> None:
    """Removes the features in such a folder, which has no more use for them."""
    shutil.rmtree(folder_of(directory), ignore_errors=True)


def cut(model: keras.Model) -> tuple[tuple[keras.Model, keras.Model] | None, str]:
    """Cuts a network behind the last of the layers that never change.

    Returns:
        the parts before and after, or None and the reason.
    """
    front: list[keras.layers.Layer] = []
    for layer in model.layers:
        if not _is_constant(layer):
            break
        front.append(layer)
    if BASE_LAYER not in [layer.name for layer in front]:
        return None, f"'{layer.name}' learns or draws at or before the base"
    if len(front) == len(model.layers):
        return None, "no layer of the network learns"
    between = front[-1].output
    return (keras.Model(model.input, between), keras.Model(between, model.output)), ""


def fingerprint(front: keras.Model, records: Records) -> str:
    """Digests all that features depend on: images, layers, their weights and precision."""
    digest = hashlib.sha256()
    about = [
        records.manifest["data_fingerprint"],
        str(records.size),
        _describe(front),
        keras.__version__,
        tf.__version__,
    ]
    digest.update(json.dumps(about, sort_keys=True, default=str).encode())
    for weight in front.weights:
        digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(weight)).tobytes())
    return digest.hexdigest()[:16]


def _is_constant(layer: keras.layers.Layer) -> bool:
    """Whether a layer makes the same of the same images, throughout the phase."""
    bootstrap = any(variable.name == "seed_generator_state" for variable in layer.variables)
    return not layer.variables or (not layer.trainable and not bootstrap)


def _describe(layer: keras.layers.Layer) -> list[Any]:
    """Class and settings of each layer; names depend on what was built before in the process."""
    if isinstance(layer, keras.Model):
        return [_describe(part) for part in layer.layers]
    settings = layer.get_config()
    settings.pop("name")
    return [type(layer).__name__, settings]


def _check_room(
    features: Features, root: pathlib.Path, missing: Sequence[str], records: Records
) -> str:
    """Returns why the features have no room, "" if they have."""
    if not missing:
        return ""
    one = math.prod(features.shape) * tf.as_dtype(features.dtype).size + _ROW_BYTES
    shards = records.manifest["shards"]
    images = sum(shards[pathlib.Path(shard).name]["records"] for shard in missing)
    said = f"features of {images} images take {images * one / 1e9:.3g} GB"
    held = _sum_files(root)
    if held + images * one > features.config.feature_gb * 1e9:
        return (
            f"{said}, {root} holds {held / 1e9:.3g} GB, and --feature_gb="
            f"{features.config.feature_gb:g}; allow more, or remove what is old"
        )
    free = shutil.disk_usage(next(path for path in root.absolute().parents if path.is_dir())).free
    if images * one > free:
        return f"{said}, {free / 1e9:.3g} GB are free at {root}; name a disk with --feature_dir"
    return ""


def _sum_files(root: pathlib.Path) -> int:
    """Counts the bytes under a folder, in which other runs may be at work."""
    total = 0
    for path in root.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # renamed since
            total += path.stat().st_size if path.is_file() else 0
    return total


def _make(features: Features, shards: Sequence[str]) -> None:
    """Runs the front over the shards that have no copy; each copy is renamed into place whole.

    A run that finds another at it waits, and takes what that one made.

    Raises:
        CallerError: the folder can't be written.
    """
    if features.lacks(shards):
        with files.hold(features.folder / "lock"):
            _write(features, features.lacks(shards))
    else:
        logging.info("features found in %s", features.folder)


def _write(features: Features, missing: Sequence[str]) -> None:
    """Writes the copies of shards, one after the other."""
    temporary = features.folder / "unfinished"
    start, images = time.monotonic(), 0
    rows = _rows(features, missing)
    row = next(rows, None)
    for number, shard in enumerate(missing):
        with (
            files.replacing(features.copy_of(shard), temporary=temporary),
            tf.io.TFRecordWriter(str(temporary)) as writer,
        ):
            while row is not None and row[0] == number:
                writer.write(row[1])
                images += 1
                row = next(rows, None)
    seconds = time.monotonic() - start
    logging.info("features of %d images made in %.1f s: %s", images, seconds, features.folder)


def _rows(features: Features, shards: Sequence[str]) -> Iterator[tuple[int, bytes]]:
    """Yields each record with features in the place of pixels, and the number of its shard."""
    run = tf.function(lambda images: features.front(images, training=False), reduce_retracing=True)
    for number, records, images in _batches(features, shards):
        made = run(images).numpy()
        for record, feature in zip(records.numpy(), made, strict=True):
            example = tf.train.Example.FromString(record)
            example.features.feature["image"].bytes_list.value[0] = feature.tobytes()
            yield int(number), example.SerializeToString(deterministic=True)


def _batches(features: Features, shards: Sequence[str]) -> tf.data.Dataset:
    """Streams (number of the shard, records, pixels).

    A batch ends with its shard: last bits may depend on what goes through the base together, and a
    pass resumed, or made for other folds first, must give the same.
    """

    def read(number: tf.Tensor, shard: tf.Tensor) -> tf.data.Dataset:
        batches = tf.data.TFRecordDataset(shard).batch(features.config.batch_size)
        return batches.map(lambda records: (number, records, features.parse_pixels(records)))

    numbered = tf.data.Dataset.from_tensor_slices(list(shards)).enumerate()
    return numbered.flat_map(read).prefetch(tf.data.AUTOTUNE)
