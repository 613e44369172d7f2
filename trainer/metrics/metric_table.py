"""Table of metrics: what each is called, means, is at best and by chance, and where it is shown.

names = keys("ordinal")                       # ("auc", "accuracy", ...), as in metrics.json
names = keys("binary", section="decisions")   # those that depend on the class called
metric = BY_KEY["recall"]
metric.meaning(("benign", "malignant"))

A metric is added here, beside the function that computes it (`ranking.METRICS`,
`probability_metrics.METRICS`, `binary.decisions` or `multiclass.measure`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Literal

Section = Literal["ranking", "decisions", "probabilities"]
Chance = Callable[[Sequence[float]], float]
"""Class priors [K] -> value of a model that knows nothing."""

KINDS = ("binary", "classes", "ordinal")
"""Of targets, see `flags.targets.Target`: two classes, more, more in an order."""
SEVERAL = ("classes", "ordinal")


@dataclasses.dataclass(frozen=True)
class Metric:
    """A row of the table.

    Attributes:
        key: in metrics.json.
        title: within a sentence.
        section: ranking (no threshold), decisions (classes called) or probabilities.
        two: meaning for two classes, which may name {negative} and {positive}; "" if not defined.
        more: meaning for more than two classes; "" if not defined.
        kinds: of targets that have it; left out, those with a meaning.
        best: value of a perfect model. Nearer is better: 1 higher, 0 lower.
        chance: value of a model that knows nothing; None where there is no such number.
        calibration: whether it asks for right probabilities, not only for right order or classes.
        compared: whether runs are compared by it: the five of Jaamour et al. 2023, Fig 8.
        brief: whether subgroups, breasts and patients have it in the report and the model card.
    """

    key: str
    title: str
    section: Section
    two: str = ""
    more: str = ""
    kinds: tuple[str, ...] = ()
    best: float = 1
    chance: float | Chance | None = None
    calibration: bool = False
    compared: tuple[str, ...] = ()
    brief: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.kinds:
            kinds = ("binary",) * bool(self.two) + SEVERAL * bool(self.more)
            object.__setattr__(self, "kinds", kinds)

    @property
    def heading(self) -> str:
        """Title at the beginning of a line."""
        return self.title[0].upper() + self.title[1:]

    def meaning(self, names: Sequence[str]) -> str:
        """Describes it for classes of these names."""
        if len(names) > 2:
            return self.more
        return self.two.format(negative=names[0], positive=names[1])

    def by_chance(self, priors: Sequence[float]) -> float | None:
        """Value of a model that knows nothing, where classes are as common as this [K]."""
        return self.chance(priors) if callable(self.chance) else self.chance


def _one_of_classes(priors: Sequence[float]) -> float:
    return 1 / len(priors)


def _precision_by_chance(priors: Sequence[float]) -> float:
    """Prior of the positive class; of more classes the mean, as each stands against the rest."""
    return priors[1] if len(priors) == 2 else sum(priors) / len(priors)


TABLE = (
    Metric(
        "auc",
        "AUC",
        "ranking",
        "how often a {positive} image gets a higher probability than a {negative} one",
        "how often an image of a class gets a higher probability of it than one of another class, "
        "averaged over the classes",
        chance=0.5,
        compared=KINDS,
        brief=KINDS,
    ),
    Metric(
        "accuracy",
        "accuracy",
        "decisions",
        *("the fraction of all images called right",) * 2,
        compared=KINDS,
        brief=KINDS,
    ),
    Metric(
        "precision",
        "precision",
        "decisions",
        "of the images called {positive}, the fraction that is: the positive predictive value",
        compared=("binary",),
    ),
    Metric(
        "recall",
        "sensitivity (recall)",
        "decisions",
        "of the {positive} images, the fraction called {positive}",
        compared=("binary",),
        brief=("binary",),
    ),
    Metric(
        "specificity",
        "specificity",
        "decisions",
        "of the {negative} images, the fraction called {negative}",
        brief=("binary",),
    ),
    Metric(
        "f1", "F1", "decisions", "harmonic mean of precision and sensitivity", compared=("binary",)
    ),
    Metric(
        "balanced_accuracy",
        "balanced accuracy",
        "decisions",
        "mean of sensitivity and specificity",
        "mean over the classes of the fraction of their images called right",
        chance=_one_of_classes,
        compared=SEVERAL,
        brief=SEVERAL,
    ),
    Metric(
        "macro_precision",
        "macro precision",
        "decisions",
        more="mean over the classes: of the images called so, the fraction that is",
        compared=SEVERAL,
    ),
    Metric(
        "macro_specificity",
        "macro specificity",
        "decisions",
        more="mean over the classes: of the images of other classes, the fraction not called so",
    ),
    Metric(
        "macro_f1",
        "macro F1",
        "decisions",
        more="mean over the classes of the harmonic mean of precision and sensitivity",
        compared=SEVERAL,
    ),
    Metric(
        "mcc",
        "Matthews correlation (MCC)",
        "decisions",
        *("agreement of the class called and the truth; it may be negative",) * 2,
        chance=0,
    ),
    Metric(
        "kappa",
        "quadratic weighted kappa",
        "decisions",
        more="agreement beyond chance, wrong grades counted by the square of their distance; it "
        "may be negative",
        kinds=("ordinal",),
        chance=0,
    ),
    Metric(
        "partial_auc",
        "partial AUC",
        "ranking",
        *("the AUC where no more than one in ten raises a false alarm, scaled so that 1 is best",)
        * 2,
        chance=0.5,
    ),
    Metric(
        "average_precision",
        "average precision",
        "ranking",
        "precision averaged over all sensitivities, the area under the precision-recall curve",
        "mean over the classes of the area under the precision-recall curve",
        chance=_precision_by_chance,
    ),
    Metric(
        "sensitivity_at_90_specificity",
        "sensitivity at 90 % specificity",
        "ranking",
        "fraction of {positive} images found when one in ten of the others raises a false alarm",
    ),
    Metric(
        "sensitivity_at_95_specificity",
        "sensitivity at 95 % specificity",
        "ranking",
        "the same at one in twenty",
    ),
    Metric(
        "specificity_at_90_sensitivity",
        "specificity at 90 % sensitivity",
        "ranking",
        "fraction of the other images left alone when nine of ten {positive} images are found",
    ),
    Metric(
        "specificity_at_95_sensitivity",
        "specificity at 95 % sensitivity",
        "ranking",
        "the same at nineteen of twenty",
    ),
    Metric(
        "pf1",
        "probabilistic F1",
        "probabilities",
        "F1 with probabilities in the place of the classes called",
    ),
    Metric(
        "brier",
        "Brier score",
        "probabilities",
        *("mean squared error of the probability",) * 2,
        best=0,
        calibration=True,
    ),
    Metric(
        "log_loss",
        "log loss",
        "probabilities",
        *("minus the mean logarithm of the probability of the truth; a sure error costs most",) * 2,
        best=0,
        calibration=True,
    ),
    Metric(
        "calibration_error",
        "calibration error",
        "probabilities",
        *(
            "how far apart stated and observed fractions are, on average over ten bins of equally "
            "many images",
        )
        * 2,
        best=0,
        calibration=True,
    ),
    Metric(
        "calibration_slope",
        "calibration slope",
        "probabilities",
        "below 1 probabilities are too bold, above it too timid",
        calibration=True,
    ),
    Metric(
        "calibration_intercept",
        "calibration intercept",
        "probabilities",
        "above 0 probabilities are too low on the whole, below it too high",
        best=0,
        calibration=True,
    ),
)
BY_KEY = {metric.key: metric for metric in TABLE}


def of_kind(kind: str) -> tuple[Metric, ...]:
    """Lists the metrics of a kind of target, in the order of metrics.json."""
    assert kind in KINDS, kind
    return tuple(metric for metric in TABLE if kind in metric.kinds)


def keys(kind: str, *, section: Section | None = None) -> tuple[str, ...]:
    """Lists the keys of the metrics of a kind of target; of one section if it is named."""
    return tuple(one.key for one in of_kind(kind) if section in (None, one.section))


def compared(kind: str) -> tuple[str, ...]:
    """Lists the keys of the metrics by which runs are compared."""
    return tuple(metric.key for metric in TABLE if kind in metric.compared)


def brief(kind: str) -> tuple[str, ...]:
    """Lists the keys of the metrics of subgroups, breasts and patients."""
    return tuple(metric.key for metric in TABLE if kind in metric.brief)


def kind_of(names: Sequence[str], *, ordinal: bool) -> str:
    """Names the kind of a target by its classes."""
    if len(names) == 2:
        return "binary"
    return "ordinal" if ordinal else "classes"
