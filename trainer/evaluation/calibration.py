"""Temperature and isotonic calibration: fitted on validation images, applied to all images.

content = fit(validated, label_names=("benign", "malignant"))  # calibration.json
images = apply(content, predicted)

A network's probabilities order images better than they say how often it is right (Guo et al., On
calibration of modern neural networks, ICML 2017). Two cures, both fitted on images that did not
train the network and do not evaluate it:

temperature  softmax(log p / T), one number T for any number of classes; keeps the order of images
isotonic     the best curve that never falls; two classes. It bends further and follows chance too,
             so it is used from ISOTONIC_IMAGES images on

Nothing is made up where the images do not decide: then "not_defined_because" is the reason.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from scipy import optimize, special

from trainer.data.run_json import FoldDescription
from trainer.evaluation import threshold as thresholds
from trainer.evaluation.threshold import Threshold
from trainer.metrics import typed_json
from trainer.metrics.intervals import Floats
from trainer.metrics.predictions import ClassProbabilities, Labels, Prediction, as_probabilities

FILE = "calibration.json"
MIN_IMAGES = 5
"""Images that a second class needs: Vittinghoff & McCulloch, Relaxing the rule of ten events per
variable, American Journal of Epidemiology 165, 2007: below five a variable trouble is common."""
ISOTONIC_IMAGES = 1000
"""Niculescu-Mizil & Caruana, Predicting good probabilities with supervised learning, ICML 2005:
where data are scarce the curve overfits; scikit-learn's CalibratedClassifierCV names the number."""
NO_IMAGES = "there are no validation images"
_LEAST = 1e-7
"""What a probability of 0 counts as, as in Keras's losses: its logarithm must be finite."""

Output = TypeVar("Output", bound=ClassProbabilities)


