"""Going on without damaged records: copies of what is sound, and whose images are lost.

saved = salvage(directory, manifest["shards"], images)
"""

from __future__ import annotations

import dataclasses
import pathlib
import tempfile
from collections.abc import Iterable, Mapping
from typing import Any

import tensorflow as tf
from absl import logging

from records.errors import CallerError
from trainer.data import damage, parsing


@dataclasses.dataclass(frozen=True)
class Salvage:
    """Damaged records that the program goes on without.

    Attributes:
        damaged: each of them: shard, record and byte.
        lost: images whose records are gone.
        copies: shard -> file with its sound records alone.
        folder: of the copies, removed with this object.
    """

    damaged: tuple[str, ...]
    lost: frozenset[str]
    copies: Mapping[str, pathlib.Path]
    folder: tempfile.TemporaryDirectory[str]


def salvage(
    directory: pathlib.Path,
    shards: Mapping[str, Mapping[str, Any]],
    images: Iterable[Mapping[str, str]],
) -> Salvage:
    """Reads every byte of all shards; copies the sound records of damaged ones to a new folder.

    Args:
        directory: of the shards.
        shards: name -> entry of manifest.json.
        images: rows of sources.csv that were written.

    Raises:
        CallerError: there is no room for the copies.
    """
    damaged = {name: found for name in shards if (found := damage.find(directory / name))}
    folder = tempfile.TemporaryDirectory(prefix="sound-records-")
    copies = {name: pathlib.Path(folder.name) / name for name in damaged}
    try:
        for name, copy in copies.items():
            damage.copy_sound(directory / name, copy)
    except OSError as error:
        raise CallerError(
            f"the sound records of damaged shards can't be copied to {folder.name} "
            f"({error.strerror}); name a folder with room in TMPDIR"
        ) from error
    said = [damage.describe(directory / name, one) for name in damaged for one in damaged[name]]
    for one in said:
        logging.warning("%s is damaged; going on without it", one)
    # a damaged record does not say whose it was: the images of its split that no other record holds
    splits = {shards[name]["split"] for name in damaged}
    paths = [
        str(copies.get(name, directory / name))
        for name, shard in shards.items()
        if shard["split"] in splits
    ]
    left = {name.decode() for name in _image_ids(paths)}
    lost = {image["image_id"] for image in images if image["split"] in splits} - left
    return Salvage(tuple(said), frozenset(lost), copies, folder)


def _image_ids(paths: list[str]) -> Iterable[bytes]:
    if not paths:
        return ()
    return tf.data.TFRecordDataset(paths).map(parsing.parse_image_ids).as_numpy_iterator()
