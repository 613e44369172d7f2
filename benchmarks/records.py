"""Records of noise, for benchmarks of the trainer."""

from __future__ import annotations

import pathlib

import numpy as np

from beam_jobs.sources.source_row import SourceRow
from records import example, tfrecord
from records.image_size import ImageSize
from trainer.data.dataset import Split

_IMAGES_A_SHARD = 16


def write(folder: pathlib.Path, size: ImageSize, *, images: int, views: int = 0) -> Split:
    """Writes shards of 16 images, or breasts of some views, half malignant; returns the split."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 65536, (size.height, size.width, 1), dtype=np.uint16)
    paths = []
    for shard in range(images // _IMAGES_A_SHARD):
        paths.append(folder / f"shard{shard}")
        with paths[-1].open("wb") as file:
            for number in range(_IMAGES_A_SHARD):
                image = SourceRow(
                    f"image{shard}-{number}",
                    f"patient{number}",
                    side="left",
                    view="CC",
                    pathology="malignant" if number % 2 else "benign",
                )
                clinical, shape = image.clinical(), (4000, 3000)
                names = [f"view{view}" for view in range(views)]
                record = (
                    example.encode_views(clinical, names, [pixels] * views, [shape] * views)
                    if views
                    else example.encode(clinical, pixels, shape)
                )
                for part in tfrecord.frame_record(record):
                    file.write(part)
    count = _IMAGES_A_SHARD * len(paths)
    return Split(
        name="train",
        parts=("fold0",),
        shards=tuple(map(str, paths)),
        images=({},) * count,
        labels=(0, 1) * (count // 2),
        left_out=0,
        bytes=sum(path.stat().st_size for path in paths),
        views=views,
    )
