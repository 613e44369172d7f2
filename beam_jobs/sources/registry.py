"""Which source reads which data set: name of --dataset -> `read(data_dir, options)`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

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
from beam_jobs.sources.source_options import SourceOptions
from beam_jobs.sources.source_row import SourceRow
from beam_jobs.storage import Folder

SOURCES: Mapping[str, Callable[[Folder, SourceOptions], list[SourceRow]]] = {
    "cbis_ddsm": cbis_ddsm.read,
    "cbis_ddsm_kaggle": cbis_kaggle.read,
    "cmmd": cmmd.read,
    "inbreast": inbreast.read,
    "mini_mias": mini_mias.read,
    "phantom": phantom.read,
    "rsna": rsna.read,
    "table": table.read,
    "vindr_mammo": vindr.read,
}
"""Each lists the images of a folder: what the tables say of them, and the file of each."""
