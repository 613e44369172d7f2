"""What a conversion prints: the plan before, progress meanwhile, counts of each output after."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from beam_jobs.conversion import Listener, Plans
from beam_jobs.output_folder import Output
from flags import datasets
from flags.conversion_config import ConversionConfig
from records.manifest import Manifest
from records.printable import counted
from records.progress import Reporter

PHANTOM_NOTICE = """\
==========================================================================================
  NO REAL IMAGES: this is the built-in sample of SYNTHETIC PHANTOMS. Nothing learned from
  it says anything about mammograms. For real images give --dataset and --data_dir.
=========================================================================================="""


class Terminal(Listener):
    """Prints each stage of a conversion."""

    def __init__(self, config: ConversionConfig) -> None:
        self._config = config

    @contextlib.contextmanager
    def count(self, what: str, unit: str) -> Iterator[Callable[..., None]]:
        """Shows a stage that counts, on stderr."""
        with Reporter(what, unit) as reporter:
            yield reporter.update

    def note(self, line: str) -> None:
        """Prints what is to be known of the tables, on stderr."""
        print(line, file=sys.stderr)

    def sample(self) -> None:
        """Prints a banner: the images are synthetic, none is real."""
        print(PHANTOM_NOTICE, file=sys.stderr)

    def plan(self, plans: Plans) -> None:
        """Prints images, patients and labels by split, and the bytes to write."""
        plan = next(iter(plans.values()))
        config = self._config
        title = datasets.DATASETS[config.dataset].title
        left_out = sum(plan["excluded"].values())
        listed = f"{counted(plan['listed'] + left_out, 'images')} listed"  # as overview.html counts
        print(
            f"{title}: {listed}, "
            + (f"{left_out} left out, " if left_out else "")
            + f"{plan['found']} found in {config.data_dir}"
        )
        for name, split in plan["splits"].items():
            labels = ", ".join(f"{count} {label}" for label, count in split["labels"].items())
            print(
                f"  {name:6} {counted(split['images'], 'images'):>12} of "
                f"{counted(split['patients'], 'patients'):>13}: {labels} ({split['found']} found)"
            )
        if units := plan.get("units"):
            views = ", ".join(f"{count} of {view}" for view, count in units["views"].items())
            print(
                f"  {counted(units['listed'], 'records')} of {datasets.UNITS[config.unit]}: {views}"
            )
            if units["labels_disagree"]:
                print(
                    f"  {units['labels_disagree']} of them with views whose labels disagree: the "
                    "worst counts"
                )
        for reason, count in plan["excluded"].items():
            print(f"  {counted(count, 'images')} left out by {reason}")
        if plan["leaked_patients"]:
            print(
                f"  {counted(len(plan['leaked_patients']), 'patients')} in both official sets "
                f"(--leak_policy={config.leak_policy})"
            )
        bytes_to_write = sum(one["bytes_to_write"] for one in plans.values())
        print(f"  {bytes_to_write / 1e6:,.0f} MB to write", flush=True)
        self._warn(plan, listed)

    def _warn(self, plan: Mapping[str, Any], listed: str) -> None:
        """Prints what disagrees, is missing, or is in too few splits, on stderr."""
        if found := plan["discrepancies"]:
            counts = ", ".join(f"{count} {what}" for what, count in found.items())
            print(
                f"warning: tables, headers, pixels or views disagree ({counts}); sources.csv will "
                "name the images, in its column discrepancies",
                file=sys.stderr,
            )
        if plan["missing"]:
            print(
                f"warning: no file in {self._config.data_dir} for {plan['missing']} of {listed}; "
                "sources.csv will name them",
                file=sys.stderr,
            )
        splits = plan["splits"].items()
        for label in sorted({label for _, split in splits for label in split["labels"]}):
            if lacking := [name for name, split in splits if label not in split["labels"]]:
                print(
                    f"warning: no {label} image in {', '.join(lacking)}; give more of them, or "
                    "fewer --folds",
                    file=sys.stderr,
                )

    def finish(self, output: Output, manifest: Manifest) -> None:
        """Prints the counts of an output, and where its pictures are."""
        totals = manifest.totals
        print(
            f"{output.directory}: {counted(totals.written, 'images')} in "
            + (f"{counted(totals.records, 'records')} in " if manifest.views else "")
            + f"{counted(len(manifest.shards), 'shards')}, "
            f"{totals.bytes / 1e6:,.0f} MB; {totals.rejected} rejected, "
            f"{totals.missing} missing, {totals.excluded} excluded"
        )
        for reason, count in manifest.rejected.items():
            print(f"  rejected: {count} {reason}", file=sys.stderr)
        for remark, count in manifest.remarks.items():
            print(f"  {counted(count, 'images')}, in sources.csv: {remark}", file=sys.stderr)
        print(f"  look at {output.directory / 'overview.html'}")
