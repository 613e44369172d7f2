"""Trains a network, evaluates it on the test split and writes the report (the default).

  python -m trainer --base=mobilenetv2
  python -m trainer train --base=vgg19 --dataset_dir=DIR --run_dir=runs/vgg19
  python -m trainer --flagfile=flags/experiments/h.flags --dataset_dir=DIR
  python -m trainer --seeds=1,2,3 --run_dir=runs/three

The same command resumes an interrupted run.
"""

from __future__ import annotations

import dataclasses
import gc
import math
import os
import pathlib
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl import logging

from flags import network_config
from flags.training_config import Seeds, TrainingConfig, check_one_machine, one_run
from records import cores, files, memory
from records.errors import CallerError, OutOfTime

if TYPE_CHECKING:
    from trainer.data.dataset import Data


@dataclasses.dataclass(frozen=True)
class Config(Seeds, TrainingConfig):
    """Flags of a run, or of one for each seed."""

    def check(self) -> None:
        """Checks that several seeds have a folder and one machine.

        Raises:
            CallerError: they do not.
        """
        super().check()
        if self.seeds:
            check_one_machine(self)
            if not self.run_dir:
                raise CallerError("--seeds needs --run_dir, the folder of their mean and runs")


def run(config: Config) -> int:
    """Trains, evaluates, and prints how fast it went and how well; returns the exit code.

    Raises:
        CallerError: data, weights or run folder do not fit the configuration, or the loss is no
            number.
        OutOfTime: --max_minutes are over before the training is.
    """
    prepare_process(config)
    from trainer.commands import summary
    from trainer.data import run_folder

    if config.seeds:
        end = time.monotonic() + (60 * config.max_minutes or math.inf)
        directory = train_seeds(one_run(config), config.seeds, end=end)
        for seed in config.seeds:
            summary.print_scores(directory / f"seed{seed}")
    else:
        directory = train(one_run(config))
    if measured := run_folder.read_description(directory).throughput:
        from trainer.training import throughput  # which imports TensorFlow

        print(throughput.describe(measured))
    summary.print_scores(directory)
    return 0


def prepare_process(config: TrainingConfig) -> None:
    """Sets what must be set before TensorFlow is imported and its threads begin."""
    memory.keep_freed(one_heap=True)
    allowed = cores.count()
    if allowed < (os.cpu_count() or 1):  # TensorFlow knows nothing of quotas
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(allowed))
    if config.deterministic and config.strategy == "default":
        # what TensorFlow calls deterministic is not, on a CPU, while operations run side by side
        os.environ["TF_NUM_INTEROP_THREADS"] = "1"


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
    from trainer.data import dataset, run_folder

    # what needs no TensorFlow, which takes seconds to import
    _check_files(config)
    data = dataset.open_data(config, with_test=with_test)
    run_folder.check_run(config, data.records, data.target_name)
    from trainer.training import learn, strategy

    learned = learn.learn(config, data)
    directory, data = learned.directory, learned.data
    if data.test is not None and strategy.is_chief(learned.devices):
        evaluate_run(directory, data, batch_size=config.batch_size, tta=config.tta)
    strategy.wait_for_all(learned.devices)
    return directory


def train_seeds(config: TrainingConfig, seeds: Sequence[int], *, end: float) -> pathlib.Path:
    """Trains and evaluates once for each seed, then the mean; what is finished is kept.

    Args:
        config: of each, but for seed and folder.
        seeds: theirs.
        end: second of the monotonic clock from which on no other begins.

    Returns:
        the run folder: an ensemble, whose members seed1/, seed2/, ... lie in it.

    Raises:
        CallerError: as `train`, or the folder holds something else.
        OutOfTime: as `train`.
    """
    from trainer.commands import ensemble
    from trainer.evaluation import model_averaging

    assert config.run_dir is not None
    directory = pathlib.Path(config.run_dir)
    members = [directory / f"seed{seed}" for seed in seeds]
    model_averaging.check_folder(directory, members)
    for seed, member in zip(seeds, members, strict=True):
        train_until(one_run(config, seed=seed, run_dir=str(member)), end=end)
    return ensemble.average(
        ensemble.Config(
            arguments=tuple(map(str, members)),
            output_dir=str(directory),
            dataset_dir=config.dataset_dir,
            tta=config.tta,
        )
    )


def train_until(config: TrainingConfig, *, end: float) -> None:
    """Trains and evaluates one of many runs, unless it is finished.

    Raises:
        CallerError: as `train`.
        OutOfTime: the time is over.
    """
    import keras

    from trainer.evaluation import cross_validation

    if cross_validation.is_finished(config):
        logging.info("%s is finished", config.run_dir)
        return
    left = (end - time.monotonic()) / 60
    if left <= 0:
        raise OutOfTime(
            f"--max_minutes are over before {config.run_dir}; give the same command again to go on"
        )
    logging.info("%s, one of many", config.run_dir)
    keras.backend.clear_session()  # names of layers, as in a process of its own
    gc.collect()
    train(dataclasses.replace(config, max_minutes=0.0 if math.isinf(left) else left))


def _check_files(config: TrainingConfig) -> None:
    """Makes sure that the weights to start from are there.

    Raises:
        CallerError: they are not.
    """
    if config.weights not in network_config.WEIGHTS and not pathlib.Path(config.weights).is_file():
        raise CallerError(
            f"--weights={config.weights} is not a file; give a .weights.h5 file, imagenet, auto "
            "or random"
        )
    if config.init_from and not pathlib.Path(config.init_from, "model.keras").is_file():
        raise CallerError(
            f"--init_from={config.init_from} holds no model.keras; give the folder of a finished "
            "run"
        )


def evaluate_run(directory: pathlib.Path, data: Data, *, batch_size: int, tta: str | None) -> None:
    """Evaluates the network of a run folder on the test images, and writes its report.

    What an earlier evaluation found is kept.

    Args:
        directory: the run.
        data: its own; validation images are needed too.
        batch_size: images at a time.
        tta: key of `flags.tta_config.VIEWS`, None as "none".
    """
    from trainer.data import damage, run_folder
    from trainer.evaluation import evaluate_model
    from trainer.model import own_backbone
    from trainer.reports import gallery_pictures, report_page

    with files.keeping(directory, run_folder.EVALUATION):
        with damage.named(data.records.directory, data.records.manifest.shards):
            model = own_backbone.load_network(directory / "model.keras")
            predicted = evaluate_model.evaluate(
                directory, model, data, batch_size=batch_size, tta=tta
            )
        gallery_pictures.draw(directory, predicted, data, models=[model])
        report_page.write(directory)
