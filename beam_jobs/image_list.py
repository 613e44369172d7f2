"""ConversionConfig -> its images: read by their source, given splits, and their names hidden."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from beam_jobs import copies, header_policies, splits, storage, units
from beam_jobs.pseudonyms import Pseudonyms
from beam_jobs.sources import registry
from beam_jobs.sources.source_options import SourceOptions
from beam_jobs.sources.source_row import SourceRow
from flags.conversion_config import ConversionConfig


def list_images(
    config: ConversionConfig,
    *,
    cache: storage.Folder | None,
    report: Callable[[int, int], None],
    note: Callable[[str], None] = lambda line: None,
    pseudonyms: Pseudonyms | None = None,
) -> list[SourceRow]:
    """Lists every image of the data set with its file, labels, and split or exclusion.

    Args:
        config: the conversion.
        cache: file that keeps what was read from headers, None to keep nothing.
        report: called with (headers read, headers to read).
        note: hears what a user should know of the tables, a line each.
        pseudonyms: what images and patients are called from here on; splits are the same with and
            without.

    Raises:
        CallerError: the folder or its tables are not those of the data set.
    """
    data_dir = storage.folder(config.data_dir)
    options = SourceOptions(
        label_policy=config.label_policy,
        cache=cache,
        report=report,
        table=config.table,
        columns={
            **dict(config.columns),
            **{key: name for key in ("invert", "aspect") if (name := config.column(key))},
        },
        values={(key, found): meant for key, found, meant in config.values},
        match=config.match,
        path_prefix=config.path_prefix,
        hashed=pseudonyms is not None,
        exams=config.unit != "image",
        note=note,
        max_pixels=config.max_pixels,
    )
    images = registry.SOURCES[config.dataset](data_dir, options)
    patients = config.dataset == "table"  # the others name patients as no header does, or by it
    identities = header_policies.read_headers(
        images, data_dir, cache=cache, report=report, patients=patients
    )
    images = copies.leave_out(
        images,
        data_dir,
        identities,
        max_pixels=config.max_pixels,
        # the authors of the paper kept them
        keep=config.label_policy == "paper" and config.dataset not in ("cmmd", "table"),
    )
    images = header_policies.describe(images, identities, patients=patients)
    images = header_policies.leave_out(
        _assign_splits(images, config, pseudonyms),
        identities,
        special_views=config.special_views,
        any_modality=config.any_modality,
    )
    images = units.assign(images, identities, unit=config.unit, by_study=patients)
    return [pseudonyms.rename(image) for image in images] if pseudonyms else images


def _assign_splits(
    images: Sequence[SourceRow], config: ConversionConfig, pseudonyms: Pseudonyms | None
) -> list[SourceRow]:
    def assign(named: Sequence[SourceRow]) -> list[SourceRow]:
        return splits.assign(
            named,
            split_policy=config.split_policy,
            leak_policy=config.leak_policy,
            folds=config.folds,
            test_fraction=config.test_fraction,
            seed=config.split_seed,
        )

    if pseudonyms is not None and config.leak_policy == "fail":
        assign([pseudonyms.rename(image) for image in images])  # names hashes if it stops the job
    return assign(images)
