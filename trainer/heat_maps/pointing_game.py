"""Plays the pointing game on the images of a run: reads images and lesions, asks, and sums up."""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Callable
from typing import Any

import keras

from records.errors import CallerError
from records.preprocessing import Preparation
from trainer.data import image_file
from trainer.data.image_file import UnusableImage
from trainer.heat_maps import lesions, pointing
from trainer.heat_maps.explained_images import TestedImages
from trainer.heat_maps.heat_map import HeatMapper


def play(
    mapper: HeatMapper,
    evaluated: TestedImages,
    preparation: Preparation,
    *,
    data_dir: pathlib.Path,
    bad: Callable[[str, UnusableImage], None],
) -> dict[str, Any]:
    """Plays every image of a split with a lesion whose place is known.

    An image is asked about its own class, one of the lowest about the second.

    Args:
        mapper: of the network.
        evaluated: the images.
        preparation: how they became records.
        data_dir: folder of the images, as the conversion had it.
        bad: told of images that can't be used.

    Returns:
        content of pointing.json, see `pointing.score`.

    Raises:
        CallerError: no place of a lesion is known, or the images are not there.
    """
    places = lesions.read(evaluated.records.directory)
    rows = [
        (row, label)
        for row, label in zip(evaluated.split.images, evaluated.split.labels, strict=True)
        if row["image_id"] in places
    ]
    if not rows:
        raise CallerError(
            f"{evaluated.records.directory} knows no place of a lesion on its "
            f"{evaluated.split.name} "
            "images; mini_mias, phantom, cbis_ddsm, vindr_mammo and a table may, if converted by "
            "this version"
        )
    if not any((data_dir / row["path"]).is_file() for row, _ in rows):
        raise CallerError(
            f"--data_dir={data_dir} does not hold {rows[0][0]['path']}; give the folder the images "
            "were converted from"
        )
    report = keras.utils.Progbar(
        len(rows), unit_name="image", verbose=1 if sys.stdout.isatty() else 2
    )
    plays = []
    for row, label in rows:
        try:
            path = data_dir / row["path"]
            image = image_file.prepare(path, preparation, view=row["view"], side=row["side"])
            lesion = lesions.draw(places[row["image_id"]], image.pixels.shape, data_dir)
            breast = image_file.find_breast(image.pixels)
        except UnusableImage as unusable:
            bad(row["image_id"], unusable)
            continue
        (heat,) = mapper.draw(image.record[None], [max(label, 1)])
        plays.append(
            pointing.play(row, label, heat=heat, matrix=image.matrix, lesion=lesion, breast=breast)
        )
        report.add(1)
    return pointing.score(plays, evaluated.target.names)


def describe(content: dict[str, Any]) -> str:
    """Says the result of a game."""
    names = list(content["labels"])
    lines = [_line(name, rates) for name, rates in content["labels"].items()]
    if len(names) > 2:
        lines.append(_line(f"all but {names[0]}", content))
    return (
        f"pointing game, {content['method']}, {100 * content['tolerance']:g} % tolerance: how "
        f"often a map is strongest on a lesion ({names[0]} images are asked about {names[1]})\n"
        + "\n".join(lines)
    )


def _line(name: str, rates: dict[str, Any]) -> str:
    if not rates["images"]:
        return f"  {name}: {rates['hit_rate']['not_defined_because']}"
    empty = f", {rates['empty_maps']} without any evidence" if rates["empty_maps"] else ""
    return (
        f"  {name} ({rates['images']} of {rates['patients']} patients{empty}): "
        f"{_figure(rates['hit_rate'])}; any place of the breast {rates['chance']['value']:.2f}, "
        f"its middle {rates['middle']['value']:.2f}"
    )


def _figure(figure: dict[str, Any]) -> str:
    if figure["low"] is None:
        return f"{figure['value']:.2f} (no interval, {figure['interval_not_defined_because']})"
    return f"{figure['value']:.2f} (95 % {figure['low']:.2f} to {figure['high']:.2f})"
