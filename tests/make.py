"""What the tests make: images, records, finished runs, and programs run as a user runs them."""

from __future__ import annotations

import atexit
import dataclasses
import functools
import hashlib
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    DigitalMammographyXRayImageStorageForPresentation,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    RLELossless,
)

from beam_jobs import finished_output, output_folder, shards, splits, units
from beam_jobs.imaging import decode
from beam_jobs.sources.source_row import SourceRow
from flags.conversion_config import ConversionConfig
from records.image_size import ImageSize
from trainer.data import run_folder
from trainer.data.run_json import RunDescription
from trainer.metrics import compute, predictions, typed_json
from trainer.metrics.predictions import Prediction, two_classes

ROOT = pathlib.Path(__file__).parents[1]
TINY = {
    "base": f"{ROOT}/tests/tiny_base.py:build",
    "input_range": "-1:1",
    "weights": "random",
}
"""The network that is built fastest, for tests in which it does not matter."""
TINY_FLAGS = tuple(f"--{name}={value}" for name, value in TINY.items())
SIZE = ImageSize(64, 48)
"""Size of the records of `convert`."""
REJECTED, MISSING, EXCLUDED = "image005", "image009", "image011"
"""What becomes of three of `mixed_images`."""
SERIES_UID = "1.2.826.0.1.3680043.10.1337.1"
SOP_UID = "1.2.826.0.1.3680043.10.1337.2"
FOREIGN = (
    *("mine.txt", "mine.csv", "mine.png", "mine.tmp", "epoch-mine.weights.h5", "mine-lock"),
    *(".mine.swp", ".sources.csv.swp", "mine.tfrecord-notes", "headers.csv"),
)
PAGES = (
    *("report.html", "metrics.json", "calibration.json", "images.json", "comparison.html"),
    *("comparison.json", "study.html", "best.flags", "model_card.md"),
)
"""What an earlier call found; blanks at the end do not matter to whoever reads it."""
STATE = re.compile(
    r"""(.*/)?(
    run\.json|config\.json|export\.json|study\.db          # a run's own, kept up to date
    |history\.csv                                          # rows are added
    |checkpoints/phase\d/(epoch-\d+|unfinished)\.weights\.h5
    |features/\w+/(lock|\w+-\w+\.tfrecord-\d{5}-of-\d{5}-\d+)
    )""",
    re.VERBOSE,
)
PAPER = {"label_policy": "paper", "split_policy": "image", "leak_policy": "keep"}
OURS = {"label_policy": "any_malignant", "split_policy": "official", "leak_policy": "fail"}


# programs


def start(module: str, *arguments: object, **how: Any) -> subprocess.Popen[str]:
    """Starts `python -m module`; what it prints is captured, both streams in one unless told."""
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, **how}
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **given.pop("env", {})}
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, **given)


def program(
    module: str,
    *arguments: object,
    cwd: pathlib.Path | None = None,
    fresh: bool = False,
    **how: Any,
) -> subprocess.CompletedProcess[Any]:
    """Runs `python -m module` to its end in a process of its own, its two streams apart.

    It is a fork of the nursery, which has imported the heavy libraries, unless it is to be `fresh`
    or has an environment of its own (`env`, added to ours). `text=False` leaves bytes.
    """
    text = how.pop("text", True)
    if fresh or how:
        with start(module, *arguments, stderr=subprocess.PIPE, cwd=cwd, text=text, **how) as child:
            out, err = child.communicate()
        return subprocess.CompletedProcess(child.args, child.returncode, out, err)
    with tempfile.TemporaryDirectory() as folder:
        out_path, err_path = pathlib.Path(folder, "out"), pathlib.Path(folder, "err")
        order = {
            "module": module,
            "arguments": list(map(str, arguments)),
            "cwd": str(cwd or pathlib.Path.cwd()),
            "out": str(out_path),
            "err": str(err_path),
        }
        nursery = _nursery()
        nursery.stdin.write(json.dumps(order) + "\n")
        nursery.stdin.flush()
        code = int(nursery.stdout.readline())
        out, err = out_path.read_bytes(), err_path.read_bytes()
    if text:
        out, err = out.decode(), err.decode()
    return subprocess.CompletedProcess(order["arguments"], code, out, err)


