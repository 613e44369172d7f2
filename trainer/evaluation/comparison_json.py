"""Content of comparison.json as dataclasses: runs, and how each differs from the baseline."""

from __future__ import annotations

import dataclasses
from typing import Any

from trainer.evaluation.published import Published
from trainer.metrics import typed_json
from trainer.metrics.metrics_json import MetricValue


@dataclasses.dataclass(frozen=True, kw_only=True)
class Difference(MetricValue):
    """A metric of a run less that of the baseline.

    Attributes:
        baseline: the metric there, None if it is not defined.
        run: the same of the run.
        p: the larger of the two below; None if nothing could be tested.
        p_by_patient: of the bootstrap.
        p_by_image: of McNemar's or DeLong's test, None where there is none.
        p_holm: `p` adjusted for all tests of the comparison.
        more_than_noise: whether that is below `paired_comparison.ALPHA`; None as `p`.
    """

    baseline: float | None
    run: float | None
    p: float | None = dataclasses.field(default=None, metadata=typed_json.ALWAYS)
    p_by_patient: float | None = None
    p_by_image: float | None = dataclasses.field(default=None, metadata=typed_json.ALWAYS)
    p_holm: float | None = None
    more_than_noise: bool | None = None


@dataclasses.dataclass(frozen=True)
class McNemar:
    """Images by who calls them right, and p of McNemar's exact test."""

    both_right: int
    baseline_alone: int
    run_alone: int
    both_wrong: int
    p: float


@dataclasses.dataclass(frozen=True)
class DeLong:
    """DeLong's test of two AUCs: run less baseline, or why it is not defined."""

    difference: float | None = None
    standard_error: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_not_defined_because: str = ""
    not_defined_because: str = ""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A run and the baseline on the images both were evaluated on, by name of the metric.

    `unit` is what its images are. `not_shared` counts those of the baseline, and of the run, alone,
    `labels_differ` those common ones of two labels, which are left out.
    """

    run: str
    images: int
    patients: int
    same_images: bool
    metrics: dict[str, Difference]
    mcnemar: McNemar
    delong: DeLong
    unit: str = "image"
    not_shared: tuple[int, int] = (0, 0)
    labels_differ: int = 0


@dataclasses.dataclass(frozen=True)
class RunEntry:
    """What is listed of a finished run; `report` is relative to the page, None if there is none.

    `averaged` says what its predictions are means of, such as 482 images; "": of nothing.
    """

    name: str
    directory: str
    report: str | None
    images: int
    patients: int
    minutes: float | None
    finished: str | None
    program: str | None
    majority_baseline: float | None
    scores: dict[str, MetricValue]
    published: Published | None
    unit: str = "image"
    averaged: str = ""


@dataclasses.dataclass(frozen=True)
class Unfinished:
    """An experiment without a finished run, and why."""

    name: str
    published: Published
    error: str


@dataclasses.dataclass(frozen=True)
class SameImages:
    """Runs evaluated on the very same images with the same labels."""

    images: int
    runs: list[str]
    unit: str = "image"


@dataclasses.dataclass(frozen=True)
class Agreement:
    """Images all runs were evaluated on, by who calls them right: all, none, or some."""

    images: int
    all_right: int
    all_wrong: int
    divided: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComparedRuns:
    """All of comparison.json. None, or empty, is what needs a finished run.

    `flags` are those that decide what is learned and differ, with a value a run; `not_compared`
    are runs that can't be compared with the baseline, with the reason.
    """

    program: str
    unit: str
    baseline: str | None
    question: str | None
    measures: tuple[str, ...]
    threshold: str
    flags: dict[str, list[Any]]
    method: str
    resamples: str | None
    synthetic: bool
    runs: list[RunEntry]
    unfinished: list[Unfinished]
    comparisons: list[Comparison]
    sentences: list[str]
    not_compared: dict[str, str]
    same_images: list[SameImages]
    agreement: Agreement | None
