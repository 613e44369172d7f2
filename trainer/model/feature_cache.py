"""Phase 1 without running the frozen base every epoch: its features of each image, kept in files.

A frozen base that stands at the front of the network, and has no randomness, makes the same of an
image every time. It runs once an image, and its features take the place of the pixels in copies of
the shards: same records, same order, same pipeline, so that the head sees image after image what it
would have seen. The copies lie in a folder named for the weights and images they come from; runs
that share them, such as the folds of a cross-validation, share the folder.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import pathlib
import re
import shutil
import time
from collections.abc import Iterator, Sequence

import keras
import tensorflow as tf
from absl import logging

from flags.training_config import TrainingConfig
from records import files
from records.errors import CallerError
from records.image_size import ImageSize
from trainer.data import parsing
from trainer.data.dataset import Split
from trainer.data.records_folder import Records
from trainer.model import frozen_part
from trainer.model.frozen_part import NotCacheable

_SEVERAL_MACHINES = ("multi_worker", "tpu")
_COPY = re.compile(r".+\.tfrecord-\d{5}-of-\d{5}-\d+")  # as `Features.copy_of` names it
_LOCK, _UNFINISHED = "lock", "unfinished"
_ROW_BYTES = 2048  # more than a record holds beside its image


@dataclasses.dataclass(frozen=True)
class Features:
    """A network cut in two, and where the features between the parts are kept.

    Attributes:
        front: pixels -> features; constant.
        head: features -> output; its layers are those of the whole network.
        folder: of the copies.
        batch_size: images that go through the front together.
        limit_gb: most that the folder above may hold.
    """

    front: keras.Model
    head: keras.Model
    folder: pathlib.Path
    batch_size: int
    limit_gb: float

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

    Returns:
        None where phase 1 has to go the plain way; the log gives the reason.

    Raises:
        CallerError: features were demanded and can't be had.
    """
    if config.feature_cache == "off":
        return None
    shards = list(dict.fromkeys(shard for split in splits for shard in split.shards))
    try:
        features = _find_room(config, model, records, directory, shards)
    except NotCacheable as reason:
        if config.feature_cache != "auto":
            raise CallerError(f"--feature_cache={config.feature_cache}: {reason}") from None
        logging.info("no features are kept, the base runs every epoch: %s", reason)
        return None
    _make(features, shards)
    return features


def _find_room(
    config: TrainingConfig,
    model: keras.Model,
    records: Records,
    directory: pathlib.Path,
    shards: Sequence[str],
) -> Features:
    """Cuts the network and names the folder of its features.

    Raises:
        NotCacheable: the network can't be cut, or the features have no room.
    """
    if config.strategy in _SEVERAL_MACHINES:
        raise NotCacheable(f"--strategy={config.strategy} has several machines write one folder")
    front, head = frozen_part.cut(model)
    root = pathlib.Path(config.feature_dir or folder_of(directory))
    folder = root / frozen_part.fingerprint(front, records)
    features = Features(front, head, folder, config.batch_size, config.feature_gb)
    _check_room(features, root, features.lacks(shards), records)
    return features


def folder_of(directory: pathlib.Path) -> pathlib.Path:
    """Where the features of a run folder lie, or of a folder of several runs."""
    return directory / "features"


def discard(directory: pathlib.Path) -> None:
    """Removes the features in such a folder, which has no more use for them, and nothing else."""
    root = folder_of(directory)
    for path in [*root.glob("*/*")]:
        if path.name in (_LOCK, _UNFINISHED) or _COPY.fullmatch(path.name):
            path.unlink()
    for folder in (*root.glob("*"), root):
        with contextlib.suppress(OSError):  # it holds other files, or is none
            folder.rmdir()


def _check_room(
    features: Features, root: pathlib.Path, missing: Sequence[str], records: Records
) -> None:
    """Makes sure that the features which are missing have room.

    Raises:
        NotCacheable: they have none.
    """
    if not missing:
        return
    one = math.prod(features.shape) * tf.as_dtype(features.dtype).size + _ROW_BYTES
    shards = records.manifest.shards
    images = sum(shards[pathlib.Path(shard).name].records for shard in missing)
    needed = f"features of {images} images take {images * one / 1e9:.3g} GB"
    held = _sum_files(root)
    if held + images * one > features.limit_gb * 1e9:
        raise NotCacheable(
            f"{needed}, {root} holds {held / 1e9:.3g} GB, and --feature_gb="
            f"{features.limit_gb:g}; allow more, or remove what is old"
        )
    free = shutil.disk_usage(next(path for path in root.absolute().parents if path.is_dir())).free
    if images * one > free:
        raise NotCacheable(
            f"{needed}, {free / 1e9:.3g} GB are free at {root}; name a disk with --feature_dir"
        )


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
        with files.hold(features.folder / _LOCK):
            _write(features, features.lacks(shards))
    else:
        logging.info("features found in %s", features.folder)


def _write(features: Features, missing: Sequence[str]) -> None:
    """Writes the copies of shards, one after the other."""
    temporary = features.folder / _UNFINISHED
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
        batches = tf.data.TFRecordDataset(shard).batch(features.batch_size)
        return batches.map(lambda records: (number, records, features.parse_pixels(records)))

    numbered = tf.data.Dataset.from_tensor_slices(list(shards)).enumerate()
    return numbered.flat_map(read).prefetch(tf.data.AUTOTUNE)
