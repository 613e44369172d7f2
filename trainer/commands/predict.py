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
from trainer.inference.inputs import InputImage

if TYPE_CHECKING:  # TensorFlow is slow to import, so it waits until there are images
    from trainer.inference.finished_model import FinishedRun
    from trainer.inference.image_prediction import ImagePrediction
    from trainer.inference.predictor import Prepared

DEFAULT_DIR = "predictions"
HEAT_MAPS = "heat_maps"
FILES = ("predictions.csv", "predictions.json")
_AHEAD = 2


def run(config: EvaluationConfig) -> int:
    """Predicts the images given; returns 1 if there are some it could not, else 0.

    Raises:
        CallerError: there is no such run or image, or the output folder can't be written.
    """
    assert config.run is not None
    directory = pathlib.Path(config.run)
    output_dir = pathlib.Path(config.output_dir or DEFAULT_DIR)
    images = inputs.find(config.arguments, output_dir=output_dir, table=config.images)
    if not (directory / "run.json").is_file():
        raise CallerError(f"--run={directory} holds no run.json; give the folder of a finished run")
    from trainer.inference import finished_model, image_prediction

    finished = finished_model.open_run(directory)
    _open_output(output_dir, heat_maps=config.heat_maps)
    print(image_prediction.NOTICE)
    warnings = finished.warnings
    for warning in warnings:
        print(f"warning: {warning}")
    heat_maps = output_dir / HEAT_MAPS if config.heat_maps else None
    found = list(_answer(finished, images, heat_maps))
    about = {"run": str(directory), **finished.describe(), "warnings": warnings}
    image_prediction.write(output_dir, found, finished.formatter, about)
    return _sum_up(found, finished, output_dir)


def _answer(
    finished: FinishedRun, images: list[InputImage], heat_maps: pathlib.Path | None
) -> Iterator[ImagePrediction]:
    """Predicts image after image, and prints each; images are decoded ahead of the network."""
    from trainer.inference import predictor

    networks = predictor.Predictor(finished, heat_maps)
    for number, prepared in enumerate(_ahead(networks.prepare, images), start=1):
        predicted = networks.predict(prepared, number)
        head = f"[{number}/{len(images)}] {predicted.image}: "
        if predicted.prediction is None:
            print(f"{head}NOT PREDICTED, {predicted.error}", flush=True)
        else:
            print(head + finished.formatter.sentence(predicted.prediction), flush=True)
        for warning in predicted.warnings:
            print(f"    warning: {warning}", flush=True)
        yield predicted


def _ahead(
    prepare: Callable[[InputImage], Prepared], images: Iterable[InputImage]
) -> Iterator[Prepared]:
    """Prepares images in order, a few ahead of their use, in a thread of their own."""
    waiting: collections.deque[Future[Prepared]] = collections.deque()
    with ThreadPoolExecutor(1) as thread:
        for image in images:
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
            if picture.stem.isdigit():  # as `predictor` names them; others are not ours
                picture.unlink()
    except OSError as error:
        said = f"--output_dir={output_dir} can't be written: {error.strerror}"
        raise CallerError(said) from error


def _sum_up(found: list[ImagePrediction], finished: FinishedRun, output_dir: pathlib.Path) -> int:
    """Prints the breasts seen on several images and the counts; returns the exit code."""
    from trainer.inference import image_prediction

    for images, mean in image_prediction.breasts(found):
        if len(images) > 1:
            views = ", ".join(image.view or "view not known" for image in images)
            breast = f"exam {images[0].exam}, {images[0].side} breast"
            said = finished.formatter.sentence(mean)
            print(f"{breast}, mean of {len(images)} images ({views}): {said}")
    failed = sum(predicted.prediction is None for predicted in found)
    unlike = sum(bool(predicted.warnings) for predicted in found)
    print(
        f"{len(found) - failed} of {len(found)} images predicted, {unlike} with a warning: "
        f"{output_dir / FILES[0]}"
    )
    return 1 if failed else 0
