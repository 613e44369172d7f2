"""Tests of output folders in a store whose names hold what is a pattern elsewhere."""

from __future__ import annotations

import pytest
from upath import UPath

from beam_jobs import output_folder
from beam_jobs.output_folder import Output
from flags.conversion_config import ConversionConfig
from records import files, folder
from records.image_size import ImageSize


@pytest.mark.parametrize("overwrite", [False, True])
def test_only_the_folder_itself_is_cleared(overwrite):
    """`[1]` is no pattern: what is removed is this folder's, and its neighbour's files stay."""
    root = UPath(f"memory://cleared-{overwrite}")
    output, beside = (
        Output(root / name, size=ImageSize(8, 8), recipe="plain") for name in ("a[1]", "a1")
    )
    job = output_folder.describe_job(ConversionConfig(data_dir="x", output_dir="y"), output, [])
    shard = "x-test.tfrecord-00000-of-00001"
    mine = ("mine.txt", "mine.tfrecord-notes", ".statistics.json.swp", "old.tmp")
    old = ("manifest.json", shard, files.temporary_name(".statistics.json"), *mine)
    work = (files.temporary_name(shard), "notes.json")
    for one in (output, beside):
        output_folder.open_output(one, job, overwrite=False)
        for path in (one.directory / name for name in old):
            path.write_text("old")
        for path in (one.work_folder / name for name in work):
            path.write_text("old")
    if overwrite:
        job = output_folder.describe_job(
            ConversionConfig(data_dir="x", output_dir="y"), output, [], key="another"
        )
    output_folder.open_output(output, job, overwrite=overwrite)
    output_folder.withdraw(output)
    left = {path.name for path in output.directory.iterdir()} - {folder.WORK_FOLDER}
    assert left == {*mine} | (set() if overwrite else {shard})
    assert {path.name for path in output.work_folder.iterdir()} == {folder.JOB, "notes.json"}
    assert {path.name for path in beside.directory.iterdir()} == {*old, folder.WORK_FOLDER}
    assert (beside.work_folder / work[0]).is_file()
