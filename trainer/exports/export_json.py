"""Content of export.json, and of what every exported file carries, as frozen dataclasses."""

from __future__ import annotations

import dataclasses
import pathlib

from records.preprocessing import Preparation
from trainer.evaluation.calibration import Calibration
from trainer.evaluation.threshold import Threshold
from trainer.metrics import typed_json

FILE = "export.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metadata:
    """What users of an exported network need beside its weights; see docs/evaluation.md.

    Attributes:
        output: meaning of its outputs, in words.
        networks: how many are averaged in it.
        calibration: of the average, else of each network; its outputs are not calibrated.
        thresholds: those of `calibration`.
    """

    notice: str
    dataset: str
    synthetic: bool
    size: str
    recipe: str
    preparation: Preparation | None = None
    data_fingerprint: str
    target: str
    kind: str | None = None
    classes: tuple[str, ...]
    output: str
    networks: int
    calibration: tuple[Calibration, ...]
    thresholds: tuple[Threshold, ...]


@dataclasses.dataclass(frozen=True)
class CheckedOn:
    """Images on which a file was compared with model.keras, and the time Keras takes for one."""

    images: int
    source: str
    keras_milliseconds_a_image: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checked:
    """How far the probabilities of a file are from those of model.keras at most, and its time."""

    largest_difference: float
    milliseconds_a_image: float
    checked_on: CheckedOn


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportedFile(Checked):
    """A file, or folder, with the digests of its parts and the versions of what wrote it."""

    file: str
    bytes: int
    sha256: dict[str, str]
    opset: int | None = None
    versions: dict[str, str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Port:
    """Input or output of a network; None in its shape is any number."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    range: tuple[int, ...] | None = None
    meaning: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Export:
    """All of export.json; `formats` by key of `formats.FORMATS`."""

    program: str
    model_sha256: str
    input: Port
    output: Port
    about: Metadata
    formats: dict[str, ExportedFile]


def read(folder: pathlib.Path) -> Export | None:
    """Reads export.json of a folder, None if there is none.

    Raises:
        CallerError: the file is damaged.
    """
    path = folder / FILE
    remedy = "remove it, or write it anew"
    return typed_json.read(Export, path, remedy=remedy) if path.is_file() else None
