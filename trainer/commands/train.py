"""A run from records to report: learn, evaluate, report."""

from __future__ import annotations

import pathlib

import keras

from flags.training import TrainingConfig
from trainer.data import damage
from trainer.data.dataset import Data
from trainer.evaluation import evaluate
from trainer.reports import gallery_pictures, report
from trainer.training import learn, strategy


def train(config: TrainingConfig, *, with_test: bool = True) -> pathlib.Path:
    """Trains, evaluates and reports; resumes an interrupted run.

    Args:
        config: what to train.
        with_test: whether to evaluate and report; else no image is touched but those that train and
            validate.

    Returns:
        the run folder.

    Raises:
        CallerError: data, weights or run folder do not fit the configuration, or the loss is no
            number.
        OutOfTime: --max_minutes are over before the training is.
    """
    learned = learn.learn(config, with_test=with_test)
    directory, data = learned.directory, learned.data
    if data.test is not None and strategy.is_chief(learned.devices):
        evaluate_run(directory, data, batch_size=config.batch_size, tta=config.tta)
    strategy.wait_for_all(learned.devices)
    return directory


def evaluate_run(directory: pathlib.Path, data: Data, *, batch_size: int, tta: str | None) -> None:
    """Evaluates the network of a run folder on the test images, and writes its report.

    Args:
        directory: the run.
        data: its own; validation images are needed too.
        batch_size: images at a time.
        tta: key of `flags.tta.VIEWS`, None as "none".
    """
    with damage.named(data.records.directory, data.records.manifest.shards):
        model = keras.models.load_model(directory / "model.keras", compile=False)
        predicted = evaluate.evaluate(directory, model, data, batch_size=batch_size, tta=tta)
    gallery_pictures.draw(directory, predicted, data, models=[model])
    report.write(directory)
