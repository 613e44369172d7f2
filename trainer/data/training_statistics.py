"""Out-of-distribution check: an image's pixels -> its distance from the training images.

known = fit(measures, patients, native_sizes)   # of the training images
finding = compare(known, measure(pixels), native_size)

Measures of each image (grey levels; detail at four scales) make a cloud; that of an image is
Mahalanobis's (On the generalised distance in statistics, Proc. Natl. Inst. Sci. India 2:49-55,
1936), with the covariance shrunk after Ledoit and Wolf (J. Multivariate Anal. 88:365-411, 2004).
How far is too far is not left to a chi-square quantile, as measures of images are not normal: each
training image's distance is taken from a cloud fitted to other patients' images, and the limit is
the conformal quantile of those distances (Bates et al., Testing for outliers with conformal
p-values, Annals of Statistics 51:149-178, 2023), so that of images like the training images about
`FALSE_ALARMS` are called unlike.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2
from sklearn.covariance import LedoitWolf
from sklearn.model_selection import GroupKFold

from records import files, schema
from records.printable import counted
from trainer.data import input_pipeline
from trainer.data.dataset import Data, Split

Floats = NDArray[np.float64]

FILE = "training_images.json"
"""Of a run: what `fit` returned of its training images."""

FALSE_ALARMS = 0.01
"""Fraction of images like the training images that may be called unlike them."""
SIZE_MARGIN = 1.25
"""A native size this many times beyond the training images' is another scale: as much is between
the commonest sampling steps of mammograms, 0.05, 0.07 and 0.1 mm."""
MEASURES = (
    "mean grey",
    "spread of grey",
    "fraction of black",
    "fraction of white",
    "detail of 2 pixels",
    "detail of 4 pixels",
    "detail of 8 pixels",
    "detail of 16 pixels",
)
"""What `measure` returns, in order; details are decimal logarithms of a contrast."""
MIN_IMAGES = 10
"""Fewer have no cloud to speak of."""
_OCTAVES = 4
_LARGEST_SIDE = 512
_NO_DIFFERENCE = 0.01
"""Scatter added to that of the training images: a hundredth of full scale, or 2 % of a contrast, is
no news, however alike they are."""
_SMALLEST_CONTRAST = 1e-5
_PARTS = 10
_BATCH = 16


@dataclasses.dataclass(frozen=True)
class Finding:
    """How unlike an image is.

    Attributes:
        distance: from the cloud, in standard deviations; None if there is none.
        limit: largest distance of an image that is no news; None if there is none.
        reasons: what is unlike, for people, with numbers; empty for an image like the others.
    """

    distance: float | None
    limit: float | None
    reasons: tuple[str, ...]


def write(directory: pathlib.Path, data: Data) -> None:
    """Measures the training images of a run and writes training_images.json.

    Beside what `fit` returns it holds digests of the training and of the validation images.
    """
    measures, patients, native_sizes, digests = [], [], [], []
    for images, sizes, names in _read(data, data.train):
        measures += [measure(image) for image in images]
        digests += [digest(image) for image in images]
        native_sizes += [(int(rows), int(columns)) for rows, columns in sizes]
        patients += [name.decode() for name in names]
    known = fit(np.array(measures), patients, native_sizes)
    validated = [digest(image) for images, *_ in _read(data, data.validation) for image in images]
    seen = {"digests": sorted(digests), "validation_digests": sorted(validated)}
    files.write_json(directory / FILE, {**known, **seen})


def _read(data: Data, split: Split) -> Iterator[tuple[NDArray[Any], ...]]:
    batches: Iterator[tuple[NDArray[Any], ...]] = input_pipeline.image_batches(
        split, data.records.size, batch_size=_BATCH
    ).as_numpy_iterator()
    return batches


def digest(pixels: np.ndarray) -> str:
    """Digests the pixels of a record, by which an image is known again whatever its name."""
    return hashlib.blake2b(pixels.tobytes(), digest_size=16).hexdigest()


def measure(pixels: np.ndarray) -> Floats:
    """Measures grey levels and detail of one image.

    Args:
        pixels: [height, width, 1] uint16 as a record holds them.

    Returns:
        [len(MEASURES)]: mean, standard deviation and fractions in [0, 1]; for each of four octaves
        the logarithm of the contrast, the root mean square of what a level of the Laplacian pyramid
        holds (Burt and Adelson, IEEE Trans. Communications 31:532-540, 1983). Images larger than
        512 pixels are shrunk to that first, so that a pixel means the same at all sizes.
    """
    stored = pixels[:, :, 0]
    scale = _LARGEST_SIDE / max(stored.shape)
    if scale < 1:
        stored = cv2.resize(stored, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    image = stored.astype(np.float32) / schema.FULL_SCALE
    measures = [image.mean(), image.std(), (image < 0.01).mean(), (image > 0.99).mean()]
    for _ in range(_OCTAVES):
        coarse = cv2.pyrDown(image)
        fine = image - cv2.pyrUp(coarse, dstsize=image.shape[::-1])
        contrast = math.sqrt(float(np.mean(fine**2, dtype=np.float64)))
        measures.append(math.log10(contrast + _SMALLEST_CONTRAST))
        image = coarse
    return np.array(measures, np.float64)


def fit(
    measures: Floats, patients: Sequence[str], native_sizes: Sequence[tuple[int, int]]
) -> dict[str, Any]:
    """Sums up the training images.

    Args:
        measures: [images, len(MEASURES)].
        patients: whose image each is; images of one patient are evaluated by other patients' alone.
        native_sizes: (rows, columns) of each image before its recipe.

    Returns:
        what `compare` needs, in JSON's types; under "cloud" a "not_defined_because" where there
        are too few images or patients.
    """
    heights, widths = zip(*native_sizes, strict=True)
    images, people = len(measures), len(set(patients))
    known = {
        "images": images,
        "patients": people,
        "native_height": [min(heights), max(heights)],
        "native_width": [min(widths), max(widths)],
    }
    if images < MIN_IMAGES or people < 2:
        counts = f"{counted(images, 'training images')} of {counted(people, 'patients')}"
        needed = f"{counts}, at least {MIN_IMAGES} of 2 are needed"
        return {**known, "cloud": {"not_defined_because": needed}}
    parts = GroupKFold(min(_PARTS, people)).split(measures, groups=patients)
    held_out = np.empty(len(measures))
    for others, these in parts:
        held_out[these] = _distances(_fit_cloud(measures[others]), measures[these])
    # conformal quantile: the ceil((n + 1)(1 - a))-th smallest of n, the largest where n is small
    rank = min(len(held_out), math.ceil((len(held_out) + 1) * (1 - FALSE_ALARMS)))
    # where all are alike, not below what a scatter of no difference makes of normal measures
    least = math.sqrt(chi2.ppf(1 - FALSE_ALARMS, len(MEASURES)))
    cloud = _fit_cloud(measures)
    return {
        **known,
        "cloud": {
            **{key: values.tolist() for key, values in cloud.items()},
            "low": measures.min(axis=0).tolist(),
            "high": measures.max(axis=0).tolist(),
            "limit": max(least, float(np.sort(held_out)[rank - 1])),
        },
    }


def compare(known: dict[str, Any], measured: Floats, native_size: tuple[int, int]) -> Finding:
    """Compares one image with the training images.

    Args:
        known: what `fit` returned.
        measured: what `measure` returned.
        native_size: (rows, columns) of the image before its recipe.
    """
    reasons = _compare_size(known, native_size)
    cloud = known["cloud"]
    if "not_defined_because" in cloud:
        return Finding(None, None, tuple(reasons))
    arrays = {key: np.array(cloud[key]) for key in ("centre", "scale", "precision")}
    distance, limit = float(_distances(arrays, measured[np.newaxis])[0]), cloud["limit"]
    if distance > limit:
        reasons.append(
            f"its grey levels are {distance:.1f} standard deviations away, "
            f"theirs within {limit:.1f}: {_name_furthest(cloud, measured)}"
        )
    return Finding(distance, limit, tuple(reasons))


def _compare_size(known: dict[str, Any], native_size: tuple[int, int]) -> list[str]:
    low_height, high_height = known["native_height"]
    low_width, high_width = known["native_width"]
    height, width = native_size
    inside = (
        low_height / SIZE_MARGIN <= height <= high_height * SIZE_MARGIN
        and low_width / SIZE_MARGIN <= width <= high_width * SIZE_MARGIN
    )
    if inside:
        return []
    smallest, largest = f"{low_height}x{low_width}", f"{high_height}x{high_width}"
    return [
        f"its size is {height}x{width} pixels, theirs "
        + (f"all {smallest}" if smallest == largest else f"{smallest} to {largest}")
    ]


def _name_furthest(cloud: dict[str, Any], measured: Floats) -> str:
    """Names the measures outside the training images' range, the two furthest, with the range."""
    low, high, scale = (np.array(cloud[key]) for key in ("low", "high", "scale"))
    beyond = np.maximum(low - measured, measured - high) / scale
    furthest = [place for place in np.argsort(-beyond)[:2] if beyond[place] > 0]
    if not furthest:
        return "no measure alone, but how they go together"
    return ", ".join(
        "{} {:.3g} (theirs {:.3g} to {:.3g})".format(
            MEASURES[place], *(_readable(place, measures) for measures in (measured, low, high))
        )
        for place in furthest
    )


def _readable(place: int, measures: Floats) -> float:
    """Takes one measure, a contrast instead of its logarithm."""
    return float(measures[place] if place < len(MEASURES) - _OCTAVES else 10 ** measures[place])


def _fit_cloud(measures: Floats) -> dict[str, Floats]:
    """Centre and scale of each measure, and the inverse of the scaled measures' covariance."""
    centre = measures.mean(axis=0)
    scale = np.hypot(measures.std(axis=0), _NO_DIFFERENCE)
    shrunk = LedoitWolf(assume_centered=True).fit((measures - centre) / scale)
    covariance = shrunk.covariance_ + np.diag((_NO_DIFFERENCE / scale) ** 2)
    return {"centre": centre, "scale": scale, "precision": np.linalg.inv(covariance)}


def _distances(cloud: dict[str, Floats], measures: Floats) -> Floats:
    """Returns Mahalanobis distances, [images]."""
    scaled = (measures - cloud["centre"]) / cloud["scale"]
    squares: Floats = np.einsum("fi,ij,fj->f", scaled, cloud["precision"], scaled)
    return np.sqrt(squares)
