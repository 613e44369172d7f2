"""Puts finished runs side by side, with paired tests on the same images.

  python -m trainer compare RUN RUN...
  python -m trainer compare runs/a runs/b runs/c --output_dir=runs/abc
  python -m trainer compare runs/a runs/b --threshold=chosen

The first run is the baseline. Runs of images are compared with one of breasts by the mean of a
breast's images, with one of examinations by patient. Writes comparison.html and comparison.json.
"""

from __future__ import annotations

import dataclasses
import pathlib

from flags import own_folder
from flags.fields import flag
from flags.own_folder import Overwriting
from records.errors import CallerError

THRESHOLDS = {
    "0.5": "the same for all runs",
    "chosen": "that each network chose on validation images",
}


@dataclasses.dataclass(frozen=True)
class Config(Overwriting):
    """Runs to compare; `arguments` are their folders, the baseline first."""

    arguments: tuple[str, ...] = ()
    output_dir: str | None = flag(
        None,
        "Folder of the comparison. Default: runs/comparison, or the next number.",
        place=True,
    )

    threshold: str = flag("0.5", "Above which an image is called class 1", choices=THRESHOLDS)

    def check(self) -> None:
        """Checks that there is something to compare."""
        super().check()
        if len(self.arguments) < 2:
            raise CallerError(
                "compare needs two or more folders of finished runs: "
                "python -m trainer compare runs/a runs/b"
            )


def run(config: Config) -> int:
    """Compares the runs named, the first being the baseline; returns the exit code.

    Raises:
        CallerError: a folder holds no finished run, stands there twice, or can't be compared.
    """
    from trainer.data import run_folder

    run_folder.check_folders(config.arguments)  # before slow libraries are imported
    from trainer.evaluation import common_unit, compared_run, paired_comparison
    from trainer.reports import comparison_page, comparison_words

    directories = [pathlib.Path(argument) for argument in config.arguments]
    at_chosen = config.threshold == "chosen"
    runs = common_unit.group(compared_run.read_all(directories, at_chosen=at_chosen))
    for other in runs[1:]:
        paired_comparison.common_images(runs[0], other)  # refuses
    with own_folder.take(
        config.output_dir,
        "runs/comparison",
        writes=comparison_page.FILES,
        overwrite=config.overwrite,
    ) as directory:
        content = comparison_page.write(directory, runs)
    print(*comparison_words.table(content), sep="\n")
    print(
        f"each beside it less {runs[0].name}; * more than noise: "
        f"p below {paired_comparison.ALPHA} after Holm"
    )
    print(*content.sentences, sep="\n")
    print(f"comparison: {(directory / 'comparison.html').resolve()}")
    return 0
