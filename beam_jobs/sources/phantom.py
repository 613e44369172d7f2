"""A synthetic mammography data set in the very form of CBIS-DDSM: DICOM films and four tables.

Usage:
  phantom.make(pathlib.Path("data/phantom"), phantom.Sample(films=280))

The films go through the same readers and decoders as real ones. A film is a breast outline filled
with power-law parenchyma, a pectoral muscle in MLO views, lesions, a film label, fog and grain.
What tells malignant from benign is the look of the lesion alone, its `suspicion` (0..1): margins
and spiculations of a mass; number, size, shape and spread of calcifications. Density, exposure,
label, bits and photometric interpretation are drawn independently of it. Research toy: nothing
learned from these films says anything about a patient.
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
import os
import pathlib
import shutil
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TypeVar

import cv2
import numpy as np
import pydicom
import scipy.fft
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation, ExplicitVRLittleEndian

T = TypeVar("T")
FloatImage = NDArray[np.float32]

# Any change of the bytes written is a new version: an older folder is then refused, not mixed.
VERSION = 1
# Power spectrum of mammographic parenchyma ~ 1/f^beta with beta about 3 (Burgess, Jacobson and
# Judy, "Human observer detection experiments with mammograms and power-law noise", 2001).
BETA = 3.0
# Below this frequency (cycles per pixel) the spectrum is flat: no structure wider than a breast.
LOWEST_FREQUENCY = 1 / 700
# Film scanners of DDSM sample at about 0.05 mm; our films are half as fine.
PIXEL_MM = 0.1
BITS_STORED = (12, 14, 16)
# Ten patients in a row: 6 mass, 4 calc; 3 of them test.
STRATA = [("mass", "Training")] * 4 + [("mass", "Test")] * 2
STRATA += [("calc", "Training")] * 3 + [("calc", "Test")]
MALIGNANT = (True,) * 5 + (False,) * 6
# ACR density class -> quantile of the texture above which tissue is glandular, fractions of area.
FAT_FRACTION = {1: 0.85, 2: 0.65, 3: 0.45, 4: 0.25}
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


@dataclasses.dataclass(frozen=True)
class Sample:
    """What to make.

    Attributes:
      films: number of films, at least 4.
      height: rows of the smallest film, above 2048; a film may have up to 40 more.
      width: columns of the narrowest film, at least 640; a film may have up to 40 more.
      seed: 0 or more; the same sample gives the same bytes.
    """

    films: int = 280
    height: int = 2080
    width: int = 1184
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("films", 4), ("height", 2049), ("width", 640), ("seed", 0)):
            if getattr(self, name) < least:
                got = getattr(self, name)
                raise ValueError(f"phantom sample: {name} is {got}; it must be {least} or more")


@dataclasses.dataclass(frozen=True)
class Lesion:
    """One abnormality of a breast, the same in both of its views.

    Attributes:
      pathology: BENIGN_WITHOUT_CALLBACK, BENIGN or MALIGNANT.
      suspicion: how malignant it looks, 0..1; decides what is drawn and the words of the table.
      radius: of the mass, or of the area the calcifications lie in, pixels.
      contrast: brightness above the tissue, 0..1 of full scale.
      place: along the line from chest wall to nipple, across it in CC, across it in MLO; 0..1.
    """

    pathology: str
    suspicion: float
    radius: float
    contrast: float
    place: tuple[float, float, float]


@dataclasses.dataclass(frozen=True)
class Film:
    """One film, all that a worker needs to draw and write it."""

    patient: int
    side: str
    view: str
    kind: str
    split: str
    density: int
    bits: int
    inverted: bool
    lesions: tuple[Lesion, ...]

    @property
    def patient_id(self) -> str:
        return f"PHANTOM_{self.patient:05d}"

    @property
    def folder(self) -> str:
        kind = self.kind.capitalize()
        return f"{kind}-{self.split}_{self.patient_id}_{self.side}_{self.view}"


def make(
    directory: pathlib.Path,
    sample: Sample = Sample(),
    *,
    workers: int | None = None,
    report: Callable[[int, int], None] | None = None,
) -> None:
    """Writes the films and tables of `sample`; the folder appears whole or not at all.

    Args:
      directory: the folder to make. Nothing is done if it already holds this sample.
      sample: what to make.
      workers: processes, one per available core by default. The bytes do not depend on it.
      report: called with (films done, films in all) after each film.

    Raises:
      ValueError: `directory` holds something else.
    """
    if _holds(directory, sample):
        return
    partial = directory.with_name(f".{directory.name}.{os.getpid()}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        films = plan(sample)
        # closed here and now, so that no worker still writes when the folder is removed
        with contextlib.closing(_write_films(partial, films, sample, workers=workers)) as written:
            for done, _ in enumerate(written, start=1):
                if report:
                    report(done, len(films))
        _write_tables(partial, films, sample)
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
        raise ValueError(f"{directory} is not a phantom folder (no phantom.json); choose another")
    found, wanted = statement.read_text(), _describe(sample)
    if found != wanted:
        raise ValueError(
            f"{directory} holds another phantom sample: {' '.join(found.split())}, wanted "
            f"{' '.join(wanted.split())}; delete the folder or choose another"
        )
    return True


def _generator(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))


def _deal(cards: Sequence[T], generator: np.random.Generator) -> Iterator[T]:
    """Yields the cards for ever, in a new order each round, so that proportions hold early."""
    while True:
        yield from (cards[i] for i in generator.permutation(len(cards)))


def _word(scale: Sequence[tuple[float, T]], suspicion: float) -> T:
    """Returns the last word of the scale that holds from `suspicion` or less on."""
    return [word for least, word in scale if suspicion >= least][-1]


def plan(sample: Sample) -> list[Film]:
    """Returns the films of the sample: who, which breast and view, and what is to be seen."""
    generator = _generator(sample.seed)
    strata = _deal(STRATA, generator)
    pathologies = {stratum: _deal(MALIGNANT, generator) for stratum in sorted(set(STRATA))}
    films: list[Film] = []
    for patient in itertools.count(1):
        kind, split = stratum = next(strata)
        density = int(generator.integers(1, 5))
        sides = generator.permutation(["LEFT", "RIGHT"])[: 1 + int(generator.random() < 0.2)]
        for side in sides:
            lesions = _lesions(generator, malignant=next(pathologies[stratum]))
            for view in ("CC", "MLO"):
                films.append(
                    Film(
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
        if len(films) >= sample.films:
            break
    films = films[: sample.films]
    for index in generator.permutation(len(films))[: max(1, len(films) // 4)]:
        films[index] = dataclasses.replace(films[index], inverted=True)
    return films


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


# ---------------------------------------------------------------------------- drawing


def draw(film: Film, sample: Sample) -> FloatImage:
    """Returns the film as [rows, columns] float32, 0..1, bright tissue on a dark background."""
    side, view = ("LEFT", "RIGHT").index(film.side), ("CC", "MLO").index(film.view)
    generator = _generator(sample.seed, film.patient, side, view)
    rows = sample.height + 8 * int(generator.integers(0, 6))
    columns = sample.width + 8 * int(generator.integers(0, 6))
    depth, half_width, half_height = _outline((rows, columns), generator)
    # compressed tissue is as thick as the gap of the plates but for the rim
    thickness = 1 - np.exp(-np.maximum(depth, 0) / 70)
    image = _tissue(depth / half_width, film.density, generator)
    if film.view == "MLO":
        _add_muscle(image, generator)
    for lesion in film.lesions:
        along, across = lesion.place[0], lesion.place[1 + view]
        centre = (along * half_width, rows / 2 + (2 * across - 1) * 0.8 * half_height)
        _add_lesion(image, lesion, kind=film.kind, centre=centre, generator=generator)
    image *= thickness
    image += 0.07 * np.exp(-(((depth - 14) / 7) ** 2))  # skin line
    gamma, gain = generator.uniform(0.85, 1.2), generator.uniform(0.8, 1.0)
    image = image ** np.float32(gamma) * np.float32(gain)  # exposure and development
    image += np.float32(generator.uniform(0.02, 0.07))  # fog
    image += 0.006 * generator.standard_normal(image.shape, dtype=np.float32)  # grain
    if film.side == "RIGHT":
        image = np.ascontiguousarray(image[:, ::-1])
    _add_label(image, film, generator)
    return np.clip(image, 0, 1, out=image)


def texture(
    shape: tuple[int, int], generator: np.random.Generator, *, beta: float = BETA
) -> FloatImage:
    """Returns isotropic noise [rows, columns] of power spectrum 1/f^beta, mean 0, deviation 1."""
    rows, columns = (scipy.fft.next_fast_len(n, real=True) for n in shape)
    vertical = np.fft.fftfreq(rows).astype(np.float32)[:, None]
    horizontal = np.fft.rfftfreq(columns).astype(np.float32)[None, :]
    squared = np.maximum(vertical**2 + horizontal**2, np.float32(LOWEST_FREQUENCY**2))
    amplitude = squared ** np.float32(-beta / 4)
    amplitude[0, 0] = 0
    parts = generator.standard_normal((*amplitude.shape, 2), dtype=np.float32)
    spectrum = parts.view(np.complex64)[..., 0] * amplitude
    noise: FloatImage = scipy.fft.irfft2(spectrum, s=(rows, columns))[: shape[0], : shape[1]]
    noise -= noise.mean()
    noise /= noise.std()
    return noise


def _outline(
    shape: tuple[int, int], generator: np.random.Generator
) -> tuple[FloatImage, float, float]:
    """Returns depth under the skin (pixels, negative outside), and the half axes of the breast.

    The chest wall is the left edge. Smooth, so made at an eighth of the size and enlarged.
    """
    rows, columns = shape
    half_width = columns * generator.uniform(0.68, 0.84)
    half_height = rows * generator.uniform(0.38, 0.46)
    middle = rows * generator.uniform(0.48, 0.54)
    y = ((np.arange(rows // 8) + 0.5) * rows / (rows // 8) - middle)[:, None] / half_height
    x = ((np.arange(columns // 8) + 0.5) * 8)[None, :] / half_width
    angle = np.arctan2(y, x)
    reach = np.ones_like(angle)
    for order in (1, 2, 3, 4):
        reach += generator.normal(0, 0.02) * np.sin(order * angle + generator.uniform(0, 6.3))
    reach += 0.035 * np.exp(-((angle / 0.05) ** 2))  # nipple
    radius = (np.abs(x) ** 2.3 + np.abs(y) ** 2.3) ** (1 / 2.3)
    depth = ((reach - radius) * half_width).astype(np.float32)
    depth = cv2.resize(depth, (columns, rows), interpolation=cv2.INTER_CUBIC)
    return depth, half_width, half_height


def _tissue(inwards: FloatImage, density: int, generator: np.random.Generator) -> FloatImage:
    """Returns fat and gland [rows, columns], 0..1; `inwards` is depth, 0 skin to about 1 wall."""
    noise = texture((inwards.shape[0], inwards.shape[1]), generator)
    threshold = np.float32(np.quantile(noise[::16, ::16], FAT_FRACTION[density]))
    # glands lie between a layer of fat under the skin and another before the chest wall
    scarcity = np.float32(5) * (np.maximum(inwards, 0) - np.float32(0.5)) ** 2 - np.float32(0.3)
    gland = 1 / (1 + np.exp(-np.float32(2.2) * (noise - threshold - scarcity)))
    tissue: FloatImage = np.float32(0.25) + np.float32(0.16) * gland + np.float32(0.025) * noise
    return tissue


def _add_muscle(image: FloatImage, generator: np.random.Generator) -> None:
    """Adds the pectoral muscle: a wedge in the upper corner at the chest wall."""
    rows, columns = image.shape
    width, height = columns * generator.uniform(0.3, 0.45), rows * generator.uniform(0.35, 0.5)
    y, x = np.ogrid[:rows, :columns]
    inside = (1 - x / width - y / height).astype(np.float32) * np.float32(width * 0.8)
    image += np.float32(0.2) / (1 + np.exp(np.clip(-inside / 12, -40, 40)))


def _add_label(image: FloatImage, film: Film, generator: np.random.Generator) -> None:
    """Burns side and view into the corner away from the breast."""
    rows, columns = image.shape
    text = f"{film.side[0]} {film.view}"
    scale = generator.uniform(2.2, 2.8)
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 6)
    x = columns - width - 40 if film.side == "LEFT" else 40
    y = 60 + height if generator.random() < 0.7 else rows - 60
    cv2.putText(image, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, (0.95,), 6, cv2.LINE_8)


def _add_lesion(
    image: FloatImage,
    lesion: Lesion,
    *,
    kind: str,
    centre: tuple[float, float],
    generator: np.random.Generator,
) -> None:
    """Adds a lesion about `centre` (x, y); what falls off the film is lost."""
    paint = {"mass": _paint_mass, "calc": _paint_calcifications}[kind]
    patch = paint(lesion, generator)
    half = patch.shape[0] // 2
    left, top = (int(c) - half for c in centre)
    rows, columns = image.shape
    y, x = max(-top, 0), max(-left, 0)
    patch = patch[y : rows - top, x : columns - left]
    window = image[top + y :, left + x :][: patch.shape[0], : patch.shape[1]]
    window += np.float32(lesion.contrast) * patch


def _paint_mass(lesion: Lesion, generator: np.random.Generator) -> FloatImage:
    """Returns a square [side, side] float32, 0..1.2: a body and, if suspect, its spicules."""
    radius, suspicion = lesion.radius, lesion.suspicion
    half = int(radius * 2.6)
    y, x = np.mgrid[-half:half, -half:half].astype(np.float32)
    angle = np.arctan2(y, x)
    oval = 0.4 * min(suspicion, 0.35) * np.cos(2 * angle + generator.uniform(0, 6.3))
    edge = radius * (1 + oval.astype(np.float32))
    for order in range(3, 9):
        size = generator.normal(0, (0.01 + 0.25 * suspicion) / order) * radius
        edge += np.float32(size) * np.cos(order * angle + generator.uniform(0, 6.3))
    softness = radius * (0.035 + 0.25 * max(0.0, suspicion - 0.2))
    body = 1 / (1 + np.exp(np.clip((np.hypot(x, y) - edge) / softness, -30, 30)))
    canvas = np.zeros((2 * half, 2 * half), np.uint8)
    count = int(90 * max(0.0, suspicion - 0.4))
    for turn in (np.arange(count) + generator.uniform(0, 1, count)) / max(count, 1):
        _draw_spicule(canvas, radius, direction=2 * np.pi * turn, generator=generator)
    lines = cv2.GaussianBlur(canvas, (0, 0), 3).astype(np.float32) / 255
    # soft margins dim a body: made good, lest a histogram tell malignant from benign
    return np.maximum((1 + 0.2 * suspicion) * body, 0.9 * lines).astype(np.float32)


def _draw_spicule(
    canvas: NDArray[np.uint8], radius: float, *, direction: float, generator: np.random.Generator
) -> None:
    """Draws one tapering, slightly bent line outwards from the middle of the canvas."""
    bend = generator.normal(0, 0.2)
    bright = (int(generator.uniform(170, 255)),)
    reach = radius * min(1.4 + generator.exponential(0.45), 2.5)
    steps = np.linspace(0.3 * radius, reach, 5)
    angles = direction + bend * np.linspace(0, 1, 5)
    points = canvas.shape[0] // 2 + np.stack([steps * np.cos(angles), steps * np.sin(angles)], 1)
    pieces = itertools.pairwise(points.astype(int).tolist())
    for width, (start, end) in zip((17, 15, 12, 8), pieces):
        cv2.line(canvas, start, end, bright, width, cv2.LINE_AA)


def _paint_calcifications(lesion: Lesion, generator: np.random.Generator) -> FloatImage:
    """Returns a square [side, side] float32, 0..1.7: few round grains, or many small and odd."""
    suspicion = lesion.suspicion
    spread = lesion.radius * (1.1 - 0.5 * suspicion)
    half = int(lesion.radius * 2.6)
    canvas = np.zeros((2 * half, 2 * half), np.uint8)
    for _ in range(int(3 + 60 * suspicion**1.5 + generator.integers(0, 4))):
        x, y = np.clip(generator.normal(half, spread, size=2), 30, 2 * half - 30).astype(int)
        size = generator.uniform(11, 17) * (1 - suspicion) + generator.uniform(4, 8) * suspicion
        stretch = 1 + suspicion * generator.exponential(0.9)
        axes = (round(size * min(stretch, 5)), round(size))
        bright = (int(generator.uniform(170, 255)),)
        turn = generator.uniform(0, 180)
        for branch in (turn, turn + 45) if stretch > 2.5 else (turn,):
            cv2.ellipse(canvas, (x, y), axes, branch, 0, 360, bright, -1, cv2.LINE_AA)
    return cv2.GaussianBlur(canvas, (0, 0), 1.5).astype(np.float32) / 150


# ---------------------------------------------------------------------------- writing


def _uid(*words: object) -> str:
    """Returns a DICOM UID made from the words (PS3.5 B.2: 2.25. and a 128-bit number)."""
    digest = hashlib.sha256("/".join(map(str, words)).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def _uids(film: Film, sample: Sample) -> tuple[str, str, str]:
    """Returns the study, series and instance UID of a film."""
    key = (VERSION, *dataclasses.astuple(sample), film.folder)
    study, series, instance = (_uid(*key, level) for level in ("study", "series", "instance"))
    return study, series, instance


def _write_films(
    directory: pathlib.Path, films: list[Film], sample: Sample, *, workers: int | None
) -> Generator[None, None, None]:
    """Writes all films, yielding as each is done."""
    write = functools.partial(_write_film, directory, sample=sample)
    workers = min(workers or os.cpu_count() or 1, len(films))
    if workers == 1:
        yield from map(write, films)
        return
    # the caller may have threads, so no fork
    pool = concurrent.futures.ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), cv2.setNumThreads, (1,)
    )
    try:
        for future in concurrent.futures.as_completed([pool.submit(write, f) for f in films]):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _write_film(directory: pathlib.Path, film: Film, *, sample: Sample) -> None:
    """Draws one film and writes it as DICOM."""
    full = 2**film.bits - 1
    pixels = np.rint(draw(film, sample) * full).astype(np.uint16)
    study, series, _ = _uids(film, sample)
    path = directory / film.folder / study / series / "1-1.dcm"
    path.parent.mkdir(parents=True)
    dataset = _dataset(film, sample, pixels=full - pixels if film.inverted else pixels)
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)


def _dataset(film: Film, sample: Sample, *, pixels: NDArray[np.uint16]) -> Dataset:
    """Returns a Digital Mammography X-Ray Image (PS3.3 A.27), uncompressed."""
    dataset = Dataset()
    study, series, instance = _uids(film, sample)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
    dataset.SOPInstanceUID = instance
    dataset.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    dataset.Modality, dataset.PresentationIntentType = "MG", "FOR PRESENTATION"
    dataset.ImageType = ["DERIVED", "PRIMARY", ""]
    dataset.ConversionType = "SYN"
    dataset.Manufacturer = "Synthetic phantom, not a patient"
    dataset.SeriesDescription = "full mammogram images"
    dataset.PatientName, dataset.PatientID = "PHANTOM", film.folder
    dataset.BodyPartExamined, dataset.ViewPosition = "BREAST", film.view
    dataset.ImageLaterality = film.side[0]
    # PS3.3 C.7.6.1.1.1: towards which the rows run, then the columns
    dataset.PatientOrientation = [
        "A" if film.side == "LEFT" else "P",
        "F" if film.view == "MLO" else {"LEFT": "R", "RIGHT": "L"}[film.side],
    ]
    dataset.ImagerPixelSpacing = [PIXEL_MM, PIXEL_MM]
    dataset.BurnedInAnnotation = "YES"
    dataset.SeriesNumber = dataset.InstanceNumber = 1
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME1" if film.inverted else "MONOCHROME2"
    dataset.PresentationLUTShape = "INVERSE" if film.inverted else "IDENTITY"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, film.bits, film.bits - 1
    dataset.PixelRepresentation = 0
    dataset.PixelData = pixels.astype("<u2").tobytes()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def _write_tables(directory: pathlib.Path, films: list[Film], sample: Sample) -> None:
    """Writes the four case tables, a row per abnormality of a film."""
    for kind, split in itertools.product(COLUMNS, ("Training", "Test")):
        members = [film for film in films if (film.kind, film.split) == (kind, split)]
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
            writer.writerows(row for film in members for row in _rows(film, sample))


def _rows(film: Film, sample: Sample) -> Iterator[tuple[object, ...]]:
    """Yields the table rows of a film, cells in the order of the header."""
    study, series, _ = _uids(film, sample)
    words = MASS_WORDS if film.kind == "mass" else CALC_WORDS
    for number, lesion in enumerate(film.lesions, start=1):
        crop = f"{film.folder}_{number}"
        crop = f"{crop}/{_uid(study, number)}/{_uid(series, number)}"
        # in the calc tables the crop comes second and ends in a newline, in the mass tables the mask
        paths = {
            "mass": (f"{crop}/000000.dcm", f"{crop}/000001.dcm\n"),
            "calc": (f"{crop}/000001.dcm\n", f"{crop}/000000.dcm"),
        }[film.kind]
        yield (
            film.patient_id,
            film.density,
            film.side,
            film.view,
            number,
            ABNORMALITY[film.kind],
            *_word(words, lesion.suspicion),
            _word(ASSESSMENTS, lesion.suspicion),
            lesion.pathology,
            3 + int((lesion.contrast - 0.22) / 0.04),
            f"{film.folder}/{study}/{series}/000000.dcm",
            *paths,
        )
