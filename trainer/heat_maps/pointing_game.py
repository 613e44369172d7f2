"""Plays the pointing game on the films of a run: reads films and lesions, asks, and sums up."""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Callable
from typing import Any

import keras

from flags.errors import CallerError
from flags.preparation import Preparation
from trainer.heat_maps import lesions, pointing
from trainer.heat_maps.explained_films import Judged
from trainer.heat_maps.heat_map import HeatMapper
from trainer.new_films import films
from trainer.new_films.films import UnusableFilm


def play(
    mapper: HeatMapper,
    judged: Judged,
    preparation: Preparation,
    *,
    data_dir: pathlib.Path,
    bad: Callable[[str, UnusableFilm], None],
) -> dict[str, Any]:
    """Plays every film of a split with a lesion whose place is known.

    A film is asked about its own class, one of the lowest about the second.

    Args:
        mapper: of the network.
        judged: the films.
        preparation: how they became records.
        data_dir: folder of the films, as the conversion had it.
        bad: told of films that can't be used.

    Returns:
        content of pointing.json, see `pointing.score`.

    Raises:
        CallerError: no place of a lesion is known, or the films are not there.
    """
    places = lesions.read(judged.records.directory)
    rows = [
        (row, label)
        for row, label in zip(judged.split.films, judged.split.labels, strict=True)
        if row["film_id"] in places
    ]
    if not rows:
        raise CallerError(
            f"{judged.records.directory} knows no place of a lesion on its {judged.split.name} "
            "films; mini_mias, phantom, cbis_ddsm, vindr_mammo and a table may, if converted by "
            "this version"
        )
    if not any((data_dir / row["path"]).is_file() for row, _ in rows):
        raise CallerError(
            f"--data_dir={data_dir} does not hold {rows[0][0]['path']}; give the folder the films "
            "were converted from"
        )
    report = keras.utils.Progbar(
        len(rows), unit_name="film", verbose=1 if sys.stdout.isatty() else 2
    )
    plays = []
    for row, label in rows:
        try:
            path = data_dir / row["path"]
            film = films.prepare(path, preparation, view=row["view"], side=row["side"])
            lesion = lesions.draw(places[row["film_id"]], film.pixels.shape, data_dir)
            breast = films.find_breast(film.pixels)
        except UnusableFilm as unusable:
            bad(row["film_id"], unusable)
            continue
        (heat,) = mapper.draw(film.record[None], [max(label, 1)])
        plays.append(
            pointing.play(row, label, heat=heat, matrix=film.matrix, lesion=lesion, breast=breast)
        )
        report.add(1)
    return pointing.score(plays, judged.target.names)


def describe(content: dict[str, Any]) -> str:
    """Says the result of a game."""
    names = list(content["labels"])
    lines = [_line(name, rates) for name, rates in content["labels"].items()]
    if len(names) > 2:
        lines.append(_line(f"all but {names[0]}", content))
    return (
        f"pointing game, {content['method']}, {100 * content['tolerance']:g} % tolerance: how "
        f"often a map is strongest on a lesion ({names[0]} films are asked about {names[1]})\n"
        + "\n".join(lines)
    )


def _line(name: str, rates: dict[str, Any]) -> str:
    if not rates["films"]:
        return f"  {name}: {rates['hit_rate']['not_defined_because']}"
    empty = f", {rates['empty_maps']} without any evidence" if rates["empty_maps"] else ""
    return (
        f"  {name} ({rates['films']} of {rates['patients']} patients{empty}): "
        f"{_figure(rates['hit_rate'])}; any place of the breast {rates['chance']['value']:.2f}, "
        f"its middle {rates['middle']['value']:.2f}"
    )


def _figure(figure: dict[str, Any]) -> str:
    if figure["low"] is None:
        return f"{figure['value']:.2f} (no interval, {figure['interval_not_defined_because']})"
    return f"{figure['value']:.2f} (95 % {figure['low']:.2f} to {figure['high']:.2f})"
