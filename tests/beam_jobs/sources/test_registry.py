"""Tests of which source reads which data set."""

from __future__ import annotations

import pytest

from beam_jobs import image_list
from flags import datasets
from flags.conversion_config import ConversionConfig
from records.errors import CallerError
from records.image_size import ImageSize


@pytest.mark.parametrize("name", datasets.DATASETS)
def test_every_data_set_says_what_a_wrong_folder_lacks(name, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "notes.txt").write_text("no table")
    config = ConversionConfig(
        dataset=name,
        data_dir=tmp_path / "data",
        output_dir=tmp_path / "out",
        sizes=(ImageSize(16, 8),),
        split_policy="patient",
    )
    with pytest.raises(CallerError, match=r"/data holds (no|0) .*; \S+"):
        image_list.list_images(config, cache=tmp_path / "headers.csv", report=lambda *_: None)
