"""Which epoch is best, and how long ago it was, in either direction."""

import subprocess
import sys

import pytest

from tests import make
from trainer.training.checkpoints import Monitor

VALUES = {3: 0.5, 4: 0.9, 5: 0.2, 6: 0.9, 7: 0.2}


@pytest.mark.parametrize(("mode", "best", "since"), [("min", 5, 2), ("max", 4, 3)])
def test_the_first_of_equals_is_best(mode, best, since):
    monitor = Monitor("val_auc", mode)
    assert monitor.best_epoch(VALUES) == best
    assert monitor.epochs_since_best(VALUES) == since


def test_before_the_first_epoch():
    assert Monitor().epochs_since_best({}) == 0


@pytest.mark.parametrize(("mode", "better"), [("min", 0.3), ("max", 0.7)])
def test_better_by_more_than_so_much(mode, better):
    monitor = Monitor("val_auc", mode)
    assert monitor.better(better, 0.5, by=0.1)
    assert not monitor.better(better, 0.5, by=0.3)
    assert not monitor.better(1 - better, 0.5)


def test_weights_are_written_where_files_cant_be_locked(tmp_path):
    code = """if True:
        import fcntl, sys
        import trainer.__main__
        import h5py
        with open(sys.argv[1], "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # as if the file system had no locks
            h5py.File(sys.argv[1], "w").close()
    """
    path = tmp_path / "epoch.weights.h5"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, cwd=make.ROOT)
    assert path.read_bytes().startswith(b"\x89HDF")


FULL = """
import pathlib, resource, sys
import keras
from trainer.training.checkpoints import Checkpoint, Monitor
folder = pathlib.Path(sys.argv[1])
model = keras.Sequential([keras.Input((100,)), keras.layers.Dense(100)])
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    Checkpoint(folder, Monitor(), {}, model).on_epoch_end(0, {"val_loss": 1.0})
except OSError as error:
    print(error.strerror, pathlib.Path(error.filename).name, list(folder.iterdir()))
"""


def test_a_full_disk_is_an_error_not_the_end_of_the_program(tmp_path):
    """HDF5 ended by a segmentation fault, after its own tracebacks."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)],
        cwd=make.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "File too large epoch-0000.weights.h5 []\n")
    assert "Traceback" not in done.stderr