@functools.cache
def _nursery() -> subprocess.Popen[str]:
    """The process that runs this worker's programs, see nursery.py; it ends with its stdin."""
    child = start("tests.nursery", stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    atexit.register(child.kill)
    return child


def one_line(run: subprocess.CompletedProcess[str], *words: str, alone: bool = True) -> None:
    """Asserts a caller's mistake: exit code 2 and one error line that has the words.

    `alone`: nothing else stands on stderr.
    """
    lines = run.stderr.strip().splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    assert run.returncode == 2, run.stderr
    assert "Traceback" not in run.stderr
    assert len(errors) == 1, run.stderr
    assert errors == lines or not alone, run.stderr
    for word in words:
        assert word in errors[0]


def fingerprints(directory: pathlib.Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, by its path there."""
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def edit_json(path: pathlib.Path, **changes: object) -> None:
    """Changes entries of a JSON file, such as a manifest."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


# files of others


def plant(root: pathlib.Path) -> dict[pathlib.Path, bytes]:
    """Puts files into every folder and edits pages; returns all files there are now."""
    for folder in [root, *(path for path in root.rglob("*") if path.is_dir())]:
        for name in FOREIGN:
            if not (folder / name).exists():
                (folder / name).write_text(f"{folder}'s {name}")
    for path in root.rglob("*"):
        if path.name in PAGES:
            path.write_bytes(path.read_bytes() + b"\n")
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def lost(before: dict[pathlib.Path, bytes], root: pathlib.Path) -> list[str]:
    """Lists files whose bytes are neither there nor beside them, in NAME-1, NAME-2..."""
    return [
        str(path.relative_to(root))
        for path, content in before.items()
        if not STATE.fullmatch(path.relative_to(root).as_posix())
        and not any(
            one.is_file() and one.read_bytes() == content
            for one in (path, *path.parent.glob(f"{path.stem}-*{path.suffix}"))
        )
    ]


# images


def dicom(
    pixels: np.ndarray | None,
    *,
    photometric: str = "MONOCHROME2",
    bits_stored: int = 16,
    signed: bool = False,
    series_uid: str | None = SERIES_UID,
    patient_id: str | None = "P_00001",
    rle: bool = False,
    syntax: str = ExplicitVRLittleEndian,
    **tags: Any,
) -> bytes:
    """Makes a DICOM file.

    Args:
        pixels: stored values, [height, width] (or [frames, height, width]) uint8, int8, uint16 or
            int16; bytes are written as they are. None leaves the image out.
        photometric: PhotometricInterpretation.
        bits_stored: BitsStored; BitsAllocated follows from the type of the pixels.
        signed: PixelRepresentation.
        series_uid: SeriesInstanceUID, None for absent.
        patient_id: PatientID, None for absent.
        rle: whether pydicom compresses the pixels.
        syntax: transfer syntax of uncompressed files.
        tags: further elements by keyword, or others in place of these; None takes one out.
    """
    image = Dataset()
    image.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    image.SOPInstanceUID = SOP_UID
    image.Modality = "MG"
    if series_uid is not None:
        image.SeriesInstanceUID = series_uid
    if patient_id is not None:
        image.PatientID = patient_id
    if pixels is not None:
        if pixels.ndim == 3:
            image.NumberOfFrames = pixels.shape[0]
        image.Rows, image.Columns = pixels.shape[-2:]
        image.SamplesPerPixel = 1
        image.PhotometricInterpretation = photometric
        image.BitsAllocated = 8 * pixels.dtype.itemsize
        image.BitsStored = bits_stored
        image.HighBit = bits_stored - 1
        image.PixelRepresentation = int(signed)
        order = ">" if syntax == ExplicitVRBigEndian else "<"
        data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
        image.PixelData = data + b"\0" * (len(data) % 2)
        image["PixelData"].VR = "OW" if image.BitsAllocated == 16 else "OB"
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = syntax
    if rle:
        assert pixels is not None
        image.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    for keyword, value in tags.items():
        if value is None:
            delattr(image, keyword)
        else:
            setattr(image, keyword, value)
    stream = io.BytesIO()
    dcmwrite(stream, image, enforce_file_format=True)
    return stream.getvalue()


def write_dicom(path: pathlib.Path, pixels: np.ndarray | None, **how: Any) -> pathlib.Path:
    """Writes the file of `dicom` and returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(dicom(pixels, **how))
    return path


def write_pgm(path: pathlib.Path, pixels: np.ndarray) -> pathlib.Path:
    """Writes bytes [height, width] as a grey image and returns its path."""
    header = f"P5 {pixels.shape[1]} {pixels.shape[0]} 255\n".encode()
    path.write_bytes(header + pixels.tobytes())
    return path


def images(count: int) -> list[SourceRow]:
    """Two images a patient; the malignant ones have an even patient number."""
    return [
        SourceRow(
            image_id=f"image{number:03d}",
            patient_id=f"patient{number // 2:03d}",
            side="left" if number % 4 < 2 else "right",
            view="CC" if number % 2 else "MLO",
            pathology="malignant" if (number // 2) % 2 == 0 else "benign",
            abnormality="mass",
            official_split="test" if number % 20 >= 14 else "train",
            path=f"image{number:03d}.pgm",
            bytes=1,
        )
        for number in range(count)
    ]


def draw(image: SourceRow, seed: int) -> np.ndarray:
    """Pixels of one of `images`: noise, with a bright square where it is malignant."""
    pixels = np.random.default_rng(seed).integers(0, 120, (96, 70), dtype=np.uint8)
    if image.pathology == "malignant":
        pixels[30:60, 20:50] += 100
    return pixels


def mixed_images(count: int, *, leaked: int = 0) -> list[SourceRow]:
    """Two images a patient; every fifth patient is in the test set, `leaked` also in training.

    All labels, grades and kinds occur; one image is missing, one is excluded.
    """
    labels = ("benign", "malignant", "benign", "normal")
    found = []
    for number in range(count):
        patient = number // 2
        split = "test" if patient % 5 == 4 else "train"
        if patient // 5 < leaked and patient % 5 == 4:
            split = ("train", "test")[number % 2]
        name = f"image{number:03d}"
        found.append(
            SourceRow(
                image_id=name,
                patient_id=f"patient{patient:03d}",
                side=("left", "right")[patient % 2],
                view=("CC", "MLO")[number % 2],
                pathology=labels[patient % 4],
                abnormality=("mass", "calcification", "")[patient % 3],
                density=str(1 + patient % 4),
                assessment="" if patient % 7 == 0 else str(patient % 6),
                abnormalities=patient % 3,
                official_split=split,
                excluded="by hand" if name == EXCLUDED else "",
                path="" if name == MISSING else f"{name}.pgm",
                bytes=1,
            )
        )
    return found


# records


@dataclasses.dataclass
class Records:
    """A conversion that can be given again, as the program would do it."""

    directory: pathlib.Path
    images: list[SourceRow]
    config: ConversionConfig

    @property
    def shards(self) -> list[pathlib.Path]:
        return sorted(self.directory.glob("*.tfrecord-*"))

    def run(self) -> None:
        """Writes what is unfinished; a finished folder is left alone."""
        output = output_folder.Output(
            self.directory, self.config.sizes[0], self.config.recipes[0], self.config.unit
        )
        job = output_folder.describe_job(self.config, output, self.images)
        output_folder.check_output(output, job, overwrite=False)
        output_folder.open_output(output, job, overwrite=False)
        plan = splits.summarise(
            self.images,
            split_policy=self.config.split_policy,
            record_bytes=output.record_bytes,
            unit=output.unit,
        )
        output_folder.write_plan(output, plan)
        planned = shards.plan(
            self.config.dataset,
            self.images,
            [output],
            data_dir=self.config.data_dir,
            images_per_shard=self.config.images_per_shard,
            options=decode.Options(max_pixels=self.config.max_pixels),
        )
        todo = [rest for shard in planned if (rest := shards.unfinished(shard))]
        for shard in todo:
            shards.write(shard)
        if todo or output_folder.read_manifest(output) is None:
            finished_output.close_output(output, job, self.images, planned)


def convert(root: pathlib.Path, rows: list[SourceRow], **how: Any) -> pathlib.Path:
    """Draws `images` and writes their records below `root`; returns the folder of records."""
    (root / "images").mkdir(parents=True)
    for seed, row in enumerate(rows):
        write_pgm(root / "images" / row.path, draw(row, seed))
    options = {"size": SIZE, "images_per_shard": 5, "leak_policy": "fail", **how}
    return _write_records(root, rows, **options).directory


def records(
    root: pathlib.Path,
    *,
    count: int = 60,
    size: str = "24x16",
    leaked: int = 0,
    darker: int = 0,
    **policies: str,
) -> Records:
    """Writes `mixed_images` and their records below `root`; one of them is rejected."""
    rows = mixed_images(count, leaked=leaked)
    (root / "images").mkdir(parents=True)
    for seed, row in enumerate(rows):
        shape = (96, 70) if seed % 3 else (1100, 60)
        pixels = np.random.default_rng(seed).integers(darker, 250, shape, dtype=np.uint8) - darker
        if row.image_id == REJECTED:
            (root / "images" / row.path).write_bytes(b"no image")
        elif row.path:
            write_pgm(root / "images" / row.path, pixels)
    return _write_records(root, rows, size=ImageSize.parse(size), images_per_shard=4, **policies)


def _write_records(
    root: pathlib.Path, rows: list[SourceRow], *, size: ImageSize, **options: Any
) -> Records:
    """Converts what lies in `root`/images."""
    config = ConversionConfig(
        dataset="cbis_ddsm",
        data_dir=root / "images",
        output_dir=root / "out",
        sizes=(size,),
        recipes=("plain",),
        **options,
    )
    assigned = splits.assign(
        rows,
        split_policy=config.split_policy,
        leak_policy=config.leak_policy,
        folds=config.folds,
        test_fraction=config.test_fraction,
        seed=0,
    )
    assigned = units.assign(assigned, {}, unit=config.unit, by_study=False)
    name = "plain" if config.unit == "image" else f"plain-{config.unit}"
    made = Records(root / "out" / "cbis_ddsm" / str(size) / name, assigned, config)
    made.run()
    return made


# finished runs


def predicted(
    probabilities: list[Any], labels: list[int] | None = None, per_patient: int = 2, first: int = 0
) -> list[Prediction]:
    """Predictions, two images a patient, every second malignant, from its probabilities."""
    if labels is None:
        labels = [number % 2 for number in range(len(probabilities))]
    return [
        Prediction(
            f"image{first + number}",
            f"patient{(first + number) // per_patient}",
            int(label),
            split="test",
            probabilities=two_classes(given) if isinstance(given, float) else tuple(given),
        )
        for number, (given, label) in enumerate(zip(probabilities, labels, strict=True))
    ]


def described(**changes: object) -> RunDescription:
    """All of run.json of a trained network, with changes as JSON has them."""
    split = {"images": 94, "patients": 34, "labels": {"benign": 54, "malignant": 40}, "left_out": 0}
    content = {
        "dataset": "cbis_ddsm",
        "dataset_title": "CBIS-DDSM",
        "licence": "CC BY 3.0",
        "citation": "Lee et al., Scientific Data 4:170177, 2017, https://doi.org/10.1038/sdata.2017.177",
        "synthetic": False,
        "dataset_dir": "data/tfrecords/cbis_ddsm/512x512/plain",
        "size": "512x512",
        "recipe": "plain",
        "data_fingerprint": "9f2c" * 16,
        "policies": OURS,
        "target": "pathology",
        "label_names": ["benign", "malignant"],
        "splits": {
            "train": {**split, "folds": ["fold1"]},
            "validation": {**split, "folds": ["fold0"]},
            "test": {**split, "folds": ["test"]},
        },
        "weights": "ImageNet",
        "weights_warning": None,
        "parameters": 1082529,
        "class_weights": [0.8625, 1.18966],
        "versions": {"python": "3.11.7", "tensorflow": "2.17.1", "keras": "3.15.0"},
        "devices": ["/device:CPU:0"],
        "seed": 111,
        "minutes": {"phase1": 2.0, "phase2": 1.25, "evaluation": 0.25},
        "images_per_second": 42.7,
        **changes,
    }
    return typed_json.from_json(RunDescription, content, path=pathlib.Path("run.json"), remedy="")


def write_described(directory: pathlib.Path, **changes: object) -> None:
    """Writes run.json of `described`."""
    run_folder.write_description(directory, described(**changes))


def write_run(
    directory: pathlib.Path,
    given: list[Prediction],
    *,
    names: tuple[str, ...] = ("benign", "malignant"),
    config: dict[str, Any] | None = None,
    **run: object,
) -> pathlib.Path:
    """Writes a finished run with what a comparison reads, from its predictions."""
    directory.mkdir(parents=True)
    predictions.write(directory / "predictions.csv", given)
    scores = typed_json.to_json(compute.score(given, split="test", label_names=names, resamples=50))
    write_described(directory, **{"label_names": list(names), **run})
    for name, content in (("metrics", scores), ("config", config)):
        if content is not None:
            (directory / f"{name}.json").write_text(json.dumps(content))
    (directory / "report.html").write_text("report")
    return directory
