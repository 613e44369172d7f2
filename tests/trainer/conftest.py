"""Records of made-up images, small enough to train on in seconds."""

import csv
import pathlib

import pytest

from tests import make


@pytest.fixture(scope="session")
def records_dir(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A finished folder of 60 images: 42 in four folds, 18 in test."""
    return make.convert(tmp_path_factory.mktemp("records"), make.images(60))


@pytest.fixture(scope="session")
def listed(records_dir: pathlib.Path) -> dict[str, dict[str, str]]:
    """Rows of sources.csv by image id."""
    with (records_dir / "sources.csv").open(newline="") as file:
        return {row["image_id"]: row for row in csv.DictReader(file)}
