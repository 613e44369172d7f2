"""Content of metrics.json as frozen dataclasses; `typed_json` reads and writes them.

metrics = compute.score(...)
metrics["auc"].value, metrics.calibrated.not_defined_because, metrics.subgroups["view"]
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from trainer.metrics import metric_table, typed_json


@dataclasses.dataclass(frozen=True)
class DelongInterval:
    """The 95 % interval of an AUC by DeLong's method, with its standard error."""

    low: float | None
    high: float | None
    se: float | None
    not_defined_because: str = ""


@dataclasses.dataclass(frozen=True)
class ByChance:
    """Mean and 95th percentile of a calibration error that is chance alone."""

    mean: float
    high: float


@dataclasses.dataclass(frozen=True)
class MetricValue:
    """A metric with its interval over patients, or the reason why either is not defined."""

    value: float | None
    low: float | None = dataclasses.field(default=None, metadata=typed_json.ALWAYS)
    high: float | None = dataclasses.field(default=None, metadata=typed_json.ALWAYS)
    interval_not_defined_because: str = ""
    not_defined_because: str = ""
    by_chance: ByChance | None = None
    delong: DelongInterval | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both ends, None if there is no interval."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    @property
    def beyond_chance(self) -> bool:
        """Whether a calibration error is larger than 95 of 100 that are chance alone."""
        if self.value is None or self.by_chance is None:
            return False
        return self.value > self.by_chance.high

    def describe(self, decimals: int = 3) -> str:
        """Writes it on one line, with its interval or the reason why there is none."""
        if self.value is None:
            return f"not defined, {self.not_defined_because}"
        if self.interval is None:
            return f"{self.value:.{decimals}f} (no interval, {self.interval_not_defined_because})"
        low, high = self.interval
        return f"{self.value:.{decimals}f} (95 % {low:.{decimals}f} to {high:.{decimals}f})"


def undefined(reason: str) -> MetricValue:
    """Stands in for a metric that is not defined."""
    return MetricValue(None, not_defined_because=reason)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scores:
    """Metrics of some images, breasts or patients, by key of `metric_table`.

    Attributes:
        value: of the column that makes them a subgroup.
        images: how many there are.
        groups: the same of breasts or patients.
        patients: whose they are.
        labels: how many are of each class.
        thresholds: those at which label 1 is called, if each network has its own.
        metrics: beside the other keys in JSON.
        confusion_matrix: a row a label, a column a class called.
        not_defined_because: why there are none.
    """

    value: str = ""
    images: int | None = None
    groups: int | None = None
    patients: int | None = None
    labels: dict[str, int] | None = None
    thresholds: tuple[float, ...] = ()
    metrics: dict[str, MetricValue] = dataclasses.field(
        default_factory=dict, metadata=typed_json.inline(metric_table.BY_KEY)
    )
    confusion_matrix: tuple[tuple[int, ...], ...] = ()
    not_defined_because: str = ""

    def __getitem__(self, key: str) -> MetricValue:
        return self.metrics[key]

    def __contains__(self, key: str) -> bool:
        return key in self.metrics

    def __iter__(self) -> Iterator[str]:
        return iter(self.metrics)


@dataclasses.dataclass(frozen=True)
class Level:
    """Metrics of breasts or of patients, by mean and maximum of their images' probabilities."""

    note: str = ""
    mean: Scores | None = None
    max: Scores | None = None
    not_defined_because: str = ""


@dataclasses.dataclass(frozen=True)
class OverFolds:
    """Mean and standard deviation of a metric over the folds that define it."""

    mean: float | None
    sd: float | None
    folds: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metrics:
    """All of metrics.json: `Scores` of the images of a split, and of what they are parts of.

    Where a record holds several views, `unit` is breast or exam, and that is what `images` are.

    What is added by later versions has a default, which says that it was not measured.
    """

    split: str
    images: int
    patients: int
    labels: dict[str, int]
    unit: str = "image"
    threshold: float | None = None
    ordinal: bool | None = None
    majority_baseline: float | None
    metrics: dict[str, MetricValue] = dataclasses.field(
        metadata=typed_json.inline(metric_table.BY_KEY)
    )
    confusion_matrix: tuple[tuple[int, ...], ...]
    interval: str
    predicts_one_class: bool
    calibrated: Scores | None = None
    chosen_threshold: Scores | None = None
    levels: dict[str, Level] = dataclasses.field(default_factory=dict)
    subgroups: dict[str, tuple[Scores, ...]] = dataclasses.field(default_factory=dict)
    over_folds: dict[str, OverFolds] | None = None

    @property
    def kind(self) -> str:
        """Kind of target, one of `metric_table.KINDS`."""
        return metric_table.kind_of(list(self.labels), ordinal=bool(self.ordinal))

    def __getitem__(self, key: str) -> MetricValue:
        return self.metrics[key]

    def __contains__(self, key: str) -> bool:
        return key in self.metrics
