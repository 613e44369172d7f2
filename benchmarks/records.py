"""Records of noise, for benchmarks of the trainer."""

from __future__ import annotations

import pathlib

import numpy as np

from beam_jobs import examples, shards
from beam_jobs.sources.film import Film
from flags.size import ImageSize
from trainer.records import Split

_FILMS_A_SHARD = 16


def write(folder: pathlib.Path, size: ImageSize, *, films: int) -> Split:
    """Writes shards of 16 films each, half of them malignant; returns them as a split."""
    generator = np.random.default_rng(0)
    image = generator.integers(0, 65536, (size.height, size.width, 1), dtype=np.uint16)
    paths = []
    for shard in range(films // _FILMS_A_SHARD):
        paths.append(folder / f"shard{shard}")
        with paths[-1].open("wb") as file:
            for number in range(_FILMS_A_SHARD):
                film = Film(
                    f"film{shard}-{number}",
                    f"patient{number}",
                    side="left",
                    view="CC",
                    pathology="malignant" if number % 2 else "benign",
                )
                for part in shards.frame_record(examples.encode(film, image, (4000, 3000))):
                    file.write(part)
    count = _FILMS_A_SHARD * len(paths)
    return Split(
        name="train",
        parts=("fold0",),
        shards=tuple(map(str, paths)),
        films=({},) * count,
        labels=(0, 1) * (count // 2),
        left_out=0,
        bytes=sum(path.stat().st_size for path in paths),
    )
