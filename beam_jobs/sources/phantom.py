"""A synthetic mammography data set in the very form of CBIS-DDSM: DICOM images and four tables.

Usage:
  phantom.make(pathlib.Path("data/phantom"), Sample(images=280))

The images go through the same readers and decoders as real ones; `phantom_image` draws them.
Density, exposure, label, bits and photometric interpretation are drawn independently of pathology.
Research toy: nothing learned from these images says anything about a patient.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import csv
import dataclasses
import functools
import hashlib
import itertools
import json
import multiprocessing
import pathlib
import shutil
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TypeVar

import cv2
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation, ExplicitVRLittleEndian

from beam_jobs.sources import cbis_ddsm
from beam_jobs.sources import source_row as image_table
from beam_jobs.sources.phantom_image import (
    Lesion,
    PhantomImage,
    Sample,
    circles,
    draw,
    generator_of,
)
from beam_jobs.sources.source_options import DEFAULTS, SourceOptions
from beam_jobs.storage import Folder
from flags import interrupts
from records import cores, files
from records.errors import CallerError

T = TypeVar("T")

# Any change of the bytes written is a new version: an older folder is then refused, not mixed.
VERSION = 1
# Film scanners of DDSM sample at about 0.05 mm; our images are half as fine.
PIXEL_MM = 0.1
BITS_STORED = (12, 14, 16)
# Ten patients in a row: 6 mass, 4 calc; 3 of them test.
STRATA = [("mass", "Training")] * 4 + [("mass", "Test")] * 2
STRATA += [("calc", "Training")] * 3 + [("calc", "Test")]
MALIGNANT = (True,) * 5 + (False,) * 6
# Suspicion from which the words hold, and the words: mass shape, mass margins.
MASS_WORDS = (
    (0.00, ("ROUND", "CIRCUMSCRIBED")),
    (0.15, ("OVAL", "CIRCUMSCRIBED")),
    (0.32, ("LOBULATED", "CIRCUMSCRIBED")),
    (0.42, ("IRREGULAR", "ILL_DEFINED")),
    (0.50, ("IRREGULAR", "SPICULATED")),
)
# The same for calc type, calc distribution.
CALC_WORDS = (
    (0.00, ("ROUND_AND_REGULAR", "DIFFUSELY_SCATTERED")),
    (0.25, ("PUNCTATE", "REGIONAL")),
    (0.45, ("AMORPHOUS", "CLUSTERED")),
    (0.58, ("PLEOMORPHIC", "CLUSTERED")),
    (0.75, ("PLEOMORPHIC-FINE_LINEAR_BRANCHING", "CLUSTERED")),
)
ASSESSMENTS = ((0.0, 2), (0.25, 3), (0.45, 4), (0.72, 5))
# The official headers, quirks included: `breast_density` for masses, `breast density` for calcs.
COLUMNS = {
    "mass": ("breast_density", "mass shape", "mass margins"),
    "calc": ("breast density", "calc type", "calc distribution"),
}
ABNORMALITY = {"mass": "mass", "calc": "calcification"}


def make(
    directory: pathlib.Path,
    sample: Sample,
    *,
    workers: int | None = None,
    report: Callable[[int, int], None] | None = None,
) -> None:
    """Writes the images and tables of `sample`; the folder appears whole or not at all.

    Args:
      directory: the folder to make. Nothing is done if it already holds this sample.
      sample: what to make.
      workers: processes, one per available core by default. The bytes do not depend on it.
      report: called with (images done, images in all) after each image.

    Raises:
      CallerError: `directory` holds something else.
    """
    if _holds(directory, sample):
        return
    directory.parent.mkdir(parents=True, exist_ok=True)
    # no two calls get the same: another may be at work on the same folder
    partial = directory.with_name(f".{files.temporary_name(directory.name)}")
    try:
        partial.mkdir()
        images = plan(sample)
        # closed here and now, so that no worker still writes when the folder is removed
        with contextlib.closing(_write_images(partial, images, sample, workers=workers)) as written:
            for done, _ in enumerate(written, start=1):
                if report:
                    report(done, len(images))
        _write_tables(partial, images, sample)
        (partial / "phantom.json").write_text(_describe(sample))
        try:
            partial.rename(directory)
        except OSError:  # somebody else made it meanwhile
            if not _holds(directory, sample):
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _describe(sample: Sample) -> str:
    return json.dumps({"version": VERSION, **dataclasses.asdict(sample)}, indent=2) + "\n"


def _holds(directory: pathlib.Path, sample: Sample) -> bool:
    """True if `directory` holds the sample, False if it is free, else an error."""
    if not directory.exists() or (directory.is_dir() and not any(directory.iterdir())):
        return False
    statement = directory / "phantom.json"
    if not statement.is_file():
        raise CallerError(f"{directory} is not a phantom folder (no phantom.json); choose another")
    found, wanted = statement.read_text(), _describe(sample)
    if found != wanted:
        raise CallerError(
            f"{directory} holds another phantom sample: {' '.join(found.split())}, wanted "
            f"{' '.join(wanted.split())}; delete the folder or choose another"
        )
    return True


def read(data_dir: Folder, options: SourceOptions = DEFAULTS) -> list[image_table.SourceRow]:
    """Lists the phantoms of a folder, with the circles of their lesions, which no table has.

    Args:
        data_dir: folder filled by `make`.
        options: as of `cbis_ddsm.read`.
    """
    images = cbis_ddsm.read(data_dir, dataclasses.replace(options, patient_prefix="PHANTOM_"))
    statement = files.read_json(data_dir / "phantom.json", remedy="remove the folder")
    del statement["version"]
    sample = Sample(**statement)
    of_folder = {image.folder: tuple(circles(image, sample)) for image in plan(sample)}
    return [dataclasses.replace(row, circles=of_folder.get(row.copies, ())) for row in images]


def _deal(cards: Sequence[T], generator: np.random.Generator) -> Iterator[T]:
    """Yields the cards for ever, in a new order each round, so that proportions hold early."""
    while True:
        yield from (cards[i] for i in generator.permutation(len(cards)))


def _word(scale: Sequence[tuple[float, T]], suspicion: float) -> T:
    """Returns the last word of the scale that holds from `suspicion` or less on."""
    return [word for least, word in scale if suspicion >= least][-1]


def plan(sample: Sample) -> list[PhantomImage]:
    """Returns the images of the sample: who, which breast and view, and what is to be seen."""
    generator = generator_of(sample.seed)
    strata = _deal(STRATA, generator)
    pathologies = {stratum: _deal(MALIGNANT, generator) for stratum in sorted(set(STRATA))}
    images: list[PhantomImage] = []
    for patient in itertools.count(1):
        kind, split = stratum = next(strata)
        density = int(generator.integers(1, 5))
        sides = generator.permutation(["LEFT", "RIGHT"])[: 1 + int(generator.random() < 0.2)]
        for side in sides:
            lesions = _lesions(generator, malignant=next(pathologies[stratum]))
            for view in ("CC", "MLO"):
                images.append(
                    PhantomImage(
                        patient=patient,
                        side=str(side),
                        view=view,
                        kind=kind,
                        split=split,
                        density=density,
                        bits=int(generator.choice(BITS_STORED)),
                        inverted=False,
                        lesions=lesions,
                    )
                )
        if len(images) >= sample.images:
            break
    images = images[: sample.images]
    for index in generator.permutation(len(images))[: max(1, len(images) // 4)]:
        images[index] = dataclasses.replace(images[index], inverted=True)
    return images


def _lesions(generator: np.random.Generator, *, malignant: bool) -> tuple[Lesion, ...]:
    """Returns the one lesion of a breast, or two (one breast in ten)."""
    lesions = []
    heights = generator.permutation([0.3, 0.7])
    for number in range(1 + int(generator.random() < 0.1)):
        suspicion = float(generator.beta(7, 2) if malignant else generator.beta(2, 7))
        harmless = suspicion < 0.25 and generator.random() < 0.6
        benign = "BENIGN_WITHOUT_CALLBACK" if harmless else "BENIGN"
        cc, mlo = heights[number] + generator.uniform(-0.12, 0.12, size=2)
        lesions.append(
            Lesion(
                pathology="MALIGNANT" if malignant else benign,
                suspicion=suspicion,
                radius=generator.uniform(130, 250),
                contrast=generator.uniform(0.22, 0.34),
                place=(generator.uniform(0.3, 0.6), cc, mlo),
            )
        )
    return tuple(lesions)


def _uid(*words: object) -> str:
    """Returns a DICOM UID made from the words (PS3.5 B.2: 2.25. and a 128-bit number)."""
    digest = hashlib.sha256("/".join(map(str, words)).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def _uids(image: PhantomImage, sample: Sample) -> tuple[str, str, str]:
    """Returns the study, series and instance UID of an image."""
    key = (VERSION, *dataclasses.astuple(sample), image.folder)
    study, series, instance = (_uid(*key, level) for level in ("study", "series", "instance"))
    return study, series, instance


def _write_images(
    directory: pathlib.Path, images: list[PhantomImage], sample: Sample, *, workers: int | None
) -> Generator[None, None, None]:
    """Writes all images, yielding as each is done."""
    write = functools.partial(_write_image, directory, sample=sample)
    workers = min(workers or cores.count(), len(images))
    if workers == 1:
        yield from map(write, images)
        return
    # the caller may have threads, so no fork
    pool = concurrent.futures.ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), cv2.setNumThreads, (1,)
    )
    interrupts.shield_children()
    try:
        for future in concurrent.futures.as_completed([pool.submit(write, f) for f in images]):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _write_image(directory: pathlib.Path, image: PhantomImage, *, sample: Sample) -> None:
    """Draws one image and writes it as DICOM."""
    full = 2**image.bits - 1
    pixels = np.rint(draw(image, sample) * full).astype(np.uint16)
    study, series, _ = _uids(image, sample)
    path = directory / image.folder / study / series / "1-1.dcm"
    path.parent.mkdir(parents=True)
    dataset = _dataset(image, sample, pixels=full - pixels if image.inverted else pixels)
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)


def _dataset(image: PhantomImage, sample: Sample, *, pixels: NDArray[np.uint16]) -> Dataset:
    """Returns a Digital Mammography X-Ray PhantomImage (PS3.3 A.27), uncompressed."""
    dataset = Dataset()
    study, series, instance = _uids(image, sample)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
    dataset.SOPInstanceUID = instance
    dataset.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    dataset.Modality, dataset.PresentationIntentType = "MG", "FOR PRESENTATION"
    dataset.ImageType = ["DERIVED", "PRIMARY", ""]
    dataset.ConversionType = "SYN"
    dataset.Manufacturer = "Synthetic phantom, not a patient"
    dataset.SeriesDescription = "full mammogram images"
    dataset.PatientName, dataset.PatientID = "PHANTOM", image.folder
    dataset.BodyPartExamined, dataset.ViewPosition = "BREAST", image.view
    dataset.ImageLaterality = image.side[0]
    # PS3.3 C.7.6.1.1.1: towards which the rows run, then the columns
    dataset.PatientOrientation = [
        "A" if image.side == "LEFT" else "P",
        "F" if image.view == "MLO" else {"LEFT": "R", "RIGHT": "L"}[image.side],
    ]
    dataset.ImagerPixelSpacing = [PIXEL_MM, PIXEL_MM]
    dataset.BurnedInAnnotation = "YES"
    dataset.SeriesNumber = dataset.InstanceNumber = 1
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME1" if image.inverted else "MONOCHROME2"
    dataset.PresentationLUTShape = "INVERSE" if image.inverted else "IDENTITY"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, image.bits, image.bits - 1
    dataset.PixelRepresentation = 0
    dataset.PixelData = pixels.astype("<u2").tobytes()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def _write_tables(directory: pathlib.Path, images: list[PhantomImage], sample: Sample) -> None:
    """Writes the four case tables, a row per abnormality of an image."""
    for kind, split in itertools.product(COLUMNS, ("Training", "Test")):
        members = [image for image in images if (image.kind, image.split) == (kind, split)]
        density, first, second = COLUMNS[kind]
        name = {"Training": "train", "Test": "test"}[split]
        path = directory / f"{kind}_case_description_{name}_set.csv"
        with path.open("w", newline="") as stream:
            stream.write(
                f"patient_id,{density},left or right breast,image view,abnormality id,"
                f"abnormality type,{first},{second},assessment,pathology,subtlety,"
                "image file path,cropped image file path,ROI mask file path\n"
            )
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerows(row for image in members for row in _rows(image, sample))


def _rows(image: PhantomImage, sample: Sample) -> Iterator[tuple[object, ...]]:
    """Yields the table rows of an image, cells in the order of the header."""
    study, series, _ = _uids(image, sample)
    words = MASS_WORDS if image.kind == "mass" else CALC_WORDS
    for number, lesion in enumerate(image.lesions, start=1):
        crop = f"{image.folder}_{number}"
        crop = f"{crop}/{_uid(study, number)}/{_uid(series, number)}"
        # the path that ends in a newline: the crop's in the calc tables, the mask's in the mass
        paths = {
            "mass": (f"{crop}/000000.dcm", f"{crop}/000001.dcm\n"),
            "calc": (f"{crop}/000001.dcm\n", f"{crop}/000000.dcm"),
        }[image.kind]
        yield (
            image.patient_id,
            image.density,
            image.side,
            image.view,
            number,
            ABNORMALITY[image.kind],
            *_word(words, lesion.suspicion),
            _word(ASSESSMENTS, lesion.suspicion),
            lesion.pathology,
            3 + int((lesion.contrast - 0.22) / 0.04),
            f"{image.folder}/{study}/{series}/000000.dcm",
            *paths,
        )
