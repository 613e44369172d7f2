"""The pictures of the phantom sample: a breast, its tissue, its lesions, its label.

  image = draw(image, sample)

An image is a breast outline filled with power-law parenchyma, a pectoral muscle in MLO views,
lesions, an image label, fog and grain. What tells malignant from benign is the look of the lesion
alone, its `suspicion` (0..1): margins and spiculations of a mass; number, size, shape and spread of
calcifications.
"""

from __future__ import annotations

import dataclasses
import itertools

import cv2
import numpy as np
import scipy.fft
from numpy.typing import NDArray

FloatImage = NDArray[np.float32]

# Power spectrum of mammographic parenchyma ~ 1/f^beta with beta about 3 (Burgess, Jacobson and
# Judy, "Human observer detection experiments with mammograms and power-law noise", 2001).
BETA = 3.0
# Below this frequency (cycles per pixel) the spectrum is flat: no structure wider than a breast.
LOWEST_FREQUENCY = 1 / 700
# ACR density class -> quantile of the texture above which tissue is glandular, fractions of area.
FAT_FRACTION = {1: 0.85, 2: 0.65, 3: 0.45, 4: 0.25}


@dataclasses.dataclass(frozen=True)
class Sample:
    """What to make.

    Attributes:
      images: number of images, at least 4.
      height: rows of the smallest image, above 2048; an image may have up to 40 more.
      width: columns of the narrowest image, at least 640; an image may have up to 40 more.
      seed: 0 or more; the same sample gives the same bytes.
    """

    images: int = 280
    height: int = 2080
    width: int = 1184
    seed: int = 0

    def __post_init__(self) -> None:
        assert self.images >= 4, self.images  # `flags.conversion_config` says so to users
        assert self.height > 2048, self.height
        assert self.width >= 640, self.width


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
class PhantomImage:
    """One image, all that a worker needs to draw and write it."""

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
        """As in the tables; real patients are `P_00001`."""
        return f"PHANTOM_{self.patient:05d}"

    @property
    def folder(self) -> str:
        """The image folder, as the first component of the table's image file path."""
        kind = self.kind.capitalize()
        return f"{kind}-{self.split}_{self.patient_id}_{self.side}_{self.view}"


def generator_of(*key: int) -> np.random.Generator:
    """Returns a stream of random numbers of its own for every key."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))


def draw(image: PhantomImage, sample: Sample) -> FloatImage:
    """Returns the image as [rows, columns] float32, 0..1, bright tissue on a dark background."""
    shape, axes, generator = _begin(image, sample)
    depth, half_width = _outline(shape, axes, generator), axes[0]
    # compressed tissue is as thick as the gap of the plates but for the rim
    thickness = 1 - np.exp(-np.maximum(depth, 0) / 70)
    pixels = _tissue(depth / half_width, image.density, generator)
    if image.view == "MLO":
        _add_muscle(pixels, generator)
    for lesion in image.lesions:
        centre = _centre(lesion, image.view, shape, axes)
        _add_lesion(pixels, lesion, kind=image.kind, centre=centre, generator=generator)
    pixels *= thickness
    pixels += 0.07 * np.exp(-(((depth - 14) / 7) ** 2))  # skin line
    gamma, gain = generator.uniform(0.85, 1.2), generator.uniform(0.8, 1.0)
    pixels = pixels ** np.float32(gamma) * np.float32(gain)  # exposure and development
    pixels += np.float32(generator.uniform(0.02, 0.07))  # fog
    pixels += 0.006 * generator.standard_normal(pixels.shape, dtype=np.float32)  # grain
    if image.side == "RIGHT":
        pixels = np.ascontiguousarray(pixels[:, ::-1])
    _add_label(pixels, image, generator)
    return np.clip(pixels, 0, 1, out=pixels)


def circles(image: PhantomImage, sample: Sample) -> list[tuple[int, int, int]]:
    """Returns (column, row, radius) of each lesion where `draw` puts it, in image pixels."""
    shape, axes, _ = _begin(image, sample)
    found = []
    for lesion in image.lesions:
        column, row = (int(place) for place in _centre(lesion, image.view, shape, axes))
        column = column if image.side == "LEFT" else shape[1] - 1 - column
        found.append((column, row, round(lesion.radius)))
    return found


def _begin(
    image: PhantomImage, sample: Sample
) -> tuple[tuple[int, int], tuple[float, float], np.random.Generator]:
    """Returns the image's shape, the half axes of its breast across and down, and its generator."""
    side, view = ("LEFT", "RIGHT").index(image.side), ("CC", "MLO").index(image.view)
    generator = generator_of(sample.seed, image.patient, side, view)
    rows = sample.height + 8 * int(generator.integers(0, 6))
    columns = sample.width + 8 * int(generator.integers(0, 6))
    axes = columns * generator.uniform(0.68, 0.84), rows * generator.uniform(0.38, 0.46)
    return (rows, columns), axes, generator


def _centre(
    lesion: Lesion, view: str, shape: tuple[int, int], axes: tuple[float, float]
) -> tuple[float, float]:
    """Returns the column and row of a lesion, the chest wall at the left."""
    along, across = lesion.place[0], lesion.place[1 + ("CC", "MLO").index(view)]
    return along * axes[0], shape[0] / 2 + (2 * across - 1) * 0.8 * axes[1]


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
    shape: tuple[int, int], axes: tuple[float, float], generator: np.random.Generator
) -> FloatImage:
    """Returns depth under the skin (pixels, negative outside).

    The chest wall is the left edge. Smooth, so made at an eighth of the size and enlarged.
    """
    rows, columns = shape
    half_width, half_height = axes
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
    return cv2.resize(depth, (columns, rows), interpolation=cv2.INTER_CUBIC)


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


def _add_label(pixels: FloatImage, image: PhantomImage, generator: np.random.Generator) -> None:
    """Burns side and view into the corner away from the breast."""
    rows, columns = pixels.shape
    text = f"{image.side[0]} {image.view}"
    scale = generator.uniform(2.2, 2.8)
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 6)
    x = columns - width - 40 if image.side == "LEFT" else 40
    y = 60 + height if generator.random() < 0.7 else rows - 60
    cv2.putText(pixels, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, (0.95,), 6, cv2.LINE_8)


def _add_lesion(
    image: FloatImage,
    lesion: Lesion,
    *,
    kind: str,
    centre: tuple[float, float],
    generator: np.random.Generator,
) -> None:
    """Adds a lesion about `centre` (x, y); what falls off the image is lost."""
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
    for width, (start, end) in zip((17, 15, 12, 8), pieces, strict=True):
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
