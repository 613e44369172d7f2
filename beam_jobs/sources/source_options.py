"""Options of a source beside its folder: policy, cache, and the columns of a table."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from beam_jobs.storage import Folder
from records import user_paths


@dataclasses.dataclass(frozen=True)
class SourceOptions:
    """Options of `read(data_dir, options)`; a source takes those it has a use for.

    Attributes:
        label_policy: a name of `flags.datasets.LABEL_POLICIES`.
        cache: file that keeps what was read from headers, None to keep nothing.
        report: called with (headers read, headers to read).
        patient_prefix: how patient ids of CBIS-DDSM start; tells it from its look-alikes.
        table: path of the table of --dataset=table, relative to the folder; None: the only one.
        columns: key of `flags.table_columns.COLUMNS` -> column of the table; keys not given go by
            their own name, "" leaves a key out.
        values: (key, value found) -> value meant.
        match: how its rows find their files, a name of `flags.datasets.MATCHES`.
        path_prefix: how its paths begin, and how they should.
        hashed: whether names will be written as hashes only.
        exams: whether examinations of a patient are to be told apart.
        note: hears what a user should know, a line each.
        max_pixels: bounds what is decoded where files are compared.
    """

    label_policy: str = "any_malignant"
    cache: Folder | None = None
    report: Callable[[int, int], None] | None = None
    patient_prefix: str = "P_"
    table: str | None = None
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)
    values: Mapping[tuple[str, str], str] = dataclasses.field(default_factory=dict)
    match: str = "path"
    path_prefix: user_paths.Prefix | None = None
    hashed: bool = False
    exams: bool = False
    note: Callable[[str], None] = lambda line: None
    max_pixels: int = 100_000_000


DEFAULTS = SourceOptions()