@dataclasses.dataclass(frozen=True)
class Isotonic:
    """Corners of a curve that never falls, straight in between and level outside."""

    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Content of calibration.json.

    Attributes:
        images: validation images it was fitted on.
        patients: theirs.
        temperature: above 0; None if it is not defined.
        isotonic: of two classes; None if it is not defined.
        used: temperature or isotonic; None if neither is.
        threshold: chosen on the same images.
        why: reason of `used`.
        not_defined_because: why neither is used.
        test_time_augmentation: how the images were seen, a key of `flags.tta_config.VIEWS`.
    """

    images: int
    patients: int
    temperature: float | None
    isotonic: Isotonic | None
    used: str | None
    threshold: Threshold
    why: str = ""
    not_defined_because: str = ""
    test_time_augmentation: str = ""


def fit(
    validated: Sequence[Prediction],
    *,
    label_names: Sequence[str],
    if_none: str = NO_IMAGES,
) -> Calibration:
    """Fits temperature, isotonic curve and threshold.

    Args:
        validated: images that neither trained the network nor evaluate it; may be empty.
        label_names: name of each class.
        if_none: why there are no images, if there are none.
    """
    labels = np.array([image.label for image in validated], np.int64)
    rows = [image.probabilities for image in validated]
    probabilities = np.array(rows, np.float64).reshape(-1, len(label_names))
    temperature = isotonic = None
    reason = _why_not(labels, label_names) if len(labels) else if_none
    threshold = Threshold(None, not_defined_because=reason or "")
    if reason is None:
        temperature, reason = fit_temperature(probabilities, labels)
        several = "there are more than two classes"
        threshold = Threshold(None, not_defined_because=several)
        if len(label_names) == 2:
            isotonic = fit_isotonic(probabilities[:, 1], labels)
            threshold = thresholds.choose(probabilities[:, 1], labels)
    used, why = _choose(len(labels), temperature, isotonic)
    return Calibration(
        images=len(labels),
        patients=len({image.patient_id for image in validated}),
        temperature=temperature,
        isotonic=isotonic,
        used=used,
        threshold=threshold,
        why=why,
        not_defined_because="" if used else str(reason),
    )


def read(directory: pathlib.Path) -> Calibration | None:
    """Reads calibration.json of a run; None if it was evaluated before there was one."""
    path = directory / FILE
    if not path.is_file():
        return None
    return typed_json.read(Calibration, path, remedy="evaluate the run again")


def why_no_threshold(directory: pathlib.Path, folds: Sequence[FoldDescription] | None) -> str:
    """Returns why the networks of a run chose no threshold; "" if they did, or nobody noted it."""
    fitted = read(directory)
    of_folds = ((fold.calibration or {}).get("threshold", {}) for fold in folds or ())
    reasons = (
        {fitted.threshold.not_defined_because}
        if fitted
        else {threshold.get("not_defined_because", "") for threshold in of_folds}
    )
    return "; ".join(sorted(reasons - {""}))


def apply(content: Calibration, predicted: Sequence[Output]) -> list[Output]:
    """Adds calibrated probabilities and the threshold to predictions, where they are defined."""
    if not predicted:
        return []
    threshold = content.threshold.value
    rows = calibrate(content, np.array([image.probabilities for image in predicted]))
    calibrated = [()] * len(predicted) if rows is None else map(as_probabilities, rows)
    return [
        dataclasses.replace(image, calibrated_probabilities=row, threshold=threshold)
        for image, row in zip(predicted, calibrated, strict=True)
    ]


def calibrate(content: Calibration, probabilities: Floats) -> Floats | None:
    """Turns probabilities of the classes into calibrated ones, both [images, K], 0..1.

    Returns:
        None if the network could not be calibrated.
    """
    if content.used == "temperature":
        assert content.temperature is not None
        scaled: Floats = special.softmax(_logits(probabilities) / content.temperature, axis=1)
        return scaled
    if content.used == "isotonic":
        assert content.isotonic is not None
        positive = np.interp(probabilities[:, 1], content.isotonic.x, content.isotonic.y)
        return np.stack([1 - positive, positive], axis=1)
    return None


def confidence_of(image: ClassProbabilities, called: int) -> float | None:
    """Returns the calibrated probability of the class called, 0..1; None if there is none.

    Jaamour et al. 2023 call for it. Where the threshold is not 0.5 it may be below a half.
    """
    return image.calibrated_probabilities[called] if image.calibrated_probabilities else None


def fit_temperature(probabilities: Floats, labels: Labels) -> tuple[float | None, str | None]:
    """Finds the temperature that makes the labels likeliest (Guo et al. 2017, section 4.2).

    The mean log loss is convex in 1 / T. It falls at 0 unless the true classes have no better
    logits than all classes on average, and in the end rises unless every true class has the
    highest one; so one of three things holds.

    Args:
        probabilities: [images, K], 0..1.
        labels: [images], 0..K-1.

    Returns:
        the temperature, above 0, or None and why there is none.
    """
    logits = _logits(probabilities)
    margins: Floats = logits - logits[np.arange(len(labels)), labels][:, None]

    def slope(inverse: float) -> float:
        return float((special.softmax(inverse * margins, axis=1) * margins).sum(axis=1).mean())

    if slope(0) >= 0:
        return None, "on the validation images the true classes do not get the higher probabilities"
    if margins.max() <= 0:
        return None, (
            "every validation image has its true class likeliest, so they do not show how "
            "often it would be wrong"
        )
    high = 1.0
    while slope(high) < 0:
        high *= 2
    return 1 / optimize.brentq(slope, 0, high, xtol=1e-12, rtol=1e-12), None


def fit_isotonic(probabilities: Floats, labels: Labels) -> Isotonic:
    """Finds the curve that never falls and is nearest to the labels (Zadrozny & Elkan, KDD 2002).

    It stays as far from 0 and 1 as the number of images allows (rule of succession of Laplace): no
    image is certain because n others were right.

    Args:
        probabilities: [images] of label 1, 0..1.
        labels: [images], 0 or 1.

    Returns:
        the corners of the curve.
    """
    from sklearn.isotonic import IsotonicRegression  # slow; whoever only reads waits for nothing

    least = 1 / (len(labels) + 2)
    curve = IsotonicRegression(y_min=least, y_max=1 - least, out_of_bounds="clip")
    curve.fit(probabilities, labels)
    return Isotonic(tuple(curve.X_thresholds_.tolist()), tuple(curve.y_thresholds_.tolist()))


def _logits(probabilities: Floats) -> Floats:
    """Logarithms of probabilities: what the softmax made them of, but for a constant an image."""
    return np.log(np.clip(probabilities, _LEAST, 1 - _LEAST))


def _why_not(labels: Labels, label_names: Sequence[str]) -> str | None:
    """Gives the reason why these images can't be fitted; None if they can."""
    sizes = np.bincount(labels, minlength=len(label_names))
    commonest, second = np.argsort(-sizes, kind="stable")[:2]
    if sizes[second] == 0:
        return f"all validation images are {label_names[commonest]}"
    if sizes[second] < MIN_IMAGES:
        return (
            f"only {sizes[second]} of {len(labels)} validation images are {label_names[second]}, "
            f"wanted {MIN_IMAGES} or more"
        )
    return None


def _choose(
    images: int, temperature: float | None, isotonic: Isotonic | None
) -> tuple[str | None, str]:
    """Chooses which of the two is used, with the reason."""
    if isotonic is not None and images >= ISOTONIC_IMAGES:
        return "isotonic", f"{ISOTONIC_IMAGES} validation images or more"
    if temperature is None:
        return None, ""
    why = "more than two classes" if isotonic is None else f"fewer than {ISOTONIC_IMAGES} images"
    return "temperature", why
