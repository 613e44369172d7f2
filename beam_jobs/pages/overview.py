"""overview.html: what a data set holds, on one page that needs nothing else, not even a network.

Thumbnails are read back from the records, so the page shows what a trainer will see.
"""

from __future__ import annotations

import base64
import collections
import dataclasses
import functools
import hashlib
import importlib.resources
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import cv2
import jinja2
import numpy as np
from markupsafe import Markup

from beam_jobs.output_folder import Output
from beam_jobs.sources import source_row as image_table
from beam_jobs.sources.source_row import SourceRow
from beam_jobs.storage import Folder
from flags import datasets
from records import example, schema, tfrecord, version
from records.errors import CallerError
from records.manifest import Ledger, Manifest
from records.printable import counted, grouped

IMAGES_A_CLASS = 8
THUMBNAIL_HEIGHT = 240
"""Pixels; smaller records are shown as they are."""
_JPEG_QUALITY = 85

CHARTS = {
    "split": "Split",
    "view": schema.TITLES["view"],  # before the side, as readers of mammograms name them
    **schema.TITLES,
    "native_size": "Native size, rows x columns",
}
"""Column of statistics.json's classes -> title of its chart."""

_LOWEST_FRACTION = 1e-5
"""Lower end of the histograms' logarithmic axis."""


@dataclasses.dataclass(frozen=True)
class Thumbnail:
    """One image as its record holds it, made small.

    Attributes:
        source: data URL of a JPEG.
    """

    image: SourceRow
    source: str
    width: int
    height: int


def draw_images(
    output: Output, ledgers: Mapping[str, Ledger], by_id: Mapping[str, SourceRow]
) -> dict[str, list[Thumbnail]]:
    """Reads up to eight images a class back from the records.

    Args:
        output: whose records are read.
        ledgers: ledger of each shard, in the order of its records.
        by_id: every image.

    Returns:
        label -> thumbnails; the images are chosen by a hash of their names.

    Raises:
        CallerError: a record can't be read.
    """
    places = {
        measured["image_id"]: (name, index)
        for name, ledger in ledgers.items()
        for index, (_, record) in enumerate(
            # the images of one record follow each other
            itertools.groupby(ledger.images, lambda one: _record_of(by_id[one["image_id"]]))
        )
        for measured in record
    }
    by_class: dict[str, list[SourceRow]] = collections.defaultdict(list)
    for image_id in sorted(
        places, key=lambda name: hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
    ):
        by_class[by_id[image_id].label].append(by_id[image_id])
    return {
        label: [_draw(output, image, *places[image.image_id]) for image in images[:IMAGES_A_CLASS]]
        for label, images in sorted(by_class.items())
    }


def _record_of(image: SourceRow) -> str:
    return image.unit_id or image.image_id


def _draw(output: Output, image: SourceRow, shard: str, index: int) -> Thumbnail:
    path = output.directory / shard
    try:
        with path.open("rb") as file:
            columns = example.parse(tfrecord.read_record(file, index))
        stored = np.frombuffer(columns["image"][0], "<u2")  # type: ignore[arg-type]
        views = stored.reshape(-1, output.size.height, output.size.width)
        held = [
            bytes(name).decode("utf-8", "surrogateescape")
            for name in columns["image_ids" if schema.VIEWS[output.unit] else "image_id"]
        ]
        pixels = views[held.index(image.image_id)]
    except (ValueError, KeyError) as error:
        raise CallerError(
            f"{path} record {index + 1} can't be read back ({error}); remove the shard and give "
            "the same command again"
        ) from error
    scale = min(THUMBNAIL_HEIGHT / output.size.height, 1)
    small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    encoded, jpeg = cv2.imencode(
        ".jpg", (small >> 8).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    )
    assert encoded
    source = "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode()
    return Thumbnail(image, source, small.shape[1], small.shape[0])


def write(
    path: Folder,
    manifest: Manifest,
    summary: Mapping[str, Any],
    images: Sequence[SourceRow],
    sheets: Mapping[str, Sequence[Thumbnail]],
) -> None:
    """Writes the page; the same bytes for the same input.

    Args:
        path: file to write; the caller renames it into place.
        manifest: what the folder holds.
        summary: content of statistics.json.
        images: every image the tables list, for the reasons of exclusion.
        sheets: thumbnails by class, from `draw_images`.
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(number=grouped, counted=functools.partial(counted, write=grouped))
    template = importlib.resources.files("beam_jobs.pages").joinpath("overview.html.j2")
    labels = sorted({label for counts in summary["classes"]["split"].values() for label in counts})
    text = environment.from_string(template.read_text("utf-8")).render(
        manifest=manifest,
        program=version.PROGRAM,
        totals=manifest.totals,
        statistics=summary,
        data_set=datasets.DATASETS[manifest.dataset],
        policies=_describe_policies(
            manifest.policies, official=any(image.official_split for image in images)
        ),
        excluded=_count_excluded(images),
        labels=labels,
        unit=datasets.UNITS[manifest.unit],
        charts=CHARTS,
        histograms=_draw_histograms(summary["pixels_by"]["label"]),
        sheets=sheets,
    )
    with path.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)


def _describe_policies(
    policies: Mapping[str, str], *, official: bool
) -> list[tuple[str, str, str]]:
    """Lists (title, name, meaning) of each policy; that of leaks where there are official sets."""
    named = {
        "label_policy": ("Labels", datasets.LABEL_POLICIES),
        "split_policy": ("Splits", datasets.SPLIT_POLICIES),
        "leak_policy": ("Patients in both official sets", datasets.LEAK_POLICIES),
    }
    return [
        (title, policies[key], meanings[policies[key]])
        for key, (title, meanings) in named.items()
        if official or key != "leak_policy"
    ]


def _count_excluded(images: Iterable[SourceRow]) -> dict[str, int]:
    outcomes = (image_table.outcome(image, {}) for image in images)
    reasons = collections.Counter(reason for status, reason in outcomes if status == "excluded")
    return dict(sorted(reasons.items()))


def _draw_histograms(by_value: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, Markup]]:
    """Draws a path for each value in a plot 640 wide and 200 high: (value, path data).

    Fractions are on a logarithmic axis, for most of an image is background.
    """
    drawn = []
    for value, pixels in by_value.items():
        fractions = pixels["histogram"]
        step = 640 / len(fractions)
        heights = [
            200 * (1 - math.log10(max(fraction, _LOWEST_FRACTION) / _LOWEST_FRACTION) / 5)
            for fraction in fractions
        ]
        outline = " ".join(f"V{height:.1f}h{step:.0f}" for height in heights)
        drawn.append((value, Markup(f"M0 200{outline}")))
    return drawn
