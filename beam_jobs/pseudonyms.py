"""Keyed hashes in place of the names a data set has for patients, images and files.

The same key gives the same hashes, so data sets of one hospital still fit together; without the key
nobody can find out whose hash it is, not even by trying all names.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import pathlib

from beam_jobs.sources.source_row import SourceRow
from records.errors import CallerError

_SHORTEST_KEY = 16


class Pseudonyms:
    """Hashes names with one key (HMAC with SHA-256, 16 hexadecimal digits of it)."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @property
    def fingerprint(self) -> str:
        """Tells keys apart, without giving them away."""
        return self.of("fingerprint of the key")

    def of(self, name: str) -> str:
        """Returns the hash of a name; "" stays ""."""
        if not name:
            return ""
        digest = hmac.new(self._key, name.encode("utf-8", "surrogateescape"), hashlib.sha256)
        return digest.hexdigest()[:16]

    def rename(self, image: SourceRow) -> SourceRow:
        """Returns an image under hashed names; its path is still that of the file to read."""
        return dataclasses.replace(
            image,
            image_id=self.of(image.image_id),
            patient_id=self.of(image.patient_id),
            exam=self.of(image.exam),
            unit_id=self.of(image.unit_id),
            copies=";".join(self.of(copy) for copy in image.copies.split(";")),
            rois=tuple(
                dataclasses.replace(
                    roi,
                    lesion_id=self.of(roi.lesion_id),
                    copy=self.of(roi.copy),
                    mask=self.of(roi.mask),
                    crop=self.of(roi.crop),
                )
                for roi in image.rois
            ),
        )

    def hide_path(self, image: SourceRow) -> SourceRow:
        """Returns an image as tables may show it: folders are often named for patients."""
        return dataclasses.replace(image, path=self.of(image.path))


def read_pseudonyms(path: pathlib.Path) -> Pseudonyms:
    """Reads a key from a file; white space at its ends is no part of it.

    Raises:
        CallerError: there is no such file, or the key is too short to keep a secret.
    """
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise CallerError(
            f"--hash_patients={path}: {error.strerror}; make a key with "
            f"'head -c 32 /dev/urandom | base64 > {path}' and keep it safe"
        ) from error
    if len(key) < _SHORTEST_KEY:
        raise CallerError(
            f"--hash_patients={path} holds {len(key)} bytes, a key has at least {_SHORTEST_KEY}"
        )
    return Pseudonyms(key)
