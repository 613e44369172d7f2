"""Tests of the folder a call writes to: what stands there already stays."""

import pathlib

import pytest

from flags import own_folder
from records.errors import CallerError
from tests import make

WRITES = ("result.csv", "pictures/[0-9]*.png")


def take(named, *, overwrite=False):
    with own_folder.take(named, "results", writes=WRITES, overwrite=overwrite) as directory:
        fill(directory, "result.csv")
        return directory


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fill(folder: pathlib.Path, *names: str) -> pathlib.Path:
    for name in names or ("result.csv", "pictures/0001.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("an earlier call's")
    return folder


def test_unnamed_folders_are_numbered():
    assert [str(take(None)) for _ in range(3)] == ["results", "results-2", "results-3"]


def test_a_named_folder_must_be_new_or_empty(place):
    fill(take("new/below"))
    before = make.fingerprints(place)
    with pytest.raises(CallerError, match=r"holds 2 files of an earlier call; .*--overwrite"):
        take("new/below")
    assert make.fingerprints(place) == before


def test_overwrite_removes_what_the_command_wrote_and_that_alone(place):
    fill(place / "results")
    assert set(make.fingerprints(take("results", overwrite=True))) == {"result.csv"}
    fill(place / "results", "result.csv", "pictures/mine.png")
    before = make.fingerprints(place)
    with pytest.raises(CallerError, match=r"holds pictures/mine.png, which this command did not"):
        take("results", overwrite=True)
    assert make.fingerprints(place) == before


def test_a_run_is_never_the_folder_of_predictions(place):
    """predictions.csv of a run has the name of ours, and the run's results stay."""
    fill(place / "run", "result.csv", "model.keras")
    for overwrite in (False, True):
        with pytest.raises(CallerError, match=r"holds model.keras, which this command did not"):
            take("run", overwrite=overwrite)
    assert (place / "run" / "result.csv").read_text() == "an earlier call's"


def test_a_folder_that_cannot_be_made(place):
    (place / "file").write_text("")
    with pytest.raises(CallerError, match=r"--output_dir=file/x can't be written: Not a directory"):
        take("file/x")


def test_a_call_that_wrote_nothing_leaves_no_folder(place):
    with own_folder.take(None, "results", writes=WRITES, overwrite=False) as directory:
        (directory / "pictures").mkdir()
    assert not list(place.iterdir())


@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize("named", [None, "new", "there"])
def test_a_failed_call_leaves_no_empty_folder(named, written, place):
    """What it wrote stays, and so does a folder that it did not make."""
    (place / "there").mkdir()

    def fail() -> None:
        with own_folder.take(named, "results", writes=WRITES, overwrite=False) as directory:
            (directory / "pictures").mkdir()
            if written:
                fill(directory)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert (place / (named or "results")).exists() == (written or named == "there")
