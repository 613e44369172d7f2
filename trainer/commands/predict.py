"""What a finished run says of images of one's own: a line, a row and a heat map for each.

  python -m trainer --mode=predict --run=RUN IMAGE_OR_FOLDER...

Research use only, not for diagnosis.
"""

from __future__ import annotations

import collections
import pathlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from flags.evaluation import EvaluationConfig
from records.errors import CallerError
from trainer.inference import inputs
from trainer.inference.inputs import Asked

if TYPE_CHECKING:  # TensorFlow is slow to import, so it waits until there are images
    from trainer.inference.answers import ImageAnswer
    from trainer.inference.finished_model import FinishedRun
    from trainer.inference.predicted_image import Prepared

DEFAULT_DIR = "predictions"
HEAT_MAPS = "heat_maps"
FILES = ("predictions.csv", "predictions.json")
_AHEAD = 2


def run(config: EvaluationConfig) -> int:
    """Predicts the images asked about; returns 1 if there are some it could not, else 0.

    Raises:
        CallerError: there is no such run or image, or the output folder can't be written.
    """
    assert config.run is not None
    directory = pathlib.Path(config.run)
    output_dir = pathlib.Path(config.output_dir or DEFAULT_DIR)
    asked = inputs.find(config.arguments, output_dir=output_dir, table=config.images)
    if not (directory / "run.json").is_file():
        raise CallerError(f"--run={directory} holds no run.json; give the folder of a finished run")
    from trainer.inference import answers, finished_model

    finished = finished_model.open_run(directory)
    _open_output(output_dir, heat_maps=config.heat_maps)
    print(answers.NOTICE)
    warnings = finished.warnings
    for warning in warnings:
        print(f"warning: {warning}")
    heat_maps = output_dir / HEAT_MAPS if config.heat_maps else None
    found = list(_answer(finished, asked, heat_maps))
    about = {"run": str(directory), **finished.describe(), "warnings": warnings}
    answers.write(output_dir, found, finished.reader, about)
    return _sum_up(found, finished, output_dir)


def _answer(
    finished: FinishedRun, asked: list[Asked], heat_maps: pathlib.Path | None
) -> Iterator[ImageAnswer]:
    """Predicts image after image, and prints each; images are decoded ahead of the network."""
    from trainer.inference import predicted_image

    asker = predicted_image.Asker(finished, heat_maps)
    for number, prepared in enumerate(_ahead(asker.prepare, asked), start=1):
        answer = asker.ask(prepared, number)
        head = f"[{number}/{len(asked)}] {answer.image}: "
        if answer.prediction is None:
            print(f"{head}NOT PREDICTED, {answer.error}", flush=True)
        else:
            print(head + finished.reader.say(answer.prediction), flush=True)
        for warning in answer.warnings:
            print(f"    warning: {warning}", flush=True)
        yield answer


def _ahead(prepare: Callable[[Asked], Prepared], asked: Iterable[Asked]) -> Iterator[Prepared]:
    """Prepares images in order, a few ahead of their use, in a thread of their own."""
    waiting: collections.deque[Future[Prepared]] = collections.deque()
    with ThreadPoolExecutor(1) as thread:
        for image in asked:
            waiting.append(thread.submit(prepare, image))
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
            if picture.stem.isdigit():  # as `asked_image` names them; others are not ours
                picture.unlink()
    except OSError as error:
        said = f"--output_dir={output_dir} can't be written: {error.strerror}"
        raise CallerError(said) from error


def _sum_up(found: list[ImageAnswer], finished: FinishedRun, output_dir: pathlib.Path) -> int:
    """Prints the breasts seen on several images and the counts; returns the exit code."""
    from trainer.inference import answers

    for images, mean in answers.breasts(found):
        if len(images) > 1:
            views = ", ".join(image.view or "view not known" for image in images)
            breast = f"exam {images[0].exam}, {images[0].side} breast"
            print(f"{breast}, mean of {len(images)} images ({views}): {finished.reader.say(mean)}")
    failed = sum(answer.prediction is None for answer in found)
    unlike = sum(bool(answer.warnings) for answer in found)
    print(
        f"{len(found) - failed} of {len(found)} images predicted, {unlike} with a warning: "
        f"{output_dir / FILES[0]}"
    )
    return 1 if failed else 0
