"""Trains a network on records made by beam_jobs.tfrecords, judges it, and writes a report.

  python -m trainer --base=mobilenetv2
  python -m trainer --flagfile=flags/experiments/h.flags --dataset_dir=DIR
  python -m trainer --mode=cross_validate --run_dir=runs/folds
  python -m trainer --mode=tune --space=space.txt --run_dir=runs/search

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


def main() -> None:
    """Runs the program with the flags of the command line."""
    command_line.run(run, training.define)


def run(_: list[str]) -> int:
    """Does what --mode says; returns the exit code.

    Raises:
        CallerError: something asked for can't be done.
    """
    config = TrainingConfig.from_flags(flags.FLAGS)
    # TensorFlow is slow to import, so it waits until the flags are known to be good
    from trainer import cross_validate, train, tune

    if config.mode == "tune":
        for line in tune.tune(config):
            print(line)
        return 0
    modes = {
        "train": train.train,
        "evaluate": _evaluate,
        "cross_validate": cross_validate.cross_validate,
    }
    _print_scores(modes[config.mode](config))
    return 0


def _evaluate(config: TrainingConfig) -> pathlib.Path:
    """Judges a finished run again; returns its folder."""
    from trainer import evaluate, run_folder, train

    assert config.run_dir is not None
    directory = pathlib.Path(config.run_dir)
    given = config.dataset_dir
    config, fingerprint = run_folder.read_config(directory)
    if given is not None:
        config = dataclasses.replace(config, dataset_dir=given)
    data = train.open_data(config)
    if data.records.manifest["data_fingerprint"] != fingerprint:
        raise CallerError(
            f"{data.records.directory} holds other records than {directory} learned from, its "
            "test films may be among them; give the records of then with --dataset_dir"
        )
    assert data.test is not None
    evaluate.evaluate(directory, data.test, data.target, data.records.size, config.batch_size)
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
    print(
        f"{scores['split']} AUC {said} on {scores['films']} films of {scores['patients']} "
        f"patients; accuracy {scores['accuracy']['value']:.3f}, always the larger class would have "
        f"{scores['majority_baseline']:.3f}"
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
