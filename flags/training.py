"""What the trainer can be told: flags -> TrainingConfig, checked once.

config = TrainingConfig.from_flags(absl.flags.FLAGS)
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from absl import flags

from flags import catalogue
from flags.errors import CallerError

HEADS = {
    "gap": "global average pooling, then the dense layers",
    "flatten": "flatten, then the dense layers, as published: 67-268 million weights",
}
STRATEGIES = {
    "default": "one device",
    "mirrored": "every GPU of this machine, the batch split among them",
}
CACHES = {
    "auto": "in memory if the records take less than a quarter of what is free",
    "memory": "in memory",
    "off": "read from disk every epoch",
}
SAMPLERS = {
    "tpe": "what did well so far, tree-structured Parzen estimators",
    "random": "at random",
    "grid": "every combination",
}
PRUNERS = {
    "none": "every trial is trained to its end",
    "median": "a trial worse than the median of the others at the same epoch is stopped",
}
ALPHAS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
"""Widths of MobileNetV2 that have ImageNet weights."""
MODES = {
    "train": "train, evaluate on the test split, write the report; resumes an interrupted run",
    "evaluate": "evaluate the model of --run_dir again and rewrite its report",
    "cross_validate": "train once for each fold, which is judged by the run that never saw it; "
    "the test split is left alone",
    "tune": "search the flags that --space names, with Optuna; judged on the validation films",
}


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """One training run, complete and valid; the flags below say what each field means."""

    mode: str = "train"
    dataset_dir: str | None = None
    run_dir: str | None = None
    base: str = "mobilenetv2"
    alpha: float = 1.0
    weights: str = "auto"
    head: str = "gap"
    dropout: float = 0.2
    target: str | None = None
    class_weights: str = "balanced"
    fold: int = 0
    batch_size: int = 8
    phase1_epochs: int = 100
    phase2_epochs: int = 50
    phase1_learning_rate: float = 1e-3
    phase2_learning_rate: float = 1e-5
    phase1_patience: int = 10
    phase2_patience: int = 5
    strategy: str = "default"
    cache: str = "auto"
    seed: int = 111
    deterministic: bool = False
    # search
    test_fold: int | None = None
    space: str | None = None
    sampler: str = "tpe"
    pruner: str = "none"
    trials: int = 20
    processes: int = 1

    def __post_init__(self) -> None:
        for flag, name, known in (
            ("mode", self.mode, MODES),
            ("base", self.base, catalogue.BASES),
            ("head", self.head, HEADS),
            ("strategy", self.strategy, STRATEGIES),
            ("cache", self.cache, CACHES),
        ):
            catalogue.check_name(flag, name, known)
        if self.target is not None:
            catalogue.check_name("target", self.target, catalogue.TARGETS)
        if self.alpha not in ALPHAS:
            raise CallerError(f"--alpha={self.alpha} is not one of {', '.join(map(str, ALPHAS))}")
        if not 0 <= self.dropout < 1:
            raise CallerError(f"--dropout={self.dropout} is not in 0 to 1")
        if self.alpha != 1.0 and self.base != "mobilenetv2":
            raise CallerError(f"--alpha={self.alpha} goes with --base=mobilenetv2 only")
        if not (0 < self.phase1_learning_rate < 1 and 0 < self.phase2_learning_rate < 1):
            raise CallerError(
                f"--phase1_learning_rate={self.phase1_learning_rate} and "
                f"--phase2_learning_rate={self.phase2_learning_rate} must lie between 0 and 1"
            )
        if self.phase1_epochs + self.phase2_epochs == 0:
            raise CallerError("--phase1_epochs and --phase2_epochs are both 0: nothing to train")
        if self.mode == "evaluate" and self.run_dir is None:
            raise CallerError("--mode=evaluate needs --run_dir, the folder of a finished run")
        self.fixed_class_weights()
        self._check_search()

    def _check_search(self) -> None:
        catalogue.check_name("sampler", self.sampler, SAMPLERS)
        catalogue.check_name("pruner", self.pruner, PRUNERS)
        if (self.mode == "tune") != (self.space is not None):
            raise CallerError(
                "--mode=tune needs --space, a file that names what to search; see docs/training.md"
                if self.mode == "tune"
                else f"--space={self.space} goes with --mode=tune"
            )
        if self.mode == "tune" and self.test_fold is not None:
            raise CallerError("--mode=tune judges on the validation films; leave out --test_fold")
        if self.mode == "cross_validate" and (self.fold != 0 or self.test_fold is not None):
            raise CallerError(
                "--mode=cross_validate judges every fold in turn; leave out --fold and --test_fold"
            )
        if self.mode != "cross_validate" and self.fold == self.test_fold:
            raise CallerError(
                f"--fold={self.fold} and --test_fold={self.test_fold} are one fold: it can't both "
                "validate and be judged"
            )

    def fixed_class_weights(self) -> tuple[float, float] | None:
        """Returns the weights of labels 0 and 1 where `class_weights` states them.

        Raises:
            CallerError: the text is neither none, balanced nor two positive numbers.
        """
        if self.class_weights == "none":
            return 1.0, 1.0
        if self.class_weights == "balanced":
            return None
        try:
            negative, positive = (float(part) for part in self.class_weights.split(":"))
        except ValueError:
            negative = positive = math.nan
        if not (0 < negative < math.inf and 0 < positive < math.inf):
            raise CallerError(
                f"--class_weights={self.class_weights} is not none, balanced, or two positive "
                "numbers such as 1.0:1.5 (label 0 : label 1)"
            )
        return negative, positive

    @classmethod
    def from_flags(cls, values: flags.FlagValues) -> TrainingConfig:
        """Builds the configuration from parsed flags.

        Raises:
            CallerError: a value is unknown or contradicts another; one line with the remedy.
        """
        fields: dict[str, Any] = {
            field.name: values[field.name].value for field in dataclasses.fields(cls)
        }
        return cls(**fields)

    def to_json(self) -> dict[str, Any]:
        """Lists every field by name, as config.json keeps them."""
        return dataclasses.asdict(self)


def define() -> None:
    """Defines the trainer's flags on absl's FLAGS."""
    default = TrainingConfig()
    text, number, share = flags.DEFINE_string, flags.DEFINE_integer, flags.DEFINE_float
    text("mode", default.mode, catalogue.describe("What to do", MODES))
    text(
        "dataset_dir",
        None,
        "Folder of records, <output_dir>/<dataset>/<H>x<W>/<recipe>. "
        "Default: the only one under data/tfrecords.",
    )
    text("run_dir", None, "Folder of the run. Default: runs/ and a name made from the flags.")
    text("base", default.base, f"Network under the head: {', '.join(catalogue.BASES)}.")
    share("alpha", default.alpha, f"Width of MobileNetV2: {', '.join(map(str, ALPHAS))}.")
    text(
        "weights",
        default.weights,
        "Weights the base starts from: auto = ImageNet if at hand or downloadable, else random "
        "with a warning; imagenet; random; or the path of a .weights.h5 file.",
    )
    text("head", default.head, catalogue.describe("Between base and output", HEADS))
    share("dropout", default.dropout, "Dropout before the head.", lower_bound=0, upper_bound=0.95)
    text(
        "target",
        None,
        "What to learn: "
        + "; ".join(
            f"{name} = {t.names[0]} or {t.names[1]}" for name, t in catalogue.TARGETS.items()
        )
        + ". Default: the data set's own.",
    )
    text(
        "class_weights",
        default.class_weights,
        "Weight of each class in the loss: none, balanced, or label 0 : label 1 such as 1.0:1.5.",
    )
    number("fold", default.fold, "Fold that validates; the others train.", lower_bound=0)
    number("batch_size", default.batch_size, "Films a step, over all devices.", lower_bound=1)
    number(
        "phase1_epochs",
        default.phase1_epochs,
        "At most so many epochs with the base frozen.",
        lower_bound=0,
    )
    number(
        "phase2_epochs",
        default.phase2_epochs,
        "At most so many epochs with all layers trained.",
        lower_bound=0,
    )
    share("phase1_learning_rate", default.phase1_learning_rate, "Adam's rate in phase 1.")
    share("phase2_learning_rate", default.phase2_learning_rate, "Adam's rate in phase 2.")
    number(
        "phase1_patience",
        default.phase1_patience,
        "Epochs without a better validation loss that end phase 1; half of them cut the rate.",
        lower_bound=1,
    )
    number(
        "phase2_patience",
        default.phase2_patience,
        "The same for phase 2.",
        lower_bound=1,
    )
    text("strategy", default.strategy, catalogue.describe("Devices", STRATEGIES))
    text("cache", default.cache, catalogue.describe("Where records wait between epochs", CACHES))
    number("seed", default.seed, "Seed of initial weights, order of films and dropout.")
    flags.DEFINE_bool(
        "deterministic", default.deterministic, "Same weights to the last bit; slower on GPUs."
    )
    _define_search()


def _define_search() -> None:
    flags.DEFINE_integer(
        "test_fold", None, "Fold that is judged in place of the test split.", lower_bound=0
    )
    default = TrainingConfig()
    text, number = flags.DEFINE_string, flags.DEFINE_integer
    text("space", None, "File of --mode=tune with lines such as 'dropout = 0 0.2 0.5'.")
    text("sampler", default.sampler, catalogue.describe("What to try next", SAMPLERS))
    text("pruner", default.pruner, catalogue.describe("Which trials to stop early", PRUNERS))
    number("trials", default.trials, "Trials of a search, all together.", lower_bound=1)
    number("processes", default.processes, "Trials at a time.", lower_bound=1)
