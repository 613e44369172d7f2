"""Trains a network on records made by beam_jobs.tfrecords, judges it, and writes a report.

  python -m trainer --base=mobilenetv2
  python -m trainer --flagfile=flags/experiments/h.flags --dataset_dir=DIR
  python -m trainer --mode=cross_validate --run_dir=runs/folds
  python -m trainer --mode=tune --space=space.txt --run_dir=runs/search
  python -m trainer --mode=predict --run=RUN FILM_OR_FOLDER...
  python -m trainer --mode=compare RUN RUN...

Everything goes into one run folder, report.html among it. An interrupted run goes on with the
same command. Research use only, not for diagnosis.
"""

from __future__ import annotations

import dataclasses
import importlib
import pathlib

from absl import flags

from flags import command_line, judging, training
from flags.errors import CallerError
from flags.judging import JudgingConfig
from flags.training import TrainingConfig
from trainer import memory


def main() -> None:
    """Runs the program with the flags of the command line."""
    command_line.run(run, define, arguments=None)


def define() -> None:
    """Defines all flags."""
    training.define()
    judging.define()


def run(arguments: list[str]) -> int:
    """Does what --mode says; returns the exit code.

    Raises:
        CallerError: something asked for can't be done.
    """
    if flags.FLAGS.mode in judging.MODES:
        return _judge(JudgingConfig.from_flags(flags.FLAGS, arguments))
    if arguments:
        raise CallerError(command_line.describe_stray(arguments[0]))
    config = TrainingConfig.from_flags(flags.FLAGS)
    memory.keep_freed()  # before TensorFlow's threads begin
    # TensorFlow is slow to import, so it waits until the flags are known to be good
    from trainer import cross_validate, tune

    if config.mode == "tune":
        for line in tune.tune(config):
            print(line)
        return 0
    modes = {
        "train": _train,
        "evaluate": _evaluate,
        "cross_validate": cross_validate.cross_validate,
    }
    _print_scores(modes[config.mode](config))
    return 0


def _judge(config: JudgingConfig) -> int:
    """Asks finished runs: each mode is a module of this package with `run(config) -> exit code`."""
    module = importlib.import_module(f"trainer.{config.mode}")
    code: int = module.run(config)
    return code


def _train(config: TrainingConfig) -> pathlib.Path:
    """Trains, and says how fast it went; returns the run folder."""
    from trainer import monitoring, run_folder, train

    directory = train.train(config)
    throughput = run_folder.read_json(directory / "run.json").get("throughput")
    if throughput:
        print(monitoring.describe(throughput))
    return directory


def _evaluate(config: TrainingConfig) -> pathlib.Path:
    """Judges a finished run again; returns its folder."""
    from trainer import damage, evaluate, run_folder, train

    assert config.run_dir is not None
    directory = pathlib.Path(config.run_dir)
    given = config
    config, fingerprint = run_folder.read_config(directory)
    run_folder.check_given(given, config)
    config = dataclasses.replace(
        config,
        dataset_dir=given.dataset_dir or config.dataset_dir,
        skip_damaged=given.skip_damaged or config.skip_damaged,
        tta=given.tta or config.tta,
    )
    data = train.open_data(config)
    if data.records.manifest["data_fingerprint"] != fingerprint:
        raise CallerError(
            f"{data.records.directory} holds other records than {directory} learned from, its "
            "test films may be among them; give the records of then with --dataset_dir"
        )
    with damage.named(data.records.directory, data.records.manifest["shards"]):
        evaluate.evaluate(directory, data, batch_size=config.batch_size, tta=config.tta)
    return directory


def _print_scores(directory: pathlib.Path) -> None:
    from trainer import run_folder

    scores = run_folder.read_json(directory / "metrics.json")
    auc = scores["auc"]
    if auc["value"] is None:
        said = f"not defined, {auc['not_defined_because']}"
    elif auc["low"] is None:
        said = f"{auc['value']:.3f} (no interval, {auc['interval_not_defined_because']})"
    else:
        said = f"{auc['value']:.3f} (95 % {auc['low']:.3f} to {auc['high']:.3f})"
    if scores["predicts_one_class"]:
        answers = [sum(column) for column in zip(*scores["confusion_matrix"], strict=True)]
        name = list(scores["labels"])[answers.index(max(answers))]
        print(f"warning: the model gives one answer for everything: all films are {name}")
    name = "mean AUC of the classes" if len(scores["labels"]) > 2 else "AUC"
    print(
        f"{scores['split']} {name} {said} on {scores['films']} films "
        f"of {scores['patients']} patients; accuracy {scores['accuracy']['value']:.3f}, always the "
        f"larger class would have {scores['majority_baseline']:.3f}"
    )
    if "over_folds" in scores:
        folds = scores["over_folds"]["auc"]
        mean, sd = (_three(folds[key]) for key in ("mean", "sd"))
        print(f"mean of the folds' AUC {mean}, standard deviation {sd}, {folds['folds']} folds")
    print(f"report: {(directory / 'report.html').resolve()}")


def _three(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    main()
