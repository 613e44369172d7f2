"""Trains a network on records made by beam_jobs.tfrecords, evaluates it, and writes a report.

  python -m trainer --base=mobilenetv2
  python -m trainer --flagfile=flags/experiments/h.flags --dataset_dir=DIR
  python -m trainer --mode=cross_validate --run_dir=runs/folds
  python -m trainer --mode=tune --space=space.txt --run_dir=runs/search
  python -m trainer --mode=predict --run=RUN IMAGE_OR_FOLDER...
  python -m trainer --mode=compare RUN RUN...
  python -m trainer --mode=ensemble RUN RUN... --output_dir=DIR

Everything goes into one run folder, report.html among it. An interrupted run goes on with the
same command. Research use only, not for diagnosis.
"""

from __future__ import annotations

import importlib
import os
import pathlib

from absl import flags

from flags import command_line, evaluation, fields
from flags.evaluation import EvaluationConfig
from flags.training import TrainingConfig
from records import memory
from records.errors import CallerError


def main() -> None:
    """Runs the program with the flags of the command line."""
    command_line.run(run, define, arguments=None)


def define() -> None:
    """Defines all flags."""
    fields.define(TrainingConfig)
    evaluation.define()


def run(arguments: list[str]) -> int:
    """Does what --mode says; returns the exit code.

    Raises:
        CallerError: something asked for can't be done.
    """
    training_flags = list(fields.flags_of(TrainingConfig))
    if flags.FLAGS.mode in evaluation.MODES:
        asked = EvaluationConfig.from_flags(flags.FLAGS, arguments)
        evaluation.check_given(flags.FLAGS, training_flags)
        return _run_verb(asked)
    if arguments:
        raise CallerError(command_line.describe_stray(arguments[0]))
    config = fields.from_flags(TrainingConfig, flags.FLAGS)
    evaluation.check_given(flags.FLAGS, training_flags)
    memory.keep_freed(one_heap=True)  # before TensorFlow's threads begin
    if config.deterministic and config.strategy == "default":
        # what TensorFlow calls deterministic is not, on a CPU, while operations run side by side
        os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    # TensorFlow is slow to import, so it waits until the flags are known to be good
    from trainer.commands import cross_validate, summary, tune

    if config.mode == "tune":
        for line in tune.tune(config):
            print(line)
        return 0
    modes = {
        "train": _train,
        "evaluate": _evaluate,
        "cross_validate": cross_validate.cross_validate,
    }
    summary.print_scores(modes[config.mode](config))
    return 0


def _run_verb(config: EvaluationConfig) -> int:
    """Asks finished runs: each mode is a module of this package with `run(config) -> exit code`."""
    module = importlib.import_module(f"trainer.commands.{config.mode}")
    code: int = module.run(config)
    return code


def _train(config: TrainingConfig) -> pathlib.Path:
    """Trains, and says how fast it went; returns the run folder."""
    from trainer.commands import train
    from trainer.data import run_folder
    from trainer.training import throughput

    directory = train.train(config)
    measured = run_folder.read_json(directory / "run.json").get("throughput")
    if measured:
        print(throughput.describe(measured))
    return directory


def _evaluate(config: TrainingConfig) -> pathlib.Path:
    """Evaluates a finished run again; returns its folder."""
    from trainer.commands import train
    from trainer.data import dataset, run_folder

    assert config.run_dir is not None
    directory = pathlib.Path(config.run_dir)
    given = config
    config, _ = run_folder.read_config(directory)
    run_folder.check_given(given, config)
    config, data = dataset.open_again(
        directory, dataset_dir=given.dataset_dir, skip_damaged=given.skip_damaged
    )
    train.evaluate_run(directory, data, batch_size=config.batch_size, tta=given.tta or config.tta)
    return directory


if __name__ == "__main__":
    main()
