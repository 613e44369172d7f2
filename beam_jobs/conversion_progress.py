"""Progress of a conversion, read off the files it writes: the same for every runner."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence

from upath import UPath

from beam_jobs import storage
from beam_jobs.output_folder import Output
from beam_jobs.shards import Shard
from records import folder

_BAR_SECONDS = 0.5
_STORE_SECONDS = 10.0  # listing a store costs


@contextlib.contextmanager
def watch(planned: Sequence[Shard], report: Callable[[int, int, float], None]) -> Iterator[None]:
    """Reports images done and megabytes read while shards are written by somebody else."""
    total = sum(len(shard.images) for shard in planned)
    outputs = {output for shard in planned for output in shard.outputs}
    stored = any(isinstance(output.directory, UPath) for output in outputs)

    def look() -> tuple[int, int]:
        found = {output: storage.sizes(output.work_folder) for output in outputs}
        counts = [_images_done(shard, found) for shard in planned]
        return sum(images for images, _ in counts), sum(read for _, read in counts)

    _, before = look()
    stop = threading.Event()

    def show() -> None:
        done, read = look()
        report(done, total, (read - before) / 1e6)

    def poll() -> None:
        while not stop.wait(_STORE_SECONDS if stored else _BAR_SECONDS):  # listing a store costs
            show()

    show()
    thread = threading.Thread(target=poll, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        show()


def _images_done(shard: Shard, found: dict[Output, dict[str, int]]) -> tuple[int, int]:
    """Returns images done and the bytes of their files, evaluated by the output furthest behind."""
    done = min(_images_written(shard, output, found[output]) for output in shard.outputs)
    return done, sum(image.bytes for image in shard.images[:done])


def _images_written(shard: Shard, output: Output, sizes: dict[str, int]) -> int:
    if folder.ledger_path(output.directory, shard.name).name in sizes:
        return len(shard.images)
    started = (
        size
        for name, size in sizes.items()
        if name.startswith(f"{shard.name}.") and name.endswith(".tmp")
    )
    records = max(started, default=0) // output.record_bytes
    return sum(len(unit.images) for unit in shard.units[:records])
