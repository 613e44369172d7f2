"""What a finished run says of films of one's own: a line, a row and a heat map for each.

  python -m trainer --mode=predict --run=RUN FILM_OR_FOLDER...

Research use only, not for diagnosis.
"""

from __future__ import annotations

import collections
import pathlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from flags.errors import CallerError
from flags.judging import JudgingConfig
from trainer.new_films import film_list
from trainer.new_films.film_list import Asked

if TYPE_CHECKING:  # TensorFlow is slow to import, so it waits until there are films
    from trainer.new_films.asked_film import Prepared
    from trainer.new_films.film_answers import FilmAnswer
    from trainer.new_films.finished_run import FinishedRun

DEFAULT_DIR = "predictions"
HEAT_MAPS = "heat_maps"
FILES = ("predictions.csv", "predictions.json")
_AHEAD = 2


def run(config: JudgingConfig) -> int:
    """Predicts the films asked about; returns 1 if there are some it could not, else 0.

    Raises:
        CallerError: there is no such run or film, or the output folder can't be written.
    """
    assert config.run is not None
    directory = pathlib.Path(config.run)
    output_dir = pathlib.Path(config.output_dir or DEFAULT_DIR)
    asked = film_list.find(config.arguments, output_dir=output_dir, table=config.films)
    if not (directory / "run.json").is_file():
        raise CallerError(f"--run={directory} holds no run.json; give the folder of a finished run")
    from trainer.new_films import film_answers, finished_run

    finished = finished_run.open_run(directory)
    _open_output(output_dir, heat_maps=config.heat_maps)
    print(film_answers.NOTICE)
    warnings = finished.warnings
    for warning in warnings:
        print(f"warning: {warning}")
    heat_maps = output_dir / HEAT_MAPS if config.heat_maps else None
    answers = list(_answer(finished, asked, heat_maps))
    about = {"run": str(directory), **finished.describe(), "warnings": warnings}
    film_answers.write(output_dir, answers, finished.reader, about)
    return _sum_up(answers, finished, output_dir)


def _answer(
    finished: FinishedRun, asked: list[Asked], heat_maps: pathlib.Path | None
) -> Iterator[FilmAnswer]:
    """Predicts film after film, and prints each; films are decoded ahead of the network."""
    from trainer.new_films import asked_film

    asker = asked_film.Asker(finished, heat_maps)
    for number, prepared in enumerate(_ahead(asker.prepare, asked), start=1):
        answer = asker.ask(prepared, number)
        head = f"[{number}/{len(asked)}] {answer.film}: "
        if answer.prediction is None:
            print(f"{head}NOT PREDICTED, {answer.error}", flush=True)
        else:
            print(head + finished.reader.say(answer.prediction), flush=True)
        for warning in answer.warnings:
            print(f"    warning: {warning}", flush=True)
        yield answer


def _ahead(prepare: Callable[[Asked], Prepared], asked: Iterable[Asked]) -> Iterator[Prepared]:
    """Prepares films in order, a few ahead of their use, in a thread of their own."""
    waiting: collections.deque[Future[Prepared]] = collections.deque()
    with ThreadPoolExecutor(1) as thread:
        for film in asked:
            waiting.append(thread.submit(prepare, film))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _open_output(output_dir: pathlib.Path, *, heat_maps: bool) -> None:
    """Makes the folder, and takes away what an earlier call left in it."""
    try:
        (output_dir / HEAT_MAPS if heat_maps else output_dir).mkdir(parents=True, exist_ok=True)
        for name in FILES:
            (output_dir / name).unlink(missing_ok=True)
        for picture in (output_dir / HEAT_MAPS).glob("*.png"):
            if picture.stem.isdigit():  # as `asked_film` names them; others are not ours
                picture.unlink()
    except OSError as error:
        said = f"--output_dir={output_dir} can't be written: {error.strerror}"
        raise CallerError(said) from error


def _sum_up(answers: list[FilmAnswer], finished: FinishedRun, output_dir: pathlib.Path) -> int:
    """Prints the breasts seen on several films and the counts; returns the exit code."""
    from trainer.new_films import film_answers

    for films, mean in film_answers.breasts(answers):
        if len(films) > 1:
            views = ", ".join(film.view or "view not known" for film in films)
            breast = f"exam {films[0].exam}, {films[0].side} breast"
            print(f"{breast}, mean of {len(films)} films ({views}): {finished.reader.say(mean)}")
    failed = sum(answer.prediction is None for answer in answers)
    unlike = sum(bool(answer.warnings) for answer in answers)
    print(
        f"{len(answers) - failed} of {len(answers)} films predicted, {unlike} with a warning: "
        f"{output_dir / FILES[0]}"
    )
    return 1 if failed else 0
