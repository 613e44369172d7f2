"""Averages the predictions of finished runs and evaluates them as one.

  python -m trainer ensemble runs/a runs/b --output_dir=runs/ab
  python -m trainer ensemble runs/folds --output_dir=runs/of_folds

A cross-validation stands for its folds. The folder is that of a run without a network of its own.
"""

from __future__ import annotations

import dataclasses
import pathlib
import time

from flags.data_config import RecordsFolder
from flags.fields import flag
from flags.tta_config import TestTimeAugmentation
from records import files
from records.errors import CallerError


@dataclasses.dataclass(frozen=True)
class Config(TestTimeAugmentation, RecordsFolder):
    """Which runs to average; `arguments` are their folders."""

    arguments: tuple[str, ...] = ()
    output_dir: str | None = flag(None, "Folder of the ensemble.", place=True)

    def check(self) -> None:
        """Checks that there are runs, and a folder to write to."""
        super().check()
        if not (self.arguments and self.output_dir):
            raise CallerError(
                "ensemble needs folders of finished runs, or of a cross-validation, and one "
                "to write to: python -m trainer ensemble runs/a runs/b --output_dir=runs/ab"
            )


def run(config: Config) -> int:
    """Evaluates the runs named as one, and prints how well; returns the exit code.

    Raises:
        CallerError: as `average`.
    """
    from trainer.data import run_folder

    run_folder.check_folders(config.arguments)  # before slow libraries are imported
    from trainer.commands import summary

    summary.print_scores(average(config))
    return 0


def average(config: Config) -> pathlib.Path:
    """Evaluates the runs named as one and writes the folder of the ensemble, which it returns.

    Raises:
        CallerError: a folder holds no finished run, the members do not fit each other, or one of
            them learned from the images evaluated.
    """
    from trainer.data import damage, run_folder
    from trainer.evaluation import evaluate_model, members, model_averaging
    from trainer.reports import gallery_pictures, report_page

    assert config.output_dir is not None
    runs = members.read_members(config.arguments)
    views = members.views_of(runs, config.tta)
    data = members.open_data(runs, config.dataset_dir)
    output_dir = pathlib.Path(config.output_dir)
    directory = model_averaging.open_folder(output_dir, runs, data, views)
    assert data.test is not None
    shared = members.share_validation(runs)
    splits = [data.test, data.validation] if shared else [data.test]
    start = time.monotonic()
    with (
        damage.named(data.records.directory, data.records.manifest.shards),
        files.keeping(directory, run_folder.EVALUATION),
    ):
        predicted = [model_averaging.predict(member, splits, data, views) for member in runs]
        minutes = (time.monotonic() - start) / 60
        of_splits = zip(*predicted, strict=True)
        tested, *validated = (model_averaging.average(of_split) for of_split in of_splits)
        evaluate_model.write(
            directory,
            tested.images,
            validated[0].images if validated else [],
            data,
            model_averaging.describe(directory, runs, data, minutes),
            tta=views,
            if_not_validated=model_averaging.NOT_SHARED,
        )
        models = (model_averaging.load(member) for member in runs)
        gallery_pictures.draw(directory, tested, data, models=models)
        report_page.write(directory)
    return directory
