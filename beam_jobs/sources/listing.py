"""From a configuration to its images: which source reads which data set."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Callable

from beam_jobs import splits, storage
from beam_jobs.pseudonyms import Pseudonyms
from beam_jobs.sources import (
    cbis_ddsm,
    cbis_kaggle,
    cmmd,
    inbreast,
    mini_mias,
    phantom,
    rsna,
    table,
    vindr,
)
from beam_jobs.sources.phantom_image import Sample
from beam_jobs.sources.source_row import SourceRow
from beam_jobs.storage import Folder
from flags.conversion import ConversionConfig

Report = Callable[[int, int], None]


def phantom_sample(config: ConversionConfig) -> Sample:
    """Returns the phantoms asked for by --phantom_images and --phantom_size."""
    sample = Sample()
    if config.phantom_images is not None:
        sample = dataclasses.replace(sample, images=config.phantom_images)
    if config.phantom_size is not None:
        size = config.phantom_size
        sample = dataclasses.replace(sample, height=size.height, width=size.width)
    return sample


def list_images(
    config: ConversionConfig,
    *,
    cache: Folder | None,
    report: Report,
    pseudonyms: Pseudonyms | None = None,
) -> list[SourceRow]:
    """Lists every image of the data set with its file, labels, and split or exclusion.

    Args:
        config: the conversion.
        cache: file that keeps what was read from headers, None to keep nothing.
        report: called with (headers read, headers to read).
        pseudonyms: what images and patients are called from here on; splits are the same with and
            without.

    Raises:
        CallerError: the folder or its tables are not those of the data set.
    """
    data_dir = storage.folder(config.data_dir)
    read: dict[str, Callable[[], list[SourceRow]]] = {
        "cbis_ddsm": lambda: cbis_ddsm.read(
            data_dir, label_policy=config.label_policy, cache=cache, report=report
        ),
        "cbis_ddsm_kaggle": lambda: cbis_kaggle.read(data_dir, label_policy=config.label_policy),
        "cmmd": lambda: cmmd.read(data_dir, cache=cache, report=report),
        "inbreast": lambda: inbreast.read(data_dir),
        "vindr_mammo": lambda: vindr.read(data_dir),
        "rsna": lambda: rsna.read(data_dir),
        "table": lambda: table.read(
            data_dir,
            table=config.table,
            columns=dict(config.columns),
            values={(key, found): meant for key, found, meant in config.values},
            label_policy=config.label_policy,
        ),
        "mini_mias": lambda: mini_mias.read(data_dir, label_policy=config.label_policy),
        "phantom": lambda: phantom.add_circles(
            cbis_ddsm.read(
                data_dir,
                label_policy=config.label_policy,
                cache=cache,
                patient_prefix="PHANTOM_",
                report=report,
            ),
            pathlib.Path(config.data_dir),
        ),
    }
    images = read[config.dataset]()
    assign = functools.partial(
        splits.assign,
        split_policy=config.split_policy,
        leak_policy=config.leak_policy,
        folds=config.folds,
        test_fraction=config.test_fraction,
        seed=config.split_seed,
    )
    if pseudonyms is None:
        return assign(images)
    if config.leak_policy == "fail":
        assign([pseudonyms.rename(image) for image in images])  # names hashes if it stops the job
    return [pseudonyms.rename(image) for image in assign(images)]
