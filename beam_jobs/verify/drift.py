"""How two data sets differ: schema, class fractions, intensities, native sizes, shared images.

The measures of classes are those of TensorFlow Data Validation (tensorflow.org/tfx, "Checking data
skew and drift"): L-infinity distance for categories, Jensen-Shannon divergence for numbers.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.spatial import distance
from scipy.stats import chi2_contingency

from beam_jobs.verify.checked_folder import CheckedFolder, read_json
from beam_jobs.verify.discrepancy import enumerate_names
from beam_jobs.verify.shard_checks import ShardReport
from records import schema
from records.printable import counted

_COMPARED = tuple(f.key for f in schema.FEATURES if f.compared and f.key != "pathology")
COLUMNS = ("split", "pathology", *_COMPARED)
FRACTION_THRESHOLD = 0.05
"""L-infinity distance of fractions from which a column may have drifted: five in a hundred."""
CHANCE_THRESHOLD = 0.01
"""Probability (G-test) below which chance is no explanation; small sets differ by chance alone."""
INTENSITY_THRESHOLD = 0.1
"""Jensen-Shannon divergence of the intensities, in bits, from which they have drifted."""
_JOB = ("dataset", "schema_version", "size", "steps", "label_policy", "split_policy", "leak_policy")


@dataclasses.dataclass(frozen=True)
class Side:
    """One of the two data sets.

    Attributes:
        name: its folder.
        job: configuration out of manifest.json.
        images: rows of sources.csv that were written.
        statistics: content of statistics.json.
        digests: image id -> SHA-256 of its stored pixels.
    """

    name: str
    job: Mapping[str, Any]
    images: tuple[dict[str, str], ...]
    statistics: Mapping[str, Any]
    digests: Mapping[str, str]

    @classmethod
    def of(cls, folder: CheckedFolder, reports: Sequence[ShardReport]) -> Side:
        """Gathers what is compared from a folder and the reports of its shards.

        Raises:
            BrokenFolder: statistics.json can't be read.
        """
        job = folder.manifest.job.to_json()
        return cls(
            name=str(folder.directory),
            job={key: job.get(key) for key in _JOB},
            images=tuple(row for row in folder.rows if row["status"] == "written"),
            statistics=read_json(folder.directory / "statistics.json"),
            digests={image: digest for r in reports for image, digest in r.digests.items()},
        )


@dataclasses.dataclass(frozen=True)
class FractionDrift:
    """How one column differs.

    Attributes:
        distance: largest difference of a value's fraction (L-infinity), 0..1.
        chance: probability of a difference as large between samples of one population (G-test).
        value: the value whose fraction differs most.
        fractions: its fraction on either side.
    """

    distance: float
    chance: float
    value: str
    fractions: tuple[float, float]

    @property
    def drifted(self) -> bool:
        """Whether the difference is both large and no accident."""
        return self.distance > FRACTION_THRESHOLD and self.chance < CHANCE_THRESHOLD


def compare_fractions(first: Mapping[str, int], second: Mapping[str, int]) -> FractionDrift:
    """Compares the counts of a column's values on two sides; neither side may be empty."""
    values = sorted(first.keys() | second.keys())
    counts = np.array([[side.get(value, 0) for value in values] for side in (first, second)])
    fractions = counts / counts.sum(axis=1, keepdims=True)
    differences = np.abs(fractions[0] - fractions[1])
    worst = int(differences.argmax())
    chance = 1.0
    if len(values) > 1:
        # the G statistic of Sokal and Rohlf, Biometry, is twice the log-likelihood ratio
        chance = float(chi2_contingency(counts, correction=False, lambda_="log-likelihood").pvalue)
    return FractionDrift(
        float(differences[worst]),
        chance,
        values[worst] or "not stated",
        (float(fractions[0, worst]), float(fractions[1, worst])),
    )


def compare_intensities(first: Sequence[float], second: Sequence[float]) -> float:
    """Returns the Jensen-Shannon divergence of two histograms, 0 (alike) to 1 bit (disjoint)."""
    return float(distance.jensenshannon(first, second, base=2) ** 2)


def describe(first: Side, second: Side) -> Iterator[str]:
    """Yields the lines of a comparison."""
    here = counted(len(first.images), "images")
    yield f"{first.name} ({here}) against {second.name} ({len(second.images)}):"
    for key in _JOB:
        if first.job[key] != second.job[key]:
            yield f"  other {key}: {first.job[key]} | {second.job[key]}"
    if not first.images or not second.images:
        yield "  one of them holds no image, so nothing else can be compared"
        return
    yield f"  {'column':<14} {'distance':>8} {'chance':>8}  value that differs most"
    for column in (*COLUMNS, "native_size"):
        found = compare_fractions(*(_count(side, column) for side in (first, second)))
        verdict = "  DRIFTED" if found.drifted else ""
        yield (
            f"  {column:<14} {found.distance:8.3f} {found.chance:8.2g}  {found.value}: "
            f"{found.fractions[0]:.1%} | {found.fractions[1]:.1%}{verdict}"
        )
    yield _describe_intensities(first.statistics["pixels"], second.statistics["pixels"])
    yield from _describe_shared(first, second)
    yield (
        f"  drifted: distance of fractions (L-infinity) over {FRACTION_THRESHOLD} and chance "
        f"(G-test) under {CHANCE_THRESHOLD}; divergence of intensities (Jensen-Shannon) over "
        f"{INTENSITY_THRESHOLD} bit"
    )


def _describe_intensities(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    divergence = compare_intensities(first["histogram"], second["histogram"])
    return (
        f"  {'intensity':<14} {divergence:8.3f} {'':8}  mean {first['mean']:.3f} | "
        f"{second['mean']:.3f}, deviation {first['deviation']:.3f} | {second['deviation']:.3f}"
        + ("  DRIFTED" if divergence > INTENSITY_THRESHOLD else "")
    )


def _describe_shared(first: Side, second: Side) -> Iterator[str]:
    """Yields images, patients and images that stand in both."""
    for key in ("image_id", "patient_id"):
        here, there = ({image[key] for image in side.images} for side in (first, second))
        if shared := sorted(here & there):
            yield f"  in both: {len(shared)} of {len(here)} {key}: {enumerate_names(shared)}"
            yield from _describe_leaks(first, second, key)
    if any(first.job[key] != second.job[key] for key in ("size", "steps")):
        yield "  the images are of another size or recipe, so copies can't be found by their pixels"
        return
    owners: dict[str, list[str]] = collections.defaultdict(list)
    for image_id, digest in sorted(second.digests.items()):
        owners[digest].append(image_id)
    copies = [
        f"{image_id} = {'/'.join(owners[digest])}"
        for image_id, digest in sorted(first.digests.items())
        if digest in owners
    ]
    if copies:
        yield f"  images with the same pixels in both: {len(copies)}: {enumerate_names(copies)}"


def _describe_leaks(first: Side, second: Side, key: str) -> Iterator[str]:
    """Yields how many of one side's test set stand outside the other's: training on test it."""
    for one, other in ((first, second), (second, first)):
        test = {image[key] for image in one.images if image["split"] == schema.TEST_SPLIT}
        train = {image[key] for image in other.images if image["split"] != schema.TEST_SPLIT}
        if leaked := test & train:
            yield f"    {len(leaked)} of them in test of {one.name} and in folds of {other.name}"


def _count(side: Side, column: str) -> Mapping[str, int]:
    """Counts the images of each value of a column."""
    if column == "native_size":
        groups = side.statistics["classes"][column].items()
        return {value: sum(labels.values()) for value, labels in groups}
    return collections.Counter(image[column] for image in side.images)
