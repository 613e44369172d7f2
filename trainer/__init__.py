"""TFRecords in, a trained and evaluated model out."""

import os

# Network folders may refuse locks: HDF5 would fail after the training. A run has a lock of its own.
os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")
