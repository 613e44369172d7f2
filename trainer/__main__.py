"""Trains a network on records made by beam_jobs.tfrecords, judges it, and writes a report.

  python -m trainer --base=mobilenetv2
  python -m trainer --flagfile=flags/experiments/h.flags --dataset_dir=DIR

Everything goes into one run folder, report.html among it. An interrupted run goes on with the
same command. Research use only, not for diagnosis.
"""

from __future__ import annotations

import dataclasses
import pathlib

from absl import flags

from flags import command_line, training
from flags.errors import CallerError
from flags.training import TrainingConfig
from trainer import memory


def main() -> None:
    """Runs the program with the flags of the command line."""
    command_line.run(run, training.define)


def run(_: list[str]) -> int:
    """Does what --mode says; returns the exit code.

    Raises:
        CallerError: something asked for can't be done.
    """
    config = TrainingConfig.from_flags(flags.FLAGS)
    memory.keep_freed()  # before TensorFlow's threads begin
    # TensorFlow is slow to import, so it waits until the flags are known to be good
    from trainer import damage, evaluate, monitoring, run_folder, train

    if config.mode == "train":
        directory = train.train(config)
        throughput = run_folder.read_json(directory / "run.json").get("throughput")
        if throughput:
            print(monitoring.describe(throughput))
    else:
        assert config.run_dir is not None
        directory = pathlib.Path(config.run_dir)
        given = config
        config, fingerprint = run_folder.read_config(directory)
        config = dataclasses.replace(
            config,
            dataset_dir=given.dataset_dir or config.dataset_dir,
            skip_damaged=given.skip_damaged or config.skip_damaged,
        )
        data = train.open_data(config)
        if data.records.manifest["data_fingerprint"] != fingerprint:
            raise CallerError(
                f"{data.records.directory} holds other records than {directory} learned from, its "
                "test films may be among them; give the records of then with --dataset_dir"
            )
        with damage.named(data.records.directory, data.records.manifest["shards"]):
            evaluate.evaluate(
                directory, data.test, data.target, data.records.size, config.batch_size
            )
    _print_scores(directory)
    return 0


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
    several = len(scores["labels"]) > 2
    print(
        f"test {'mean AUC of the classes' if several else 'AUC'} {said} on {scores['films']} films "
        f"of {scores['patients']} patients; accuracy {scores['accuracy']['value']:.3f}, always the "
        f"larger class would have {scores['majority_baseline']:.3f}"
    )
    print(f"report: {(directory / 'report.html').resolve()}")


if __name__ == "__main__":
    main()
